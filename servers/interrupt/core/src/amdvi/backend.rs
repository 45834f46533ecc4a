//! AMD-Vi as a [`Remapper`].

use super::tables::{Place, Tables};
use super::unit::{AmdViRegisters, AmdViUnit, EntryMemory};
use super::{Command, DeviceEntry, IndexMessage, Irte, TABLE_ALIGN};
use crate::its::DeviceId;
use crate::vtd::Destination;
use crate::{
    Binding, Capabilities, Drained, Entry, EntryBlock, EntryIndex, EntryName, Fault, Flushed,
    HardwareError, Pair, Rearmed, Remapper, RequesterId, ReserveError, Source, Target, Unrouted,
    Written,
};

/// Multi-message MSI has at most 32 messages (PCI Local Bus 3.0 §6.8.1.3).
const LARGEST_ORDER: u8 = 5;

impl<R: AmdViRegisters, M: EntryMemory> AmdViUnit<R, M> {
    /// The table of an id, made now if it has none. The unit hears of it with the first flush
    /// of one of its entries, which comes before anybody relies on it.
    fn table_of(&mut self, id: RequesterId) -> Result<usize, ReserveError> {
        if let Some(table) = self.tables.find(id) {
            return Ok(table);
        }
        let has_pins = self.io_apics.contains(&id);
        let mut entries_log2 = self.tables.next_log2();
        loop {
            let bytes = self.tables.format.bytes() << entries_log2;
            let memory = match self.table_memory.take(bytes, TABLE_ALIGN) {
                Some(memory) => self.tables.add(id, has_pins, entries_log2, memory),
                None => {
                    self.give_up_idle_table()?;
                    continue;
                }
            };
            match memory {
                Ok(table) => {
                    self.announce(table, id);
                    return Ok(table);
                }
                Err(memory) => {
                    self.table_memory.give_back(memory);
                    self.give_up_idle_table()?;
                    entries_log2 = self.tables.next_log2();
                }
            }
        }
    }

    fn announce(&mut self, table: usize, id: RequesterId) {
        let Some(made) = self.tables.get(table) else { return };
        made.owed = true;
        let entry = DeviceEntry::Remap {
            table: made.memory.bus_address(),
            entries_log2: made.entries_log2,
        };
        self.write_device(id, entry);
    }

    /// Memory and numbers of a device that holds no message.
    fn give_up_idle_table(&mut self) -> Result<(), ReserveError> {
        let idle = self.tables.any_idle().ok_or(ReserveError::NoMemory)?;
        let id = self.tables.get(idle).map(|table| table.id).ok_or(ReserveError::NoMemory)?;
        self.write_device(id, DeviceEntry::Abort);
        let forget = [Command::InvalidateDeviceEntry(id), Command::InvalidateInterruptTable(id)];
        if let Err(error) = self.queue.run(&mut self.registers, &forget) {
            // It may still be used: it stays what it was.
            self.announce(idle, id);
            return Err(ReserveError::Hardware(error));
        }
        if let Some(gone) = self.tables.remove(idle) {
            self.table_memory.give_back(gone.memory);
        }
        Ok(())
    }

    fn write_entry(&mut self, index: EntryIndex, entry: Option<Irte>) {
        if let Some(place) = self.tables.place(index) {
            self.tables.write(place, entry);
        }
    }

    fn flush_table(&mut self, place: Place) -> Result<(), HardwareError> {
        let Some(table) = self.tables.get(place.table) else { return Ok(()) };
        let (id, owed) = (table.id, table.owed);
        let commands = [Command::InvalidateInterruptTable(id), Command::InvalidateDeviceEntry(id)];
        let count = if owed { 2 } else { 1 };
        self.queue.run(&mut self.registers, &commands[..count])?;
        if let Some(table) = self.tables.get(place.table) {
            table.owed = false;
        }
        Ok(())
    }

    fn number(&self, index: EntryIndex) -> u16 {
        self.tables.place(index).map_or(0, |place| place.number)
    }
}

impl<R: AmdViRegisters, M: EntryMemory> Remapper for AmdViUnit<R, M> {
    const BINDING: Binding = Binding::Activation;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "AMD-Vi",
            isolated: true,
            entries: Tables::<M>::all_entries(),
            largest_order: LARGEST_ORDER,
        }
    }

    fn can_target(&self, target: Target) -> bool {
        Destination::new(target.apic, self.entry_format().is_extended()).is_some()
    }

    fn reserve(&mut self, source: Source, order: u8) -> Result<EntryBlock, ReserveError> {
        if order > LARGEST_ORDER {
            return Err(ReserveError::NoContiguous);
        }
        let table = self.table_of(self.table_id(source))?;
        let table = self.tables.get(table).ok_or(ReserveError::NoMemory)?;
        let first = if order == 0 {
            let is_pin = matches!(source, Source::Pins(_));
            table.take(is_pin).ok_or(ReserveError::NoEntries)?
        } else {
            if table.free.is_empty() {
                return Err(ReserveError::NoEntries);
            }
            table.free.take_run(order).ok_or(ReserveError::NoContiguous)?
        };
        // A table has 2048 entries at most.
        Ok(EntryBlock::new(Tables::index(table, first as u16), order, source))
    }

    fn compose(&self, entry: &Entry, _target: Option<Target>) -> Pair {
        IndexMessage { number: self.number(entry.index()) }.encode()
    }

    /// The whole entry in one write, and always a flush: a unit may remember that an entry was
    /// off.
    fn route(&mut self, entry: &Entry, target: Target) -> Written {
        let Some(destination) = Destination::new(target.apic, self.entry_format().is_extended())
        else {
            // `can_target` said no and the server checks it for every CPU at its start.
            return Written::Stale(self.unroute(entry));
        };
        self.write_entry(entry.index(), Some(Irte::message(target.vector, destination)));
        Written::Stale(Unrouted::new(entry.index()))
    }

    fn unroute(&mut self, entry: &Entry) -> Unrouted {
        self.write_entry(entry.index(), None);
        Unrouted::new(entry.index())
    }

    fn flush(&mut self, unrouted: Unrouted) -> Result<Flushed, (Unrouted, HardwareError)> {
        let Some(place) = self.tables.place(unrouted.index()) else {
            // No entry, so nothing that hardware could know.
            return Ok(unrouted.flushed());
        };
        match self.flush_table(place) {
            Ok(()) => Ok(unrouted.flushed()),
            Err(error) => Err((unrouted, error)),
        }
    }

    fn release(&mut self, entry: Entry, drained: Drained) {
        let mut freed = false;
        if drained.index() == entry.index()
            && let Some(place) = self.tables.place(entry.index())
            && let Some(table) = self.tables.get(place.table)
        {
            freed = table.give_back(place.number);
        }
        // The server pairs them; an entry that is not given back is only lost, never shared.
        debug_assert!(freed, "proof and entry belong together");
    }

    fn name(&self, entry: &Entry) -> EntryName {
        let id = self.table_id(entry.source());
        EntryName {
            number: self.number(entry.index()).into(),
            device: Some(DeviceId::from_bits(id.bits().into())),
        }
    }

    fn entries_used(&self) -> u32 {
        self.tables.used()
    }

    fn next_fault(&mut self) -> Option<Fault> {
        self.log.next_fault(&mut self.registers)
    }

    /// A log that was full starts anew once it has been read.
    fn rearm(&mut self) -> Rearmed {
        Rearmed { lost: self.log.take_overflow(&mut self.registers), stalled: false }
    }
}
