//! The books of all slots of a driver, by the key that their packets carry.

use crate::account::{Account, Counters, Fault};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

/// What is wrong, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mismatch {
    /// A slot's books are wrong.
    Slot {
        /// Key of the slot.
        key: u64,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A packet came with a key that no slot has.
    UnknownKey(u64),
    /// One slot was fired alone, and another one's packet came.
    WrongSlot {
        /// Key of the slot that was fired.
        fired: u64,
        /// Key of the packet.
        came: u64,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Slot { key, fault } => write!(f, "key {key}: {fault}"),
            Mismatch::UnknownKey(key) => write!(f, "packet with unknown key {key}"),
            Mismatch::WrongSlot { fired, came } => {
                write!(f, "key {fired} was fired alone, a packet of key {came} came")
            }
        }
    }
}

/// Sums over accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Slots that were fired and delivered at least once.
    pub slots: u64,
    /// Writes.
    pub fired: u64,
    /// Packets.
    pub delivered: u64,
    /// Events added to a waiting packet.
    pub coalesced: u64,
}

/// One account per key, `0..len`.
#[derive(Clone, Debug)]
pub struct Ledger {
    accounts: Vec<Account>,
}

impl Ledger {
    /// Books for the keys `0..len`.
    #[must_use]
    pub fn new(len: usize) -> Ledger {
        Ledger { accounts: vec![Account::default(); len] }
    }

    /// All keys.
    #[must_use]
    pub const fn keys(&self) -> core::ops::Range<u64> {
        0..self.accounts.len() as u64
    }

    fn at(&mut self, key: u64) -> Result<&mut Account, Mismatch> {
        usize::try_from(key)
            .ok()
            .and_then(|index| self.accounts.get_mut(index))
            .ok_or(Mismatch::UnknownKey(key))
    }

    fn with(
        &mut self,
        key: u64,
        change: impl FnOnce(&mut Account) -> Result<(), Fault>,
    ) -> Result<(), Mismatch> {
        change(self.at(key)?).map_err(|fault| Mismatch::Slot { key, fault })
    }

    /// The device wrote the message of `key`.
    ///
    /// # Errors
    /// [`Mismatch::UnknownKey`].
    pub fn fire(&mut self, key: u64) -> Result<(), Mismatch> {
        self.with(key, |account| {
            account.fire();
            Ok(())
        })
    }

    /// The device wrote the message of `key` while it was blocked. See [`Account::stop`].
    ///
    /// # Errors
    /// [`Mismatch::UnknownKey`].
    pub fn stop(&mut self, key: u64) -> Result<(), Mismatch> {
        self.with(key, |account| {
            account.stop();
            Ok(())
        })
    }

    /// The message of `key` was unblocked. See [`Account::resume`].
    ///
    /// # Errors
    /// [`Mismatch::UnknownKey`].
    pub fn resume(&mut self, key: u64) -> Result<(), Mismatch> {
        self.with(key, |account| {
            account.resume();
            Ok(())
        })
    }

    /// A packet came.
    ///
    /// # Errors
    /// It stands for more events than there were writes, or for none, or the key is unknown.
    pub fn packet(&mut self, key: u64, events: u64) -> Result<(), Mismatch> {
        self.with(key, |account| account.packet(events))
    }

    /// A packet came while only `fired` was fired.
    ///
    /// # Errors
    /// As [`Ledger::packet`], and [`Mismatch::WrongSlot`].
    pub fn packet_for(&mut self, fired: u64, came: u64, events: u64) -> Result<(), Mismatch> {
        if came != fired {
            return Err(Mismatch::WrongSlot { fired, came });
        }
        self.packet(came, events)
    }

    /// Closes a single write. See [`Account::close_single`].
    ///
    /// # Errors
    /// When it was not delivered exactly once.
    pub fn close_single(&mut self, key: u64) -> Result<(), Mismatch> {
        self.with(key, Account::close_single)
    }

    /// Closes a burst. See [`Account::close_burst`].
    ///
    /// # Errors
    /// When nothing was delivered.
    pub fn close_burst(&mut self, key: u64) -> Result<(), Mismatch> {
        self.with(key, Account::close_burst)
    }

    /// The mismatch of a slot that was fired and did not answer in time.
    #[must_use]
    pub fn lost(&self, key: u64) -> Mismatch {
        Mismatch::Slot { key, fault: self.account(key).lost() }
    }

    /// Compares with the kernel. See [`Account::agree`].
    ///
    /// # Errors
    /// When a counter differs.
    pub fn agree(&mut self, key: u64, kernel: Counters) -> Result<(), Mismatch> {
        self.with(key, |account| account.agree(kernel))
    }

    /// The books of one slot; empty ones for an unknown key.
    #[must_use]
    pub fn account(&self, key: u64) -> Account {
        usize::try_from(key)
            .ok()
            .and_then(|index| self.accounts.get(index))
            .copied()
            .unwrap_or_default()
    }

    /// Sums over a range of keys.
    #[must_use]
    pub fn totals(&self, keys: core::ops::Range<u64>) -> Totals {
        keys.map(|key| self.account(key)).fold(Totals::default(), |sum, account| Totals {
            slots: sum.slots + u64::from(account.fired() > 0 && account.delivered() > 0),
            fired: sum.fired + account.fired(),
            delivered: sum.delivered + account.delivered(),
            coalesced: sum.coalesced + account.coalesced(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_go_to_their_own_key() {
        let mut ledger = Ledger::new(3);
        ledger.fire(1).expect("known");
        assert_eq!(ledger.packet_for(1, 2, 1), Err(Mismatch::WrongSlot { fired: 1, came: 2 }));
        assert_eq!(ledger.packet_for(1, 1, 1), Ok(()));
        assert_eq!(ledger.close_single(1), Ok(()));
        assert!(matches!(ledger.packet(0, 1), Err(Mismatch::Slot { key: 0, .. })));
        assert_eq!(ledger.packet(3, 1), Err(Mismatch::UnknownKey(3)));
        assert_eq!(ledger.fire(u64::MAX), Err(Mismatch::UnknownKey(u64::MAX)));
    }

    #[test]
    fn a_slot_counts_once_it_was_fired_and_delivered() {
        let mut ledger = Ledger::new(4);
        for key in 0..3 {
            ledger.fire(key).expect("known");
            ledger.fire(key).expect("known");
        }
        ledger.packet(0, 2).expect("fired");
        ledger.packet(1, 1).expect("fired");
        let sums = Totals { slots: 2, fired: 6, delivered: 2, coalesced: 1 };
        assert_eq!(ledger.totals(0..4), sums);
        assert_eq!(ledger.totals(2..4), Totals { fired: 2, ..Totals::default() });
    }
}
