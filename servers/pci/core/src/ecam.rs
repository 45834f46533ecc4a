//! The enhanced configuration access mechanism: configuration space as memory (PCIe §7.2.2).

use tocsin_firmware::mcfg::Segment;

use crate::{FunctionAddress, Register};

/// A range of buses that configuration space is known for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusRange {
    /// PCI segment group.
    pub segment: u16,
    /// First bus.
    pub first: u8,
    /// Last bus, included.
    pub last: u8,
}

impl From<Segment> for BusRange {
    fn from(segment: Segment) -> Self {
        Self { segment: segment.segment, first: segment.first_bus, last: segment.last_bus }
    }
}

/// Offset of a register from `segment.first_address()`, for a server that has mapped `segment.bytes()` from there. `None`
/// when the function is not in this range.
pub fn ecam_offset(
    segment: &Segment,
    function: FunctionAddress,
    register: Register,
) -> Option<u64> {
    if function.segment != segment.segment
        || !(segment.first_bus..=segment.last_bus).contains(&function.bus())
    {
        return None;
    }
    // Bus 27:20, device 19:15, function 14:12, register 11:0: the requester id shifted by 12.
    let first = u64::from(segment.first_bus) << 8;
    Some((u64::from(function.id.bits()) - first) << 12 | u64::from(register.offset()))
}
