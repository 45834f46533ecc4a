//! One slot's books: what its device wrote against what its port brought.
//!
//! A slot is *fired* when its device writes its message. The kernel turns the write into
//! an event; an event makes a packet (*delivered*) or is added to one that still waits
//! (*coalesced*). Two writes that the CPU's interrupt controller sees as one make one event
//! (*merged*): hardware has one pending bit per vector. So, once everything is quiet,
//! `fired = delivered + coalesced + merged`, and what was fired alone has no merged part.

use core::fmt;

/// What the kernel's counters for a message say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Events that made a packet.
    pub delivered: u64,
    /// Events that were added to a packet still waiting.
    pub coalesced: u64,
    /// Events that came while the message was blocked or had no vector.
    pub blocked: u64,
}

/// What is wrong with a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A packet for more events than the device can have raised: somebody else's, or invented.
    Stray {
        /// Writes since the last close.
        fired: u64,
        /// Events that packets reported for them.
        events: u64,
    },
    /// A packet that stands for no event.
    Empty,
    /// A single write did not make exactly one packet of one event.
    NotOnce {
        /// Writes since the last close.
        fired: u64,
        /// Packets since then.
        packets: u64,
        /// Events in those packets.
        events: u64,
    },
    /// Writes that no packet followed.
    Lost {
        /// Writes since the last close.
        fired: u64,
    },
    /// The kernel counted something else.
    Kernel {
        /// What we counted.
        ours: Counters,
        /// What the kernel counted.
        kernel: Counters,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Stray { fired, events } => {
                write!(f, "{events} event(s) came for {fired} write(s)")
            }
            Fault::Empty => f.write_str("a packet without an event"),
            Fault::NotOnce { fired, packets, events } => write!(
                f,
                "{fired} write(s) one at a time made {packets} packet(s) with {events} event(s)"
            ),
            Fault::Lost { fired } => write!(f, "no packet after {fired} write(s)"),
            Fault::Kernel { ours, kernel } => write!(
                f,
                "kernel counts {}/{}/{} delivered/coalesced/blocked, the driver {}/{}/at most {}",
                kernel.delivered,
                kernel.coalesced,
                kernel.blocked,
                ours.delivered,
                ours.coalesced,
                ours.blocked
            ),
        }
    }
}

/// The books of one slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Account {
    fired: u64,
    delivered: u64,
    coalesced: u64,
    merged: u64,
    stopped: u64,
    /// Since the last close: writes, packets, and the events in them.
    open: Open,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Open {
    fired: u64,
    packets: u64,
    events: u64,
}

impl Account {
    /// The device wrote the message once.
    pub fn fire(&mut self) {
        self.fired += 1;
        self.open.fired += 1;
    }

    /// The device wrote the message once while the remapper was told to block it. No
    /// packet may follow.
    pub fn stop(&mut self) {
        self.stopped += 1;
    }

    /// The message is not blocked any more: the interrupt server raises it once for
    /// whatever was stopped, so that nothing is lost. One packet must come.
    pub fn resume(&mut self) {
        self.fire();
    }

    /// A packet for `events` events came.
    ///
    /// # Errors
    /// [`Fault::Stray`] or [`Fault::Empty`]; the packet is counted all the same.
    pub fn packet(&mut self, events: u64) -> Result<(), Fault> {
        self.delivered += 1;
        self.coalesced += events.saturating_sub(1);
        self.open.packets += 1;
        self.open.events += events;
        if events == 0 {
            return Err(Fault::Empty);
        }
        if self.open.events > self.open.fired {
            return Err(Fault::Stray { fired: self.open.fired, events: self.open.events });
        }
        Ok(())
    }

    /// True when writes since the last close have brought a packet.
    #[must_use]
    pub fn answered(&self) -> bool {
        self.open.packets > 0
    }

    /// Closes a write that was fired alone.
    ///
    /// # Errors
    /// [`Fault::NotOnce`] unless one write made one packet of one event.
    pub fn close_single(&mut self) -> Result<(), Fault> {
        let Open { fired, packets, events } = core::mem::take(&mut self.open);
        if (fired, packets, events) == (1, 1, 1) {
            return Ok(());
        }
        Err(Fault::NotOnce { fired, packets, events })
    }

    /// Closes a burst, once nothing more can come for it.
    ///
    /// # Errors
    /// [`Fault::Lost`] when there were writes and no packet.
    pub fn close_burst(&mut self) -> Result<(), Fault> {
        let Open { fired, packets, events } = core::mem::take(&mut self.open);
        self.merged += fired.saturating_sub(events);
        if fired > 0 && packets == 0 { Err(Fault::Lost { fired }) } else { Ok(()) }
    }

    /// The fault of writes that brought nothing in time.
    #[must_use]
    pub fn lost(&self) -> Fault {
        Fault::Lost { fired: self.open.fired }
    }

    /// Compares with the kernel's counters since the message was made. Packets and
    /// coalesced events must be the same. The kernel may have swallowed as many events as
    /// were written into a blocked message or never turned up; hardware that swallowed them
    /// first leaves it nothing to count.
    ///
    /// # Errors
    /// [`Fault::Kernel`] with both sides.
    pub fn agree(&self, kernel: Counters) -> Result<(), Fault> {
        let blocked = self.stopped + self.merged;
        let ours = Counters { delivered: self.delivered, coalesced: self.coalesced, blocked };
        let seen = (kernel.delivered, kernel.coalesced) == (ours.delivered, ours.coalesced);
        if seen && kernel.blocked <= blocked { Ok(()) } else { Err(Fault::Kernel { ours, kernel }) }
    }

    /// Writes of the device.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.fired
    }

    /// Packets.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Events that were added to a packet still waiting.
    #[must_use]
    pub fn coalesced(&self) -> u64 {
        self.coalesced
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_write_one_packet() {
        let mut account = Account::default();
        account.fire();
        assert!(!account.answered());
        assert_eq!(account.packet(1), Ok(()));
        assert!(account.answered());
        assert_eq!(account.close_single(), Ok(()));
        assert_eq!((account.fired(), account.delivered(), account.coalesced()), (1, 1, 0));
    }

    #[test]
    fn what_single_refuses() {
        let mut none = Account::default();
        none.fire();
        assert_eq!(none.close_single(), Err(Fault::NotOnce { fired: 1, packets: 0, events: 0 }));

        let mut twice = Account::default();
        twice.fire();
        assert_eq!(twice.packet(1), Ok(()));
        assert_eq!(twice.packet(1), Err(Fault::Stray { fired: 1, events: 2 }));
        assert_eq!(twice.close_single(), Err(Fault::NotOnce { fired: 1, packets: 2, events: 2 }));
        assert_eq!(twice.packet(0), Err(Fault::Empty));
    }

    #[test]
    fn a_closed_account_takes_no_packet() {
        let mut account = Account::default();
        account.fire();
        account.fire();
        assert_eq!(account.packet(1), Ok(()));
        assert_eq!(account.close_burst(), Ok(()));
        // The second write was merged by hardware: it may not turn up later.
        assert_eq!(account.packet(1), Err(Fault::Stray { fired: 0, events: 1 }));
    }

    #[test]
    fn a_burst_without_a_packet_is_lost() {
        let mut account = Account::default();
        assert_eq!(account.close_burst(), Ok(()));
        account.fire();
        account.fire();
        assert_eq!(account.close_burst(), Err(Fault::Lost { fired: 2 }));
    }

    #[test]
    fn the_kernel_must_agree_on_every_counter() {
        let mut account = Account::default();
        for _ in 0..3 {
            account.fire();
        }
        account.packet(2).expect("two events");
        account.close_burst().expect("answered");
        account.stop();
        // One write was merged or swallowed, one was stopped on purpose.
        let good = Counters { delivered: 1, coalesced: 1, blocked: 2 };
        assert_eq!(account.agree(good), Ok(()));
        assert_eq!(account.agree(Counters { blocked: 0, ..good }), Ok(()));
        for kernel in [
            Counters { delivered: 2, ..good },
            Counters { coalesced: 0, ..good },
            Counters { blocked: 3, ..good },
        ] {
            assert!(matches!(account.agree(kernel), Err(Fault::Kernel { .. })));
        }
    }

    proptest! {
        /// Any honest delivery of a burst is accepted, and the books add up.
        #[test]
        fn honest_bursts_pass(bursts in proptest::collection::vec((1u64..6, any::<u64>()), 0..20)) {
            let mut account = Account::default();
            let mut merged = 0;
            for (writes, choices) in bursts {
                for _ in 0..writes {
                    account.fire();
                }
                // At least one event, split into packets anywhere.
                let events = 1 + choices % writes;
                merged += writes - events;
                let mut left = events;
                let mut choices = choices;
                while left > 0 {
                    let part = 1 + choices % left;
                    choices /= 7;
                    prop_assert_eq!(account.packet(part), Ok(()));
                    left -= part;
                }
                prop_assert_eq!(account.close_burst(), Ok(()));
            }
            prop_assert_eq!(account.fired(), account.delivered() + account.coalesced() + merged);
        }
    }
}
