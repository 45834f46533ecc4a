//! Devices: each has an interrupt translation table of its own, so another's event numbers
//! mean nothing to it.

use super::bringup::clear;
use super::probe::TableNeed;
use super::unit::{ItsError, ItsRegisters, ItsUnit};
use super::{Command, DeviceId, LevelOneEntry};
use crate::numbers::Bitmap;
use crate::vtd::DmaRegion;
use alloc::vec::Vec;

/// Events of one device: 2^16 at most, because LPIs here are no more.
const MOST_EVENT_BITS: u8 = 16;

/// One device that the ITS knows.
pub(super) struct Device<M> {
    pub(super) id: DeviceId,
    /// Free events.
    pub(super) events: Bitmap,
    table: M,
    event_bits: u8,
    /// The ticket of MAPD with V clear.
    leaving: Option<u64>,
}

impl<M> Device<M> {
    fn is_idle(&self) -> bool {
        self.events.len() == 1 << self.event_bits
    }
}

/// The device table and the devices, in the order of their ids.
pub(super) struct DeviceStore<M> {
    need: TableNeed,
    /// Flat: the ITS's alone. Two-level: our level-one entries.
    table: M,
    two_level: bool,
    coherent: bool,
    pages: Vec<M>,
    devices: Vec<Device<M>>,
}

/// A device has its table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attached {
    /// The ITS has executed MAPD.
    Now,
    /// MAPD is in the queue, in front of whatever comes for this device; the ITS is late.
    Late(ItsError),
}

/// Why a device was not attached. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttachError {
    /// It is already.
    AlreadyAttached,
    /// Its id lies past the device table.
    IdTooLarge,
    /// More events than GITS_TYPER.ID_bits or this server allows, or none.
    TooManyEvents,
    /// Not aligned to 256, above 2^52, or too small: [`ItsUnit::event_table_bytes`].
    BadTable,
    /// Give a page with [`ItsUnit::add_device_page`] first.
    NeedsPage,
    /// Pages are for two-level tables, one for each range of ids.
    NoPageWanted,
    /// Size or alignment of a level-two page.
    BadPage,
    /// No memory for bookkeeping.
    NoMemory,
    /// The queue took no command.
    Its(ItsError),
}

/// Why a device was not detached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DetachError {
    /// There is no such device.
    NotAttached,
    /// Some of its events are reserved.
    Busy,
    /// The ITS has not executed MAPD yet and may use the table. Ask again.
    Late(ItsError),
}

impl<M: DmaRegion> DeviceStore<M> {
    pub(super) fn new(need: TableNeed, table: M, two_level: bool, coherent: bool) -> Self {
        Self { need, table, two_level, coherent, pages: Vec::new(), devices: Vec::new() }
    }

    fn find(&self, id: DeviceId) -> Result<usize, usize> {
        self.devices.binary_search_by_key(&id, |device| device.id)
    }

    /// A device that is attached and not leaving.
    pub(super) fn live(&mut self, id: DeviceId) -> Option<&mut Device<M>> {
        let place = self.find(id).ok()?;
        Some(&mut self.devices[place]).filter(|device| device.leaving.is_none())
    }

    /// Bits of a device's event numbers, if it is attached and not leaving.
    pub(super) fn event_bits(&mut self, id: DeviceId) -> Option<u8> {
        self.live(id).map(|device| device.event_bits)
    }

    /// Whether a device is attached and none of its events is reserved.
    pub(super) fn is_idle(&self, id: DeviceId) -> bool {
        self.find(id).is_ok_and(|place| self.devices[place].is_idle())
    }

    /// Some device that is attached, idle and not leaving.
    pub(super) fn any_idle(&self) -> Option<DeviceId> {
        let idle = |device: &&Device<M>| device.is_idle() && device.leaving.is_none();
        self.devices.iter().find(idle).map(|device| device.id)
    }

    /// Where the level-one entry of an id lies. `None` past the table.
    fn level_one(&self, id: DeviceId) -> Option<usize> {
        let at = (u64::from(id.bits()) / self.need.ids_per_page()) as usize * LevelOneEntry::SIZE;
        (at < self.table.size_bytes()).then_some(at)
    }

    /// Whether the table has a place for this id.
    fn check(&self, id: DeviceId) -> Result<(), AttachError> {
        let number = u64::from(id.bits());
        if number >= self.need.all_ids() {
            return Err(AttachError::IdTooLarge);
        }
        if !self.two_level {
            let held = (self.table.size_bytes() / self.need.entry_bytes) as u64;
            return if number < held { Ok(()) } else { Err(AttachError::IdTooLarge) };
        }
        let at = self.level_one(id).ok_or(AttachError::IdTooLarge)?;
        match LevelOneEntry::decode(self.table.read64(at), self.need.page) {
            Ok(LevelOneEntry { page: Some(_) }) => Ok(()),
            _ => Err(AttachError::NeedsPage),
        }
    }

    fn take_page(&mut self, id: DeviceId, mut page: M) -> Result<(), (AttachError, M)> {
        let at = match self.check(id) {
            Err(AttachError::NeedsPage) => self.level_one(id),
            Ok(()) => return Err((AttachError::NoPageWanted, page)),
            Err(error) => return Err((error, page)),
        };
        let (bytes, address) = (self.need.page.bytes(), page.bus_address());
        let fits = page.size_bytes() == bytes && address.is_multiple_of(bytes as u64);
        let (true, true, Some(at)) = (fits, address >> 52 == 0, at) else {
            return Err((AttachError::BadPage, page));
        };
        if self.pages.try_reserve(1).is_err() {
            return Err((AttachError::NoMemory, page));
        }
        // Zero before it is valid. The ITS caches no entry that is not (§5.2.1), so MAPD,
        // which comes after, finds this one.
        clear(&mut page);
        self.table.write64(at, LevelOneEntry { page: Some(address) }.encode());
        if !self.coherent {
            self.table.write_back(at);
        }
        self.pages.push(page);
        Ok(())
    }
}

impl<R: ItsRegisters, M: DmaRegion> ItsUnit<R, M> {
    /// Bits of an EventID, as far as this server uses them.
    pub(super) fn most_event_bits(&self) -> u8 {
        MOST_EVENT_BITS.min(self.its_type.event_bits())
    }

    /// Bytes of a translation table for 2^event_bits events.
    pub fn event_table_bytes(&self, event_bits: u8) -> usize {
        self.its_type.event_entry_bytes() << event_bits.min(MOST_EVENT_BITS)
    }

    /// Bytes and alignment of a level-two page of the device table.
    pub fn device_page_bytes(&self) -> usize {
        self.devices.need.page.bytes()
    }

    /// Gives the device table the page that `device` falls into.
    pub fn add_device_page(&mut self, device: DeviceId, page: M) -> Result<(), (AttachError, M)> {
        self.devices.take_page(device, page)
    }

    /// MAPD: gives a device its translation table with 2^event_bits events, none mapped.
    pub fn attach(
        &mut self,
        device: DeviceId,
        event_bits: u8,
        mut table: M,
    ) -> Result<Attached, (AttachError, M)> {
        let most = self.most_event_bits();
        let place = match self.devices.find(device) {
            Ok(_) => return Err((AttachError::AlreadyAttached, table)),
            Err(place) => place,
        };
        if event_bits == 0 || event_bits > most {
            return Err((AttachError::TooManyEvents, table));
        }
        let (bytes, address) = (self.event_table_bytes(event_bits), table.bus_address());
        if table.size_bytes() < bytes || address & !0xf_ffff_ffff_ff00 != 0 {
            return Err((AttachError::BadTable, table));
        }
        if let Err(error) = self.devices.check(device) {
            return Err((error, table));
        }
        let room = self.devices.devices.try_reserve(1).ok();
        let Some(events) = room.and_then(|()| Bitmap::full(1 << event_bits)) else {
            return Err((AttachError::NoMemory, table));
        };
        clear(&mut table);
        let map = Command::MapDevice { device, event_bits, table: address };
        let sync = Command::Sync { target: self.targets[0] };
        let ticket = match self.queue.submit(&mut self.registers, &[map, sync]) {
            Ok(ticket) => ticket,
            Err(error) => return Err((AttachError::Its(error), table)),
        };
        let record = Device { id: device, events, table, event_bits, leaving: None };
        self.devices.devices.insert(place, record);
        Ok(match self.queue.wait(&mut self.registers, ticket) {
            Ok(()) => Attached::Now,
            Err(error) => Attached::Late(error),
        })
    }

    /// MAPD with V clear: the device's writes vanish from here on. Gives the table back when
    /// the ITS has let go of it.
    pub fn detach(&mut self, device: DeviceId) -> Result<M, DetachError> {
        let place = self.devices.find(device).map_err(|_| DetachError::NotAttached)?;
        let record = &mut self.devices.devices[place];
        if !record.is_idle() {
            return Err(DetachError::Busy);
        }
        let ticket = match record.leaving {
            Some(ticket) => ticket,
            None => {
                let sync = Command::Sync { target: self.targets[0] };
                let commands = [Command::UnmapDevice { device }, sync];
                let sent = self.queue.submit(&mut self.registers, &commands);
                *record.leaving.insert(sent.map_err(DetachError::Late)?)
            }
        };
        self.queue.wait(&mut self.registers, ticket).map_err(DetachError::Late)?;
        Ok(self.devices.devices.remove(place).table)
    }
}
