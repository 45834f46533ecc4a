//! What the demonstration counts and prints, without hardware.
//!
//! * [`account`], [`ledger`]: a driver's books, slot by slot: writes against packets
//! * [`drill`]: what a driver has its device do: fire alone, in bursts, masked, blocked
//! * [`table`]: rows from all drivers, checked again and laid out for people
//! * [`roster`]: which drivers are expected, and which have said that they are done
//! * [`collector`]: takes the reports, prints the end
//! * [`standing`]: drivers that hold all they can at once, so that it can be looked at
//! * [`verdict`]: the last line, and whether the run was good
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod account;
pub mod collector;
pub mod drill;
pub mod layout;
pub mod ledger;
pub mod roster;
pub mod standing;
pub mod table;
pub mod verdict;

pub use account::{Account, Counters, Fault};
pub use collector::Collector;
pub use drill::{Arrival, Failure, Raised, Rig};
pub use ledger::{Ledger, Mismatch, Totals};
pub use roster::Roster;
pub use table::{Problem, Table};
