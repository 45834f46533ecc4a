//! The fake side of the contract in `arch`.

use crate::map::Mapping;
use crate::sys::Values;
use tocsin_abi::{Error, Handle, Rights};

pub(crate) fn syscall6(
    number: u64,
    a0: u64,
    a1: u64,
    a2: u64,
    a3: u64,
    a4: u64,
    a5: u64,
) -> Values {
    super::kernel::syscall(number, [a0, a1, a2, a3, a4, a5])
}

pub(crate) fn syscall5(number: u64, a0: u64, a1: u64, a2: u64, a3: u64, a4: u64) -> Values {
    syscall6(number, a0, a1, a2, a3, a4, 0)
}

pub(crate) fn syscall4(number: u64, a0: u64, a1: u64, a2: u64, a3: u64) -> Values {
    syscall6(number, a0, a1, a2, a3, 0, 0)
}

pub(crate) fn syscall3(number: u64, a0: u64, a1: u64, a2: u64) -> Values {
    syscall6(number, a0, a1, a2, 0, 0, 0)
}

pub(crate) fn syscall2(number: u64, a0: u64, a1: u64) -> Values {
    syscall6(number, a0, a1, 0, 0, 0, 0)
}

pub(crate) fn syscall1(number: u64, a0: u64) -> Values {
    syscall6(number, a0, 0, 0, 0, 0, 0)
}

pub(crate) fn syscall0(number: u64) -> Values {
    syscall6(number, 0, 0, 0, 0, 0, 0)
}

pub(crate) fn ipc_buffer() -> usize {
    super::kernel::ipc_buffer()
}

pub(crate) fn map(object: Handle, offset: u64, size: u64, how: Rights) -> Result<usize, Error> {
    super::kernel::map(object, offset, size, how)
}

/// Memory of the model lives as long as the test.
pub(crate) fn unmap(_address: usize) {}

pub(crate) fn map_stack(_memory: Handle, _size: u64) -> Result<(Mapping, usize), Error> {
    Err(Error::NotSupported)
}

pub(crate) fn ordering() {
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
}

/// The model has no threads of its own.
pub(crate) fn thread_entry() -> usize {
    0
}
