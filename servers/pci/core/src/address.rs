//! Where a function is.

use core::fmt;

use crate::RequesterId;

/// A function's place: segment group and requester id (bus, device, function).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionAddress {
    /// PCI segment group; 0 on all but very large machines.
    pub segment: u16,
    /// Bus, device and function, which are also what its requests carry.
    pub id: RequesterId,
}

impl FunctionAddress {
    /// A function of segment 0; `None` when device or function is out of range.
    pub const fn new(bus: u8, device: u8, function: u8) -> Option<Self> {
        match RequesterId::new(bus, device, function) {
            Some(id) => Some(Self { segment: 0, id }),
            None => None,
        }
    }

    /// Bus number.
    pub const fn bus(self) -> u8 {
        self.id.bus()
    }
}

impl fmt::Display for FunctionAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segment != 0 {
            write!(f, "{:04x}:", self.segment)?;
        }
        write!(f, "{}", self.id)
    }
}

impl fmt::Debug for FunctionAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
