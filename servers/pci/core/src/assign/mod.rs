//! Addresses for BARs that firmware left without one, and bridge windows that lead to them.
//!
//! On a PC, firmware has placed everything. Where a kernel is started without it (a device tree, no UEFI), BARs are empty and
//! bridges closed, and somebody has to place them before a driver can reach its device. What has a valid place keeps it.
//!
//! Three kinds of addresses are handed out separately, as bridges forward them separately (bridge §3.2.5): I/O ports,
//! memory below 4 GiB, and 64-bit prefetchable memory. Each bus is filled from the largest alignment down; a bridge asks
//! the bus above for a window that holds all that is behind it. When something does not fit, the largest BAR behind it is
//! left out and everything is planned again, so one enormous BAR does not cost its neighbours their places. Nothing is
//! written before the plan is whole. A function with a BAR that has no place does not decode memory, and a driver is told
//! (`bars::Bar::is_assigned`).
//!
//! On garbage it ends: each round leaves something out, and after [`ROUNDS`] of them all that does not fit is left out.

mod commit;
mod host;
mod plan;
mod space;
mod window;

use alloc::vec::Vec;
use core::fmt;

use crate::{
    ConfigSpace, FunctionAddress, Topology,
    bars::{Bar, Bars},
    placement::Range,
};

pub use host::{Host, HostWindow};
use plan::Plan;

/// Plans that are made before what does not fit is left out all at once.
pub const ROUNDS: usize = 32;

/// Kinds of addresses that bridges forward separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// I/O ports.
    Io,
    /// Memory below 4 GiB, prefetchable or not.
    Low,
    /// Prefetchable memory anywhere.
    High,
}

impl Class {
    const ALL: [Self; 3] = [Self::Io, Self::Low, Self::High];
}

/// Why a BAR has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unplaced {
    /// There is no window for its kind of addresses, or not enough room in it.
    NoRoom,
    /// The register does not hold what was written.
    Stuck,
    /// A bridge above does not take the window that was written.
    BridgeStuck {
        /// The bridge.
        bridge: FunctionAddress,
    },
}

/// What was done, or could not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A BAR got an address.
    Placed {
        /// The function.
        function: FunctionAddress,
        /// The BAR with its new address.
        bar: Bar,
    },
    /// A BAR has none.
    NotPlaced {
        /// The function.
        function: FunctionAddress,
        /// The BAR, without an address.
        bar: Bar,
        /// Why.
        why: Unplaced,
    },
    /// A bridge got a window.
    Opened {
        /// The bridge.
        bridge: FunctionAddress,
        /// For what.
        class: Class,
        /// Which addresses on the bus.
        range: Range,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Placed { function, bar } => {
                write!(f, "{function} BAR {} is at {:#x} now", bar.index, bar.address)
            }
            Self::NotPlaced { function, bar, why } => {
                write!(f, "{function} BAR {} ({:#x} bytes) has no address: ", bar.index, bar.size)?;
                match why {
                    Unplaced::NoRoom => f.write_str("no window has room for it"),
                    Unplaced::Stuck => f.write_str("its register takes none"),
                    Unplaced::BridgeStuck { bridge } => {
                        write!(f, "bridge {bridge} takes no window")
                    }
                }
            }
            Self::Opened { bridge, class, range } => {
                let what = match class {
                    Class::Io => "ports",
                    Class::Low => "memory",
                    Class::High => "prefetchable memory",
                };
                write!(
                    f,
                    "bridge {bridge} forwards {what} {:#x}..{:#x} now",
                    range.start, range.end
                )
            }
        }
    }
}

/// Gives addresses to all BARs of the host bridge's segment that have none, and lets bridges forward them and what comes
/// from behind them. `bars` belong to the topology's functions, in their order, as [`crate::bars::probe`] has found them;
/// they have their new addresses afterwards, or none. Nothing of the machine may be in use yet.
pub fn assign<C: ConfigSpace + ?Sized>(
    config: &mut C,
    topology: &Topology,
    bars: &mut [Bars],
    host: &Host,
) -> Vec<Note> {
    let outcome = Plan::new(config, topology, bars, host).solve(host);
    commit::commit(config, topology, bars, &outcome)
}
