//! A message, from its slot to its port.

use super::{both, halves};
use crate::interrupt::MessageId;
use crate::wire::{Bits, Reader};
use crate::{DecodeError, StoreKind, Words};

/// Life of a message as the server sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum RowState {
    /// Has an entry and a pair, no vector.
    Reserved = 0,
    /// Has a vector.
    Active = 1,
    /// Has a vector; its entry is off.
    Blocked = 2,
    /// Freed; its numbers wait for the hardware to forget them.
    Quarantined = 3,
}

/// A CPU event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// The CPU.
    pub cpu: u8,
    /// The vector on it; on aarch64 the INTID.
    pub vector: u16,
}

/// What the kernel has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counters {
    /// Events that made a packet.
    pub delivered: u64,
    /// Events that were added to a packet still waiting.
    pub coalesced: u64,
    /// Events that came while blocked or after deactivation.
    pub blocked: u64,
    /// CPU of the last event, or of the vector while there was none.
    pub last_cpu: u8,
}

/// Where the packets go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The kernel's number of the port, which tells it from others while it lives.
    pub port: u32,
    /// The kernel's number of the process that made the port: the driver's, or that of a
    /// client to which it handed the message.
    pub process: u32,
    /// The key that they carry.
    pub key: u64,
}

/// One message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageRow {
    /// Its id.
    pub id: MessageId,
    /// Its client, as in `ClientRow`.
    pub owner: u32,
    /// Where the pair is kept.
    pub kind: StoreKind,
    /// The slot there, where the server can know it: a line's number. It never sees a device's
    /// store, and drivers do not tell it where they put a message: `None`.
    pub slot: Option<u32>,
    /// State.
    pub state: RowState,
    /// Blocked because of its rate.
    pub storm: bool,
    /// It moved, and its former event is not settled.
    pub moving: bool,
    /// Address of the pair.
    pub address: u64,
    /// Data of the pair.
    pub data: u32,
    /// Remapper entry, by the number that the device's pair holds: VT-d's index into the one
    /// table that all devices share, or an ITS's EventID, of which each device has its own from
    /// 0. `None` on a machine without remapper.
    pub entry: Option<u32>,
    /// The DeviceID that the pair has to be written with, where entries are each device's
    /// own (ITS). Messages of one client may differ in it: an IMS write is DMA, and may carry
    /// another id than an MSI-X message.
    pub device: Option<u32>,
    /// Where its events go.
    pub event: Option<Event>,
    /// CPUs that may take them, one bit each.
    pub cpus: u64,
    /// Former numbers of it that wait in the quarantine.
    pub waiting: u16,
    /// Its device's writes that the remapper stopped and recorded.
    pub faults: u32,
    /// What the kernel has counted; `None` when its message object is gone.
    pub counters: Option<Counters>,
    /// Where its packets go, if it is bound.
    pub binding: Option<Binding>,
}

impl MessageRow {
    pub(super) const WORDS: usize = 13;

    pub(super) fn put(&self, header: u64, words: &mut Words) {
        let flags = u64::from(self.storm)
            | u64::from(self.moving) << 1
            | u64::from(self.slot.is_some()) << 2
            | u64::from(self.entry.is_some()) << 3
            | u64::from(self.device.is_some()) << 4
            | u64::from(self.event.is_some()) << 5
            | u64::from(self.counters.is_some()) << 6
            | u64::from(self.binding.is_some()) << 7;
        words.put(
            header
                | (self.kind as u64) << 16
                | (self.state as u64) << 24
                | flags << 32
                | u64::from(self.waiting) << 40,
        );
        let none = Counters { delivered: 0, coalesced: 0, blocked: 0, last_cpu: 0 };
        let counters = self.counters.unwrap_or(none);
        let binding = self.binding.unwrap_or(Binding { port: 0, process: 0, key: 0 });
        let event = self.event.unwrap_or(Event { cpu: 0, vector: 0 });
        words.put(self.id.0);
        words.put(both(self.owner, self.data));
        words.put(self.address);
        words.put(both(
            u32::from(event.vector)
                | u32::from(event.cpu) << 16
                | u32::from(counters.last_cpu) << 24,
            self.faults,
        ));
        words.put(both(self.entry.unwrap_or(0), self.device.unwrap_or(0)));
        words.put(both(self.slot.unwrap_or(0), 0));
        words.put(both(binding.port, binding.process));
        words.put(binding.key);
        words.put(self.cpus);
        words.put(counters.delivered);
        words.put(counters.coalesced);
        words.put(counters.blocked);
    }

    pub(super) fn get(mut bits: Bits, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = StoreKind::from_code(bits.byte().into())?;
        let state = match bits.byte() {
            0 => RowState::Reserved,
            1 => RowState::Active,
            2 => RowState::Blocked,
            3 => RowState::Quarantined,
            _ => return Err(DecodeError::BadValue),
        };
        let mut flags = bits.flags();
        let mut has = || flags.flag();
        let (storm, moving) = (has(), has());
        let (has_slot, has_entry, has_device) = (has(), has(), has());
        let (has_event, has_counters, has_binding) = (has(), has(), has());
        let waiting = bits.half();
        let id = MessageId(reader.word()?);
        let (owner, data) = halves(reader)?;
        let address = reader.word()?;
        let mut where_to = reader.bits()?;
        let event = Event { vector: where_to.half(), cpu: where_to.byte() };
        let (last_cpu, faults) = (where_to.byte(), where_to.long());
        let (entry, device) = halves(reader)?;
        let (slot, _) = halves(reader)?;
        let (port, process) = halves(reader)?;
        let binding = Binding { port, process, key: reader.word()? };
        let cpus = reader.word()?;
        let (delivered, coalesced) = (reader.word()?, reader.word()?);
        let counters = Counters { delivered, coalesced, blocked: reader.word()?, last_cpu };
        Ok(MessageRow {
            id,
            owner,
            kind,
            slot: Some(slot).filter(|_| has_slot),
            state,
            storm,
            moving,
            address,
            data,
            entry: Some(entry).filter(|_| has_entry),
            device: Some(device).filter(|_| has_device),
            event: Some(event).filter(|_| has_event),
            cpus,
            waiting,
            faults,
            counters: Some(counters).filter(|_| has_counters),
            binding: Some(binding).filter(|_| has_binding),
        })
    }
}
