//! A device's first message: where the memory for its tables comes from.

use super::devices::{AttachError, DetachError};
use super::unit::{ItsError, ItsRegisters, ItsUnit};
use super::{DeviceId, Prepare, PrepareError};
use crate::vtd::DmaRegion;

/// Memory for translation tables and for pages of the device table. It is asked when a device
/// needs a table for the first time, never for a message.
pub trait TableMemory<M> {
    /// A region of exactly `bytes`, a multiple of 8, aligned to `align`, a power of two.
    fn take(&mut self, bytes: usize, align: usize) -> Option<M>;

    /// A region that hardware has let go of comes back.
    fn give_back(&mut self, memory: M);
}

/// Alignment of a translation table (§5.3.9, ITT_addr).
const TABLE_ALIGN: usize = 256;

impl<R: ItsRegisters, M: DmaRegion> ItsUnit<R, M> {
    /// A table for a device that has none, or one that is too small and idle. As many events
    /// as are asked for, or half, or a quarter, …, as memory allows.
    pub(super) fn prepare_table(
        &mut self,
        device: DeviceId,
        need: Prepare,
    ) -> Result<(), PrepareError<ItsError>> {
        let wanted = self.event_bits(need.events.max(need.least));
        let bits = self.devices.event_bits(device);
        if bits.is_some_and(|bits| bits >= wanted || !self.devices.is_idle(device)) {
            return Ok(());
        }
        match self.detach(device) {
            Ok(table) => self.table_memory.give_back(table),
            Err(DetachError::NotAttached | DetachError::Busy) => {}
            Err(DetachError::Late(error)) => return Err(PrepareError::Hardware(error)),
        }
        let mut bits = wanted;
        loop {
            match self.try_attach(device, bits) {
                Err(PrepareError::NoMemory) if bits > self.event_bits(need.least) => bits -= 1,
                outcome => return outcome,
            }
        }
    }

    /// An ITS that is late keeps the table, and it stays small for a while longer.
    pub(super) fn give_up_small_table(&mut self, device: DeviceId, events: u32) {
        let wanted = self.event_bits(events);
        let small = self.devices.event_bits(device).is_some_and(|bits| bits < wanted);
        if small
            && self.devices.is_idle(device)
            && let Ok(table) = self.detach(device)
        {
            self.table_memory.give_back(table);
        }
    }

    /// What a device needs an EventID of so many bits for; at most what the ITS has.
    fn event_bits(&self, events: u32) -> u8 {
        let bits = events.max(2).next_power_of_two().ilog2() as u8;
        bits.min(self.most_event_bits())
    }

    fn try_attach(&mut self, device: DeviceId, bits: u8) -> Result<(), PrepareError<ItsError>> {
        // ITSs with entries of 4 or 12 bytes exist; memory is handed around in words.
        let bytes = self.event_table_bytes(bits).next_multiple_of(8);
        let Some(mut table) = self.take_table(bytes, TABLE_ALIGN) else {
            return Err(PrepareError::NoMemory);
        };
        for _ in 0..2 {
            let (error, back) = match self.attach(device, bits, table) {
                // Late: MAPD is in front of everything that will be sent for this device.
                Ok(_) => return Ok(()),
                Err(refused) => refused,
            };
            table = back;
            let outcome = match error {
                AttachError::NeedsPage => self.add_page(device),
                AttachError::IdTooLarge => Err(PrepareError::IdTooLarge),
                AttachError::Its(error) => Err(PrepareError::Hardware(error)),
                // The others are about sizes and alignments that were just made right.
                _ => Err(PrepareError::NoMemory),
            };
            if let Err(error) = outcome {
                self.table_memory.give_back(table);
                return Err(error);
            }
        }
        self.table_memory.give_back(table);
        Err(PrepareError::NoMemory)
    }

    fn add_page(&mut self, device: DeviceId) -> Result<(), PrepareError<ItsError>> {
        let bytes = self.device_page_bytes();
        let page = self.take_table(bytes, bytes).ok_or(PrepareError::NoMemory)?;
        self.add_device_page(device, page).map_err(|(_, page)| {
            self.table_memory.give_back(page);
            PrepareError::NoMemory
        })
    }

    /// Memory, if need be that of devices that hold no message.
    fn take_table(&mut self, bytes: usize, align: usize) -> Option<M> {
        if let Some(memory) = self.table_memory.take(bytes, align) {
            return Some(memory);
        }
        while let Some(idle) = self.devices.any_idle() {
            // An ITS that is late keeps its table, and is not waited for twice.
            let table = self.detach(idle).ok()?;
            self.table_memory.give_back(table);
            if let Some(memory) = self.table_memory.take(bytes, align) {
                return Some(memory);
            }
        }
        None
    }
}
