//! The model ITS executes its command queue (§5.3).
//!
//! A command that the specification does not allow is noted and skipped: one of the
//! behaviours that it leaves open, and QEMU's.

use super::its::{Effect, Its, decode_event, encode_device, encode_event, target};
use crate::its::{CollectionId, Command, CommandBase, DeviceId, EventId, Lpi, RdBase, TableKind};

impl Its {
    /// Time passes while the driver polls.
    pub(super) fn step(&mut self) {
        self.sleep = self.sleep.saturating_sub(1);
        if self.sleep == 0 {
            self.run();
        }
    }

    /// Executes what is in the queue.
    pub(super) fn run(&mut self) {
        let Ok(base) = CommandBase::decode(self.registers.command_base) else { return };
        let size = u64::from(base.pages) * 4096;
        while self.registers.enabled()
            && !self.hung
            && self.sleep == 0
            && !self.registers.stalled
            && self.registers.read != self.registers.write
        {
            if self.stalls > 0 {
                self.stalls -= 1;
                self.registers.stalled = true;
                return;
            }
            let at = base.address + self.registers.read;
            let mut words = [0; 4];
            for (place, word) in words.iter_mut().enumerate() {
                *word = self.memory.read(at + 8 * place as u64).unwrap_or(0);
            }
            match Command::decode(words) {
                Ok(command) => {
                    if let Err(what) = self.execute(command) {
                        self.violation(what);
                    }
                }
                Err(error) => self.violation(error.field),
            }
            self.commands += 1;
            self.registers.read = (self.registers.read + Command::SIZE as u64) % size;
        }
    }

    /// A command is never written over before it is executed.
    pub(super) fn check_driver_write(&mut self, address: u64) {
        let Ok(base) = CommandBase::decode(self.registers.command_base) else { return };
        let size = u64::from(base.pages) * 4096;
        let Some(at) = address.checked_sub(base.address).filter(|at| *at < size) else { return };
        if !self.registers.enabled() || !base.valid {
            return;
        }
        let ahead = (at + size - self.registers.read) % size;
        let under_way = (self.registers.write + size - self.registers.read) % size;
        if ahead < under_way {
            self.violation("a command is written over before it is executed");
        }
    }

    fn execute(&mut self, command: Command) -> Result<(), &'static str> {
        match command {
            Command::MapDevice { device, event_bits, table } => {
                self.map_device(device, event_bits, table)
            }
            Command::UnmapDevice { device } => self.unmap_device(device),
            Command::MapCollection { collection, target } => {
                let cpu = self.cpu(target)?;
                self.check_collection(collection)?;
                self.collections.insert(collection.bits(), cpu);
                Ok(())
            }
            Command::UnmapCollection { collection } => {
                self.collections.remove(&collection.bits());
                Ok(())
            }
            Command::MapEvent { device, event, lpi, collection } => {
                self.map_event(device, event, lpi, collection)
            }
            Command::MapSame { device, lpi, collection } => {
                self.map_event(device, EventId::from_bits(lpi.intid()), lpi, collection)
            }
            Command::Move { device, event, collection } => {
                let (at, lpi, old) = self.event(device, event)?;
                let new = self.collection_cpu(collection)?;
                self.memory.write(at, encode_event(lpi, collection.bits()));
                if old != new {
                    self.redistributors[old].effects.push(Effect::MoveTo(lpi, new));
                    // It may look at once.
                    self.property(new, lpi);
                }
                Ok(())
            }
            Command::MoveAll { .. } => Err("MOVALL: not modelled, and not used"),
            Command::Invalidate { device, event } => {
                let (_, lpi, cpu) = self.event(device, event)?;
                self.redistributors[cpu].effects.push(Effect::Invalidate(lpi));
                Ok(())
            }
            Command::InvalidateAll { collection } => {
                let cpu = self.collection_cpu(collection)?;
                self.redistributors[cpu].effects.push(Effect::InvalidateAll);
                Ok(())
            }
            Command::Discard { device, event } => {
                let (at, lpi, cpu) = self.event(device, event)?;
                self.memory.write(at, 0);
                self.mapped.remove(&lpi);
                self.redistributors[cpu].effects.push(Effect::Forget(lpi));
                Ok(())
            }
            Command::Clear { .. } | Command::Raise { .. } => {
                Err("CLEAR, INT: not modelled, and not used")
            }
            Command::Sync { target } => {
                let cpu = self.cpu(target)?;
                self.synchronise(cpu);
                Ok(())
            }
        }
    }

    fn cpu(&self, name: RdBase) -> Result<usize, &'static str> {
        let named = |cpu: &usize| {
            let target = target(*cpu);
            if self.options.target_is_address {
                RdBase::address(target.frame) == Some(name)
            } else {
                RdBase::processor(target.processor) == name
            }
        };
        (0..self.redistributors.len()).find(named).ok_or("RDbase: no such redistributor")
    }

    fn check_collection(&self, collection: CollectionId) -> Result<(), &'static str> {
        let number = u64::from(collection.bits());
        let room = match self.registers.table(TableKind::Collections) {
            Some(base) => self.entry_address(base, number).is_some(),
            None => number < self.options.hardware_collections.into(),
        };
        if room { Ok(()) } else { Err("ICID: past the collections") }
    }

    fn collection_cpu(&self, collection: CollectionId) -> Result<usize, &'static str> {
        self.collections.get(&collection.bits()).copied().ok_or("ICID: not mapped")
    }

    fn map_device(
        &mut self,
        device: DeviceId,
        event_bits: u8,
        table: u64,
    ) -> Result<(), &'static str> {
        let at = self.device_entry(device).ok_or("MAPD: DeviceID has no place in the table")?;
        if self.tables.contains_key(&device) {
            return Err("MAPD: the device has a table");
        }
        if event_bits > self.options.event_bits {
            return Err("MAPD: Size above GITS_TYPER.ID_bits");
        }
        let bytes = 8 << event_bits;
        if !self.memory.covers(table, bytes) {
            return Err("MAPD: the table is not memory");
        }
        if !self.memory.is_zero(table, bytes) {
            return Err("MAPD: the table is not zero");
        }
        if self
            .tables
            .values()
            .any(|(other, bits)| table < other + (8 << bits) && *other < table + bytes)
        {
            return Err("MAPD: the table is another device's");
        }
        self.tables.insert(device, (table, event_bits));
        if !self.memory.write(at, encode_device(table, event_bits)) {
            return Err("MAPD: the device table is not memory");
        }
        Ok(())
    }

    fn unmap_device(&mut self, device: DeviceId) -> Result<(), &'static str> {
        let at = self.device_entry(device).ok_or("MAPD: DeviceID has no place in the table")?;
        let (table, bits) = self.tables.remove(&device).ok_or("MAPD: no table to take away")?;
        self.memory.write(at, 0);
        let left = (0..1_u64 << bits)
            .any(|event| self.memory.read(table + 8 * event).and_then(decode_event).is_some());
        if left { Err("MAPD: events are still mapped") } else { Ok(()) }
    }

    /// Where the entry of an event of a mapped device lies.
    fn event_entry(&self, device: DeviceId, event: EventId) -> Result<u64, &'static str> {
        let (table, bits) = *self.tables.get(&device).ok_or("DeviceID: not mapped")?;
        if u64::from(event.bits()) >= 1 << bits {
            return Err("EventID: past the table");
        }
        Ok(table + 8 * u64::from(event.bits()))
    }

    /// A mapped event: its entry, LPI and CPU.
    fn event(&self, device: DeviceId, event: EventId) -> Result<(u64, Lpi, usize), &'static str> {
        let at = self.event_entry(device, event)?;
        let entry = self.memory.read(at).and_then(decode_event).ok_or("EventID: not mapped")?;
        let cpu = self.collection_cpu(CollectionId::from_bits(entry.1))?;
        Ok((at, entry.0, cpu))
    }

    fn map_event(
        &mut self,
        device: DeviceId,
        event: EventId,
        lpi: Lpi,
        collection: CollectionId,
    ) -> Result<(), &'static str> {
        let at = self.event_entry(device, event)?;
        let cpu = self.collection_cpu(collection)?;
        if self.memory.read(at).and_then(decode_event).is_some() {
            return Err("MAPTI: the event is mapped");
        }
        if self.mapped.contains_key(&lpi) {
            return Err("MAPTI: the LPI is another event's");
        }
        self.check_reuse(lpi, (device, event));
        self.mapped.insert(lpi, (device, event));
        self.memory.write(at, encode_event(lpi, collection.bits()));
        self.property(cpu, lpi);
        Ok(())
    }
}
