//! The machine, as `kernel-core` sees it.

use core::mem::offset_of;

use kernel_core::{Platform, VectorSpace};
use tocsin_abi::ipc::IpcBuffer;
use tocsin_abi::limits::{IPC_HANDLES, IPC_WORDS, PAGE_BYTES, USER_END};
use tocsin_abi::{Error, Handle, Rights, Trigger};

use crate::arch::{self, paging};
use crate::mm;
use crate::sync;

/// The real machine.
pub struct Machine;

/// Where handle `index` of an IPC buffer is, in the direct map.
fn sent_handle(buffer: u64, index: usize) -> *mut Handle {
    let handles = mm::direct(buffer).wrapping_add(offset_of!(IpcBuffer, handles));
    handles.cast::<Handle>().wrapping_add(index % IPC_HANDLES)
}

/// Walks user memory page by page. All of it has been checked to be user addresses.
fn for_each_part(
    space: u64,
    address: u64,
    len: u64,
    write: bool,
    mut action: impl FnMut(*mut u8, usize, usize),
) -> Result<(), Error> {
    let end = address.checked_add(len).ok_or(Error::BadAddress)?;
    if end > USER_END {
        return Err(Error::BadAddress);
    }
    let mut at = address;
    while at < end {
        let part = (PAGE_BYTES - at % PAGE_BYTES).min(end - at);
        let physical = paging::translate(space, at, write).ok_or(Error::BadAddress)?;
        action(mm::direct(physical), (at - address) as usize, part as usize);
        at += part;
    }
    Ok(())
}

impl Platform for Machine {
    type Frame = arch::Frame;

    #[inline(always)]
    fn now(&self) -> u64 {
        arch::now()
    }

    fn ticks(&self, ns: u64) -> u64 {
        let ticks = u128::from(ns) * u128::from(arch::ticks_per_second()) / 1_000_000_000;
        u64::try_from(ticks).unwrap_or(u64::MAX - 1)
    }

    fn nanoseconds(&self, ticks: u64) -> u64 {
        let ns = u128::from(ticks) * 1_000_000_000 / u128::from(arch::ticks_per_second());
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    fn arm_timer(&self, deadline: u64) {
        arch::arm_timer(deadline);
    }

    fn poke(&self, cpu: usize) {
        arch::poke(cpu);
    }

    fn evict(&self, cpu: usize) {
        sync::evict(cpu);
    }

    fn alloc_frames(&self, pages: u64) -> Option<u64> {
        mm::alloc_block(pages)
    }

    fn free_frames(&self, address: u64, pages: u64) {
        mm::free_block(address, pages);
    }

    fn free_bytes(&self) -> u64 {
        mm::free_bytes()
    }

    fn is_ram(&self, address: u64, bytes: u64) -> bool {
        mm::is_ram(address, bytes)
    }

    fn space_create(&self) -> Option<u64> {
        paging::create()
    }

    fn space_shrink(&self, space: u64, tables: u64) -> bool {
        paging::shrink(space, tables)
    }

    fn space_plan(&self, space: u64, address: u64, pages: u64) -> Result<u64, Error> {
        paging::plan(space, address, pages)
    }

    fn space_map(
        &self,
        space: u64,
        address: u64,
        physical: u64,
        pages: u64,
        protection: Rights,
        device: bool,
    ) {
        paging::map(space, address, physical, pages, protection, device);
    }

    fn space_unmap(&self, space: u64, address: u64, pages: u64) {
        paging::unmap(space, address, pages);
    }

    fn copy_to_user(&self, space: u64, address: u64, bytes: &[u8]) -> Result<(), Error> {
        let len = bytes.len() as u64;
        self.check_user_writable(space, address, len)?;
        for_each_part(space, address, len, true, |to, offset, part| {
            let from = &bytes[offset..offset + part];
            // SAFETY: `to` is user RAM of at least `part` bytes under the direct map, and
            // does not overlap the kernel's own `bytes`.
            unsafe { to.copy_from_nonoverlapping(from.as_ptr(), part) };
        })
    }

    fn check_user_writable(&self, space: u64, address: u64, bytes: u64) -> Result<(), Error> {
        for_each_part(space, address, bytes, true, |_, _, _| {})
    }

    fn copy_from_user(&self, space: u64, address: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let len = bytes.len() as u64;
        for_each_part(space, address, len, false, |from, offset, part| {
            let to = &mut bytes[offset..offset + part];
            // SAFETY: `from` is user RAM of at least `part` bytes under the direct map,
            // and does not overlap the kernel's own `bytes`.
            unsafe { to.as_mut_ptr().copy_from_nonoverlapping(from, part) };
        })
    }

    fn ipc_copy(&self, from: u64, to: u64, count: usize) {
        let first_word = |buffer| mm::direct(buffer).cast::<u64>().wrapping_add(4);
        let (from, to) = (first_word(from), first_word(to));
        let count = count.saturating_sub(4).min(IPC_WORDS - 4);
        // SAFETY: 1. both are whole frames, and `count` keeps within the buffers' words.
        // 2. two threads have two buffers, unless a thread calls itself, which can not
        // be. 3. user code may write the source at the same time: then it sends what it
        // gets; the copy is of plain words, of which any bits are valid.
        unsafe { core::ptr::copy(from, to, count) };
    }

    fn ipc_handle(&self, buffer: u64, index: usize) -> (Handle, Rights) {
        // SAFETY: within a whole frame; any bits are valid. Volatile: user code may write.
        let handle = unsafe { sent_handle(buffer, index).read_volatile() };
        let rights = mm::direct(buffer).wrapping_add(offset_of!(IpcBuffer, rights));
        let rights = rights.cast::<u16>().wrapping_add(index % IPC_HANDLES);
        // SAFETY: as above.
        let rights = unsafe { rights.read_volatile() };
        (handle, Rights::from_bits_retain(rights))
    }

    fn ipc_set_handle(&self, buffer: u64, index: usize, handle: Handle) {
        // SAFETY: within a whole frame. Volatile: user code may read.
        unsafe { sent_handle(buffer, index).write_volatile(handle) };
    }

    fn io_read(&self, port: u16, width: u64) -> Result<u64, Error> {
        arch::io_read(port, width)
    }

    fn io_write(&self, port: u16, width: u64, value: u64) -> Result<(), Error> {
        arch::io_write(port, width, value)
    }

    fn early_print(&self, text: &[u8]) {
        arch::early_print(text);
    }

    fn vector_space(&self) -> VectorSpace {
        arch::vector_space()
    }

    #[inline(always)]
    fn vector_place(&self, cpu: usize, vector: u16) -> usize {
        arch::vector_place(cpu, vector)
    }

    fn check_level(&self, vector: u16) -> Result<(), Error> {
        arch::check_level(vector)
    }

    fn complete(&self, cpu: usize, vector: u16) {
        arch::complete(cpu, vector);
    }

    fn set_private(&self, cpu: usize, vector: u16, comes: Option<Trigger>) {
        arch::set_private(cpu, vector, comes);
    }

    fn machine_end(&self, success: bool) {
        arch::end(success)
    }

    fn cpu_hardware_id(&self, cpu: usize) -> u64 {
        arch::hardware_id(cpu)
    }
}
