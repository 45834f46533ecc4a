//! The rows of all drivers, store by store: kept short, summed, and checked once more.
//!
//! The demonstration does not take a driver's word for its sums: it adds up the rows
//! itself and compares. Of each store only the rows that will be printed are kept.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;
use tocsin_proto::StoreKind;
use tocsin_proto::report::{Row, Summary};

use crate::ledger::Totals;

/// Rows printed from the start of a store.
pub const FIRST_ROWS: usize = 3;
/// Rows printed from its end.
pub const LAST_ROWS: usize = 2;

/// What the reports have wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// A slot was reported twice.
    RepeatedSlot(Row),
    /// Two slots of a device have the same pair.
    SharedPair(Row),
    /// A slot was never fired, or never delivered.
    Silent(Row),
    /// More events than writes.
    Invented(Row),
    /// A store's sums are not the sums of its rows.
    Sums {
        /// What the driver said.
        said: Summary,
        /// What its rows add up to.
        rows: Totals,
    },
    /// Packets on slots that nobody fired.
    WrongSlots(Summary),
    /// Rows of a store whose driver gave no sums.
    NoSummary {
        /// The device.
        requester: u16,
        /// The store.
        kind: StoreKind,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::RepeatedSlot(row) => write!(f, "{} slot {} came twice", row.kind, row.slot),
            Problem::SharedPair(row) => {
                write!(f, "{} slot {} has the pair of another slot", row.kind, row.slot)
            }
            Problem::Silent(row) => write!(
                f,
                "{} slot {}: {} fired, {} delivered",
                row.kind, row.slot, row.fired, row.delivered
            ),
            Problem::Invented(row) => write!(
                f,
                "{} slot {}: {} delivered and {} coalesced, but only {} fired",
                row.kind, row.slot, row.delivered, row.coalesced, row.fired
            ),
            Problem::Sums { said, rows } => write!(
                f,
                "{}: driver says {} slots, {}/{}/{} fired/delivered/coalesced, \
                 its rows say {}, {}/{}/{}",
                said.kind,
                said.reserved,
                said.fired,
                said.delivered,
                said.coalesced,
                rows.slots,
                rows.fired,
                rows.delivered,
                rows.coalesced
            ),
            Problem::WrongSlots(said) => {
                write!(f, "{}: {} packet(s) on a wrong slot", said.kind, said.wrong)
            }
            Problem::NoSummary { requester, kind } => {
                write!(f, "{kind} of device {requester:#06x}: rows without sums")
            }
        }
    }
}

/// One store of one device.
#[derive(Clone, Debug)]
pub struct StoreRows {
    /// The first rows.
    pub first: Vec<Row>,
    /// The last rows, none of which is in `first`.
    pub last: Vec<Row>,
    /// Sums over all rows; `slots` is their number.
    pub rows: Totals,
    /// What the driver said.
    pub summary: Option<Summary>,
    requester: u16,
    kind: StoreKind,
    slots: BTreeSet<u32>,
}

impl StoreRows {
    /// The store.
    #[must_use]
    pub fn kind(&self) -> StoreKind {
        self.kind
    }

    /// Rows that are neither in `first` nor in `last`.
    #[must_use]
    pub fn hidden(&self) -> u64 {
        self.rows.slots - (self.first.len() + self.last.len()) as u64
    }

    fn keep(&mut self, row: Row) {
        if self.first.len() < FIRST_ROWS {
            self.first.push(row);
            return;
        }
        if self.last.len() == LAST_ROWS {
            self.last.remove(0);
        }
        self.last.push(row);
    }
}

/// All rows.
#[derive(Clone, Debug, Default)]
pub struct Table {
    stores: Vec<StoreRows>,
    pairs: BTreeSet<(u16, u64, u32)>,
    problems: Vec<Problem>,
}

impl Table {
    fn store(&mut self, requester: u16, kind: StoreKind) -> &mut StoreRows {
        let found = self.stores.iter().position(|s| (s.requester, s.kind) == (requester, kind));
        let index = found.unwrap_or_else(|| {
            self.stores.push(StoreRows {
                first: Vec::new(),
                last: Vec::new(),
                rows: Totals::default(),
                summary: None,
                requester,
                kind,
                slots: BTreeSet::new(),
            });
            self.stores.len() - 1
        });
        &mut self.stores[index]
    }

    /// Takes a row.
    pub fn add(&mut self, row: Row) {
        if !self.pairs.insert((row.requester, row.address, row.data)) {
            self.problems.push(Problem::SharedPair(row));
        }
        if row.fired == 0 || row.delivered == 0 {
            self.problems.push(Problem::Silent(row));
        }
        if row.delivered.saturating_add(row.coalesced) > row.fired {
            self.problems.push(Problem::Invented(row));
        }
        let store = self.store(row.requester, row.kind);
        if !store.slots.insert(row.slot) {
            self.problems.push(Problem::RepeatedSlot(row));
            return;
        }
        let sums = &mut store.rows;
        sums.slots += 1;
        sums.fired = sums.fired.saturating_add(row.fired);
        sums.delivered = sums.delivered.saturating_add(row.delivered);
        sums.coalesced = sums.coalesced.saturating_add(row.coalesced);
        store.keep(row);
    }

    /// Takes a driver's sums for one store, which come after its rows.
    pub fn summary(&mut self, said: Summary) {
        let store = self.store(said.requester, said.kind);
        store.summary = Some(said);
        let rows = store.rows;
        let says = Totals {
            slots: said.reserved,
            fired: said.fired,
            delivered: said.delivered,
            coalesced: said.coalesced,
        };
        if says != rows {
            self.problems.push(Problem::Sums { said, rows });
        }
        if said.wrong != 0 {
            self.problems.push(Problem::WrongSlots(said));
        }
    }

    /// The stores, in the order in which they were first reported.
    #[must_use]
    pub fn stores(&self) -> &[StoreRows] {
        &self.stores
    }

    /// Sums over the stores of one device.
    #[must_use]
    pub fn device(&self, requester: u16) -> Totals {
        self.sum(|store| store.requester == requester)
    }

    /// Sums over everything.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.sum(|_| true)
    }

    fn sum(&self, which: impl Fn(&StoreRows) -> bool) -> Totals {
        self.stores.iter().filter(|store| which(store)).fold(Totals::default(), |sum, store| {
            Totals {
                slots: sum.slots + store.rows.slots,
                fired: sum.fired.saturating_add(store.rows.fired),
                delivered: sum.delivered.saturating_add(store.rows.delivered),
                coalesced: sum.coalesced.saturating_add(store.rows.coalesced),
            }
        })
    }

    /// Everything that is wrong, once nothing more will come.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let bare = self.stores.iter().filter(|store| store.summary.is_none());
        let bare = bare.map(|s| Problem::NoSummary { requester: s.requester, kind: s.kind });
        self.problems.iter().cloned().chain(bare).collect()
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
pub(crate) mod tests;
