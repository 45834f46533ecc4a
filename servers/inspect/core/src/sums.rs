//! What a branch of the tree adds up to.

use core::ops::AddAssign;
use tocsin_proto::interrupt::{MessageRow, RowState};

/// Sums of messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sums {
    /// How many, by state, in the order of `RowState`.
    pub states: [u64; 4],
    /// Those that are held back because of their rate.
    pub storms: u64,
    /// Those that are bound to a port.
    pub bound: u64,
    /// Events that made a packet.
    pub delivered: u64,
    /// Events that were added to a packet still waiting.
    pub coalesced: u64,
    /// Events that came while their message was blocked or had no vector.
    pub dropped: u64,
    /// Writes that the remapper stopped and recorded.
    pub faults: u64,
}

impl Sums {
    /// All messages.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.states.iter().sum()
    }

    /// Those in this state.
    #[must_use]
    pub const fn state(&self, state: RowState) -> u64 {
        self.states[state as usize]
    }

    /// Of these messages.
    #[must_use]
    pub fn of<'a>(messages: impl IntoIterator<Item = &'a MessageRow>) -> Sums {
        let mut sums = Sums::default();
        messages.into_iter().for_each(|message| sums += message);
        sums
    }
}

impl AddAssign<&MessageRow> for Sums {
    fn add_assign(&mut self, row: &MessageRow) {
        self.states[row.state as usize] += 1;
        self.storms += u64::from(row.storm);
        self.bound += u64::from(row.binding.is_some());
        self.faults += u64::from(row.faults);
        if let Some(counters) = row.counters {
            self.delivered = self.delivered.saturating_add(counters.delivered);
            self.coalesced = self.coalesced.saturating_add(counters.coalesced);
            self.dropped = self.dropped.saturating_add(counters.blocked);
        }
    }
}

impl AddAssign<Sums> for Sums {
    fn add_assign(&mut self, other: Sums) {
        for (mine, others) in self.states.iter_mut().zip(other.states) {
            *mine += others;
        }
        self.storms += other.storms;
        self.bound += other.bound;
        self.faults += other.faults;
        self.delivered = self.delivered.saturating_add(other.delivered);
        self.coalesced = self.coalesced.saturating_add(other.coalesced);
        self.dropped = self.dropped.saturating_add(other.dropped);
    }
}
