//! The model.
use crate::sys::Values;
use tocsin_abi::{Error, Handle, Rights};
pub(crate) fn syscall(_n: u64, _a: [u64; 6]) -> Values {
    Values { result: Error::NotSupported.to_register(), values: [0; 6] }
}
pub(crate) fn ipc_buffer() -> usize {
    0
}
pub(crate) fn map(_o: Handle, _f: u64, _s: u64, _h: Rights) -> Result<usize, Error> {
    Err(Error::NotSupported)
}
