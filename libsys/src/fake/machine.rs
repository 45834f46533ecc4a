//! The fake side of the contract in `arch`.

use crate::map::Mapping;
use crate::sys::Values;
use crate::thread::{STACK_RIGHTS, run, stack_in};
use tocsin_abi::{Error, Handle, Rights};

/// The model's programs are x86_64's, whatever the host is.
pub(crate) const ELF_MACHINE: u16 = 62;

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

pub(crate) fn map_stack(memory: Handle, size: u64) -> Result<(Mapping, usize), Error> {
    let address = super::kernel::map(memory, 0, size, STACK_RIGHTS)?;
    // No address space, so no block; the check of its size is the same.
    let before = stack_in(0, size) as usize;
    Ok((Mapping::adopt(address, size), address.wrapping_sub(before)))
}

pub(crate) fn ordering() {
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
}

/// The model makes no threads; this is where they would start.
pub(crate) fn thread_entry() -> usize {
    run as *const () as usize
}
