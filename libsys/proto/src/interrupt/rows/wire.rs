//! A line, as one of its owners has it.

use super::{Binding, Counters, Event, both, halves};
use crate::interrupt::{LineId, MessageId, WireMode, Wiring};
use crate::text::ProgramName;
use crate::wire::{Bits, Reader};
use crate::{DecodeError, Words};

/// What a line does, as far as this owner is concerned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum LineState {
    /// It is delivered.
    Open = 0,
    /// Shared: this owner was told and has not answered, and the level is held back meanwhile.
    Held = 1,
    /// It came too often, or an owner is late, and is masked for a while.
    HeldOff = 2,
    /// Nobody's any more; something of it is on its way.
    Closing = 3,
}

/// How an owner of a shared line stands with the others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum OwnerState {
    /// It answers.
    Good = 0,
    /// It did not answer in time, and nobody waits for it until it does.
    Late = 1,
    /// Its device was taken off the line, and it is told nothing more.
    Dropped = 2,
}

/// Who has a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WireOwner {
    /// The client, as in `ClientRow`. A client that has only lines has no row.
    pub client: u32,
    /// The program, as `init` said; empty if it has not.
    pub name: ProgramName,
    /// Whether it answers.
    pub state: OwnerState,
}

/// One owner's line: a shared one has a row for each of its owners.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WireRow {
    /// Its id, which no message has.
    pub id: MessageId,
    /// The line.
    pub line: LineId,
    /// Trigger and polarity.
    pub wiring: Wiring,
    /// Whether others may have it.
    pub mode: WireMode,
    /// What it does.
    pub state: LineState,
    /// The line is a CPU event itself (a GIC's SPI or PPI); otherwise a chip (an IOAPIC) makes a
    /// message of it.
    pub direct: bool,
    /// Whose it is; `None` when it closes.
    pub owner: Option<WireOwner>,
    /// That message's id, under which it has a row of its own; never of a direct line.
    pub message: Option<MessageId>,
    /// Where it arrives.
    pub event: Event,
    /// What the kernel has counted for the message that this owner has.
    pub counters: Option<Counters>,
    /// Where that message's packets go, if it is bound.
    pub binding: Option<Binding>,
}

impl WireRow {
    pub(super) const WORDS: usize = 10 + ProgramName::WORDS;

    pub(super) fn put(&self, header: u64, words: &mut Words) {
        let flags = self.mode as u64
            | u64::from(self.direct) << 1
            | u64::from(self.owner.is_some()) << 2
            | u64::from(self.message.is_some()) << 3
            | u64::from(self.counters.is_some()) << 4
            | u64::from(self.binding.is_some()) << 5;
        let nobody = WireOwner { client: 0, name: ProgramName::default(), state: OwnerState::Good };
        let owner = self.owner.unwrap_or(nobody);
        let none = Counters { delivered: 0, coalesced: 0, blocked: 0, last_cpu: 0 };
        let counters = self.counters.unwrap_or(none);
        let binding = self.binding.unwrap_or(Binding { port: 0, process: 0, key: 0 });
        words.put(
            header
                | u64::from(self.wiring.to_bits()) << 16
                | (self.state as u64) << 24
                | flags << 32
                | (owner.state as u64) << 40,
        );
        words.put(self.id.0);
        words.put(both(self.line.0, owner.client));
        words.put(self.message.map_or(0, |id| id.0));
        words.put(
            u64::from(self.event.vector)
                | u64::from(self.event.cpu) << 16
                | u64::from(counters.last_cpu) << 24,
        );
        words.put(both(binding.port, binding.process));
        words.put(binding.key);
        words.put(counters.delivered);
        words.put(counters.coalesced);
        words.put(counters.blocked);
        owner.name.put(words);
    }

    pub(super) fn get(mut bits: Bits, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let wiring = Wiring::from_bits(bits.byte()).ok_or(DecodeError::BadValue)?;
        let state = match bits.byte() {
            0 => LineState::Open,
            1 => LineState::Held,
            2 => LineState::HeldOff,
            3 => LineState::Closing,
            _ => return Err(DecodeError::BadValue),
        };
        let mut flags = bits.flags();
        let mode = if flags.flag() { WireMode::Shared } else { WireMode::Exclusive };
        let (direct, has_owner) = (flags.flag(), flags.flag());
        let (has_message, has_counters, has_binding) = (flags.flag(), flags.flag(), flags.flag());
        let standing = match bits.byte() {
            0 => OwnerState::Good,
            1 => OwnerState::Late,
            2 => OwnerState::Dropped,
            _ => return Err(DecodeError::BadValue),
        };
        let id = MessageId(reader.word()?);
        let (line, client) = halves(reader)?;
        let message = MessageId(reader.word()?);
        let mut where_to = reader.bits()?;
        let event = Event { vector: where_to.half(), cpu: where_to.byte() };
        let last_cpu = where_to.byte();
        let (port, process) = halves(reader)?;
        let binding = Binding { port, process, key: reader.word()? };
        let (delivered, coalesced) = (reader.word()?, reader.word()?);
        let counters = Counters { delivered, coalesced, blocked: reader.word()?, last_cpu };
        let owner = WireOwner { client, name: ProgramName::get(reader)?, state: standing };
        // Exactly a line that closes is nobody's, and a direct one is no message.
        if has_owner == (state == LineState::Closing) || direct && has_message {
            return Err(DecodeError::BadValue);
        }
        Ok(WireRow {
            id,
            line: LineId(line),
            wiring,
            mode,
            state,
            direct,
            owner: Some(owner).filter(|_| has_owner),
            message: Some(message).filter(|_| has_message),
            event,
            counters: Some(counters).filter(|_| has_counters),
            binding: Some(binding).filter(|_| has_binding),
        })
    }
}
