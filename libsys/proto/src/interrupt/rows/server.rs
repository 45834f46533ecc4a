//! The server and its spaces of vectors.

use super::{both, halves};
use crate::interrupt::RemapperKind;
use crate::wire::{Bits, Reader};
use crate::{DecodeError, Words};

/// An interrupt server: its remapper, and what it counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServerRow {
    /// The back end.
    pub remapper: RemapperKind,
    /// It checks who sent a message.
    pub isolated: bool,
    /// The manifest lets it give out IMS even without that.
    pub allow_unisolated: bool,
    /// CPUs that can take events.
    pub cpus: u8,
    /// Remapper entries there are; zero where a remapper has none of its own.
    pub entries_total: u32,
    /// Entries reserved, those in quarantine included.
    pub entries_used: u32,
    /// Messages that the server can keep account of.
    pub messages_total: u32,
    /// Messages that it keeps account of, those in quarantine included.
    pub messages_used: u32,
    /// Numbers that wait until hardware has forgotten them.
    pub quarantined: u32,
    /// Kernel calls that failed although they undo what had just succeeded.
    pub undo_failures: u32,
    /// Faults read from the hardware.
    pub faults: u64,
    /// Flushes that hardware did not finish in time and that were put off.
    pub flushes_late: u64,
    /// Wires: a row for each.
    pub wires: u32,
    /// Counts requests and events. What differs at the end of a walk from its start may have
    /// changed in between.
    pub changes: u64,
}

impl ServerRow {
    pub(super) const WORDS: usize = 8;

    pub(super) fn put(&self, header: u64, words: &mut Words) {
        words.put(
            header
                | (self.remapper as u64) << 16
                | u64::from(self.isolated) << 24
                | u64::from(self.allow_unisolated) << 25
                | u64::from(self.cpus) << 32,
        );
        words.put(both(self.entries_total, self.entries_used));
        words.put(both(self.messages_total, self.messages_used));
        words.put(both(self.quarantined, self.undo_failures));
        words.put(self.faults);
        words.put(self.flushes_late);
        words.put(self.changes);
        words.put(self.wires.into());
    }

    pub(super) fn get(mut bits: Bits, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let remapper = RemapperKind::from_code(bits.byte())?;
        let mut flags = bits.flags();
        let (isolated, allow_unisolated) = (flags.flag(), flags.flag());
        let cpus = bits.byte();
        let (entries_total, entries_used) = halves(reader)?;
        let (messages_total, messages_used) = halves(reader)?;
        let (quarantined, undo_failures) = halves(reader)?;
        if entries_used > entries_total || messages_used > messages_total {
            return Err(DecodeError::BadValue);
        }
        Ok(ServerRow {
            remapper,
            isolated,
            allow_unisolated,
            cpus,
            entries_total,
            entries_used,
            messages_total,
            messages_used,
            quarantined,
            undo_failures,
            faults: reader.word()?,
            flushes_late: reader.word()?,
            changes: reader.word()?,
            wires: reader.small()?,
        })
    }
}

/// Vectors that are counted together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpaceRow {
    /// The CPU whose they are; `None`: any CPU can have them (LPIs).
    pub cpu: Option<u8>,
    /// All.
    pub total: u32,
    /// Those that nobody has.
    pub free: u32,
    /// Those that wait to be drained.
    pub quarantined: u32,
}

impl SpaceRow {
    pub(super) const WORDS: usize = 3;

    pub(super) fn put(&self, header: u64, words: &mut Words) {
        let cpu = self.cpu.map_or(0, |cpu| 1 << 16 | u64::from(cpu) << 24);
        words.put(header | cpu);
        words.put(both(self.total, self.free));
        words.put(self.quarantined.into());
    }

    pub(super) fn get(mut bits: Bits, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let has_cpu = bits.flags().flag();
        let cpu = Some(bits.byte()).filter(|_| has_cpu);
        let (total, free) = halves(reader)?;
        let quarantined = reader.small()?;
        if u64::from(free) + u64::from(quarantined) > total.into() {
            return Err(DecodeError::BadValue);
        }
        Ok(SpaceRow { cpu, total, free, quarantined })
    }
}
