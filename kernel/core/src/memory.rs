//! Memory objects, physical ranges, I/O ports, and mappings.

use tocsin_abi::limits::{MAX_MEMORY_BYTES, PAGE_BYTES, USER_END, USER_START};
use tocsin_abi::{Error, Handle, Kind, Rights};

use crate::arena::Id;
use crate::budget::Share;
use crate::create::{MAPPING_BYTES, MEMORY_BYTES, RANGE_BYTES};
use crate::kernel::{Cx, Kernel, Outcome};
use crate::objects::{MappingId, MemoryId, ProcessId, SlotId};
use crate::platform::{Frame, Platform};
use crate::slot::Slot;

fn is_page_aligned(value: u64) -> bool {
    value.is_multiple_of(PAGE_BYTES)
}

/// Checks a range of user addresses, page by page.
///
/// # Errors
/// `Misaligned`, `BadSize`, `BadAddress`.
pub fn check_user_pages(address: u64, size_bytes: u64) -> Result<u64, Error> {
    if !is_page_aligned(address) || !is_page_aligned(size_bytes) {
        return Err(Error::Misaligned);
    }
    if size_bytes == 0 {
        return Err(Error::BadSize);
    }
    let end = address.checked_add(size_bytes).ok_or(Error::BadAddress)?;
    if address < USER_START || end > USER_END {
        return Err(Error::BadAddress);
    }
    Ok(size_bytes / PAGE_BYTES)
}

/// Checks that `offset..offset + size` lies in an object of `whole`.
fn check_part(offset: u64, size: u64, whole: u64) -> Result<(), Error> {
    if size == 0 {
        return Err(Error::BadSize);
    }
    match offset.checked_add(size) {
        Some(end) if end <= whole => Ok(()),
        _ => Err(Error::OutOfRange),
    }
}

impl<P: Platform> Kernel<P> {
    /// `memory_create`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn memory_create(&self, cx: Cx, size_bytes: u64) -> Outcome {
        cx.need_exclusive()?;
        if size_bytes == 0 || size_bytes > MAX_MEMORY_BYTES {
            return Err(Error::BadSize.into());
        }
        let pages = size_bytes.div_ceil(PAGE_BYTES).next_power_of_two();
        let bytes = pages * PAGE_BYTES;
        self.room_for(cx.process, MEMORY_BYTES + bytes, &self.memories, Share::Memory)?;
        let base = self.platform.alloc_frames(pages).ok_or(Error::NoMemory)?;
        let handle = self.make(
            cx.process,
            Kind::Memory,
            MEMORY_BYTES + bytes,
            &self.memories,
            Share::Memory,
        );
        let memory = self.memories.get(handle.1);
        memory.base.set(base);
        memory.size.set(bytes);
        memory.payer.set(cx.process);
        Ok(handle.0)
    }

    /// `memory_info`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn memory_info(&self, cx: Cx, handle: Handle) -> Outcome {
        let slot = self.memory_slot(cx, handle, Rights::empty())?;
        let memory = self.memories.get(slot.id());
        let visible = slot.rights().contains(Rights::ADDRESS);
        let base = if visible { memory.base.get() } else { 0 };
        self.frame(cx).set_values4([memory.size.get(), base, 0, 0]);
        Ok(0)
    }

    fn memory_slot(&self, cx: Cx, handle: Handle, rights: Rights) -> Result<&'static Slot, Error> {
        let slot = self.slot(cx.process, handle)?;
        if !matches!(slot.kind(), Kind::Memory | Kind::Physical) {
            return Err(Error::WrongType);
        }
        if !slot.rights().contains(rights) {
            return Err(Error::MissingRight);
        }
        Ok(slot)
    }

    /// `memory_map`.
    ///
    /// # Errors
    /// Those of the call.
    #[expect(clippy::too_many_arguments, reason = "the call has six")]
    pub fn memory_map(
        &self,
        cx: Cx,
        process: Handle,
        memory: Handle,
        address: u64,
        offset: u64,
        size_bytes: u64,
        protection: Rights,
    ) -> Outcome {
        cx.need_exclusive()?;
        let target = self.need_process(cx, process, Rights::WRITE)?;
        let allowed = Rights::READ | Rights::WRITE | Rights::EXECUTE;
        if !allowed.contains(protection) || !protection.contains(Rights::READ) {
            return Err(Error::BadArgument.into());
        }
        let slot = self.memory_slot(cx, memory, protection)?;
        if protection.contains(Rights::WRITE | Rights::EXECUTE) {
            return Err(Error::WriteExecute.into());
        }
        self.need_alive(target)?;
        let pages = check_user_pages(address, size_bytes)?;
        if !is_page_aligned(offset) {
            return Err(Error::Misaligned.into());
        }
        let object = self.memories.get(slot.id());
        check_part(offset, size_bytes, object.size.get())?;
        if size_bytes > MAX_MEMORY_BYTES {
            return Err(Error::BadSize.into());
        }
        let device = slot.kind() == Kind::Physical;
        let physical = object.base.get() + offset;
        if device && self.platform.is_ram(physical, size_bytes) {
            return Err(Error::OutOfRange.into());
        }
        let slot = Id::new(memory.index() as u32);
        self.map(cx, target, slot, address, physical, pages, protection, device)?;
        Ok(0)
    }

    /// Maps a checked range and records the mapping with the handle it came through.
    ///
    /// # Errors
    /// `AlreadyMapped`, `NoMemory`.
    #[expect(clippy::too_many_arguments, reason = "a mapping has that many sides")]
    pub fn map(
        &self,
        cx: Cx,
        target: ProcessId,
        slot: SlotId,
        address: u64,
        physical: u64,
        pages: u64,
        protection: Rights,
        device: bool,
    ) -> Result<MappingId, Error> {
        let process = self.process(target);
        let space = process.space.get();
        let tables = self.platform.space_plan(space, address, pages)?;
        let table_bytes = tables * PAGE_BYTES;
        self.can_charge(target, table_bytes)?;
        let own = if target == cx.process { table_bytes } else { 0 };
        self.can_charge(cx.process, MAPPING_BYTES + own)?;
        if self.platform.free_bytes() < table_bytes {
            return Err(Error::NoMemory);
        }
        self.share_room(cx.process, Share::Mapping, &self.mappings)?;
        let id = self.mappings.alloc().ok_or(Error::NoMemory)?;
        self.take_share(cx.process, Share::Mapping);
        self.charge(cx.process, MAPPING_BYTES);
        self.charge(target, table_bytes);
        process.tables.set(process.tables.get() + tables);
        self.platform.space_map(space, address, physical, pages, protection, device);
        let mapping = self.mappings.get(id);
        mapping.process.set(target);
        mapping.address.set(address);
        mapping.physical.set(physical);
        mapping.pages.set(pages);
        mapping.slot.set(slot);
        mapping.payer.set(cx.process);
        if slot.is_some() {
            let slot = self.slots.get(slot);
            let first = slot.mappings.get();
            mapping.slot_next.set(first);
            if first.is_some() {
                self.mappings.get(first).slot_prev.set(id);
            }
            slot.mappings.set(id);
        }
        let first = process.mappings.get();
        mapping.next.set(first);
        if first.is_some() {
            self.mappings.get(first).prev.set(id);
        }
        process.mappings.set(id);
        Ok(id)
    }

    /// `memory_unmap`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn memory_unmap(&self, cx: Cx, process: Handle, address: u64) -> Outcome {
        cx.need_exclusive()?;
        let target = self.need_process(cx, process, Rights::WRITE)?;
        let mut id = self.process(target).mappings.get();
        while id.is_some() {
            let mapping = self.mappings.get(id);
            if mapping.address.get() == address && mapping.slot.get().is_some() {
                self.remove_mapping(cx, id);
                return Ok(0);
            }
            id = mapping.next.get();
        }
        Err(Error::NotMapped.into())
    }

    /// Takes a mapping out of its address space, on every CPU, and forgets it. Returns how
    /// much work that was: one for the mapping, one for each run of 64 pages.
    pub fn remove_mapping(&self, cx: Cx, id: MappingId) -> u64 {
        let mapping = self.mappings.get(id);
        let process = self.process(mapping.process.get());
        self.evict_process(cx, mapping.process.get());
        let (address, pages) = (mapping.address.get(), mapping.pages.get());
        self.platform.space_unmap(process.space.get(), address, pages);
        let (next, prev) = (mapping.next.get(), mapping.prev.get());
        if prev.is_none() {
            process.mappings.set(next);
        } else {
            self.mappings.get(prev).next.set(next);
        }
        if next.is_some() {
            self.mappings.get(next).prev.set(prev);
        }
        let slot = mapping.slot.get();
        if slot.is_some() {
            let (next, prev) = (mapping.slot_next.get(), mapping.slot_prev.get());
            if prev.is_none() {
                self.slots.get(slot).mappings.set(next);
            } else {
                self.mappings.get(prev).slot_next.set(next);
            }
            if next.is_some() {
                self.mappings.get(next).slot_prev.set(prev);
            }
        }
        let payer = mapping.payer.get();
        self.mappings.free(id);
        self.drop_share(payer, Share::Mapping);
        self.release(payer, MAPPING_BYTES);
        1 + pages / 64
    }

    /// Makes every other CPU leave a process's address space, so that it forgets old
    /// translations.
    pub fn evict_process(&self, cx: Cx, id: ProcessId) {
        for cpu in 0..self.cpu_count.get() {
            let current = self.cpu(cpu).current.get();
            if cpu != cx.cpu && current.is_some() && self.thread(current).process.get() == id {
                self.platform.evict(cpu);
            }
        }
    }

    /// `physical_slice`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn physical_slice(
        &self,
        cx: Cx,
        handle: Handle,
        offset: u64,
        size_bytes: u64,
        rights: Rights,
    ) -> Outcome {
        if !is_page_aligned(offset) || !is_page_aligned(size_bytes) {
            return Err(Error::Misaligned.into());
        }
        self.slice(cx, handle, Kind::Physical, offset, size_bytes, rights)
    }

    /// `ioports_slice`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn ioports_slice(
        &self,
        cx: Cx,
        handle: Handle,
        first: u64,
        count: u64,
        rights: Rights,
    ) -> Outcome {
        let slot = self.need(cx, handle, Kind::IoPorts, Rights::empty())?;
        let base = self.memories.get(slot.id()).base.get();
        let offset = first.checked_sub(base).ok_or(Error::OutOfRange)?;
        self.slice(cx, handle, Kind::IoPorts, offset, count, rights)
    }

    fn slice(
        &self,
        cx: Cx,
        handle: Handle,
        kind: Kind,
        offset: u64,
        size: u64,
        rights: Rights,
    ) -> Outcome {
        cx.need_exclusive()?;
        let slot = self.need(cx, handle, kind, Rights::DUPLICATE)?;
        if !slot.rights().contains(rights) {
            return Err(Error::Widening.into());
        }
        let whole = self.memories.get(slot.id());
        check_part(offset, size, whole.size.get())?;
        self.room_for(cx.process, RANGE_BYTES, &self.memories, Share::Memory)?;
        let id = self.memories.alloc().ok_or(Error::NoMemory)?;
        let part = self.memories.get(id);
        part.base.set(whole.base.get() + offset);
        part.size.set(size);
        part.payer.set(cx.process);
        self.take_share(cx.process, Share::Memory);
        self.charge(cx.process, RANGE_BYTES);
        let parent = Id::new(handle.index() as u32);
        let new = self.new_slot(cx.process, kind, id.index(), rights, 0, parent);
        Ok(u64::from(self.handle_of(new).0))
    }

    fn io_port(
        &self,
        cx: Cx,
        range: Handle,
        port: u64,
        width: u64,
        right: Rights,
    ) -> Result<u16, Error> {
        let slot = self.need(cx, range, Kind::IoPorts, right)?;
        if !matches!(width, 1 | 2 | 4) {
            return Err(Error::BadSize);
        }
        let range = self.memories.get(slot.id());
        let offset = port.checked_sub(range.base.get()).ok_or(Error::OutOfRange)?;
        check_part(offset, width, range.size.get())?;
        u16::try_from(port).map_err(|_| Error::OutOfRange)
    }

    /// `ioport_read`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn ioport_read(&self, cx: Cx, range: Handle, port: u64, width: u64) -> Outcome {
        let port = self.io_port(cx, range, port, width, Rights::READ)?;
        Ok(self.platform.io_read(port, width)?)
    }

    /// `ioport_write`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn ioport_write(
        &self,
        cx: Cx,
        range: Handle,
        port: u64,
        width: u64,
        value: u64,
    ) -> Outcome {
        let port = self.io_port(cx, range, port, width, Rights::WRITE)?;
        self.platform.io_write(port, width, value)?;
        Ok(0)
    }

    /// The last handle to a memory object is gone, and with it every mapping.
    pub fn destroy_memory(&self, id: MemoryId) {
        let memory = self.memories.get(id);
        let (bytes, payer) = (memory.size.get(), memory.payer.get());
        // Boot modules belong to nobody's budget, and their frames to the loader.
        if payer.is_some() {
            self.platform.free_frames(memory.base.get(), bytes / PAGE_BYTES);
        }
        self.memories.free(id);
        self.drop_share(payer, Share::Memory);
        self.release(payer, MEMORY_BYTES + bytes);
    }

    /// The last handle to a range is gone.
    pub fn destroy_range(&self, id: MemoryId) {
        let payer = self.memories.get(id).payer.get();
        self.memories.free(id);
        self.drop_share(payer, Share::Memory);
        self.release(payer, RANGE_BYTES);
    }
}
