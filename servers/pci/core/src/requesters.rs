//! Which requester ids a function's writes can carry.
//!
//! A PCI Express function's requests carry its own id. Conventional PCI has no ids: a bridge on the way up puts one of its
//! own in. VT-d must check the id that arrives (VT-d §5.1.2, source-id verification), so it must be known here:
//!
//! * a **PCIe-to-PCI bridge** takes ownership of requests from below and uses (secondary bus, device 0, function 0)
//!   (PCI Express to PCI/PCI-X Bridge 1.0 §2.3); requests that come from PCI-X may keep their own id;
//! * a **conventional bridge** (also one from PCI to PCI Express) on the way makes them its own: its primary side's id.
//!
//! Where a device shares an id with its neighbours, hardware cannot tell them apart; [`Requesters::is_shared`] says so.

use alloc::vec::Vec;

use crate::{Express, FunctionAddress, Kind, RequesterId, Topology};

/// What an interrupt remapper should demand of a function's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceCheck {
    /// All 16 bits must be this.
    Exact(RequesterId),
    /// The bus must be one of these.
    Buses {
        /// First bus.
        first: u8,
        /// Last bus, included.
        last: u8,
    },
}

/// The requester ids of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requesters {
    own: RequesterId,
    aliases: Vec<RequesterId>,
    below_express_bridge: bool,
}

impl Requesters {
    /// The function's own id.
    pub fn own(&self) -> RequesterId {
        self.own
    }

    /// The ids that bridges put in its place, the nearest bridge's first.
    pub fn aliases(&self) -> &[RequesterId] {
        &self.aliases
    }

    /// The id that arrives at the remapper: that of the topmost bridge which replaces ids, or its own.
    pub fn at_remapper(&self) -> RequesterId {
        self.aliases.last().copied().unwrap_or(self.own)
    }

    /// The id that arrives is not the function's alone: its neighbours' requests carry it too, or can.
    pub fn is_shared(&self) -> bool {
        !self.aliases.is_empty()
    }

    /// What the remapper should check. Below a PCIe-to-PCI bridge the alias or, from PCI-X, an id of a bus below can
    /// arrive, and only the bus can be demanded.
    pub fn check(&self) -> SourceCheck {
        let arrives = self.at_remapper();
        if self.below_express_bridge {
            SourceCheck::Buses { first: arrives.bus(), last: self.own.bus() }
        } else {
            SourceCheck::Exact(arrives)
        }
    }
}

impl Topology {
    /// The requester ids of a function; `None` when it does not exist.
    pub fn requesters(&self, address: FunctionAddress) -> Option<Requesters> {
        let own = self.function(address)?.address.id;
        let mut requesters = Requesters { own, aliases: Vec::new(), below_express_bridge: false };
        for bridge in self.ancestors(address) {
            let Kind::Bridge(buses) = bridge.kind else {
                continue;
            };
            match bridge.express {
                Some(Express::ToPciBridge) => {
                    requesters.below_express_bridge = true;
                    // Device and function 0 are always possible.
                    requesters.aliases.extend(RequesterId::new(buses.secondary, 0, 0));
                }
                None | Some(Express::FromPciBridge) => {
                    requesters.below_express_bridge = false;
                    requesters.aliases.push(bridge.address.id);
                }
                Some(_) => {}
            }
        }
        Some(requesters)
    }
}
