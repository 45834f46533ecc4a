//! Device scopes: which devices a remapping unit has (VT-d §8.3.1).

use crate::{
    Error, RequesterId,
    bytes::{array, u8_at},
};

/// Bytes of a device scope before its path.
const SCOPE_BYTES: usize = 6;

/// What a device scope names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeKind {
    /// One PCI function.
    PciEndpoint,
    /// A PCI-PCI bridge and all that is behind it.
    PciSubHierarchy,
    /// An IO APIC; the enumeration id is its MADT id.
    IoApic,
    /// A HPET timer block that can send messages; the enumeration id is its HPET number.
    MsiHpet,
    /// A device of the ACPI name space; the enumeration id names its ANDD structure.
    AcpiNamespace,
    /// A kind that is not known here.
    Other(u8),
}

impl ScopeKind {
    fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::PciEndpoint,
            2 => Self::PciSubHierarchy,
            3 => Self::IoApic,
            4 => Self::MsiHpet,
            5 => Self::AcpiNamespace,
            other => Self::Other(other),
        }
    }
}

/// One device scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceScope<'a> {
    /// What it names.
    pub kind: ScopeKind,
    /// IO APIC id or HPET number; 0 for PCI devices.
    pub enumeration_id: u8,
    /// The bus that the path begins on.
    pub start_bus: u8,
    path: &'a [u8],
}

impl<'a> DeviceScope<'a> {
    /// The path: (device, function) of each bridge on the way, then of the device.
    pub fn path(&self) -> impl ExactSizeIterator<Item = (u8, u8)> + use<'a> {
        // The length is even and at least 2: `decode` has checked it.
        self.path.chunks_exact(2).map(|pair| (pair[0], pair[1]))
    }

    /// Follows the path to the device's requester id (§8.3.1). For each bridge on the way `secondary_bus` says which bus
    /// is behind it. `None` when a bridge does not answer, or a number in the path is impossible.
    pub fn resolve(
        &self,
        mut secondary_bus: impl FnMut(RequesterId) -> Option<u8>,
    ) -> Option<RequesterId> {
        let mut bus = self.start_bus;
        let mut hops = self.path().peekable();
        while let Some((device, function)) = hops.next() {
            let id = RequesterId::new(bus, device, function)?;
            if hops.peek().is_none() {
                return Some(id);
            }
            bus = secondary_bus(id)?;
        }
        None
    }

    /// The requester id when no bridge is on the way, as for every IO APIC and HPET seen so far.
    pub fn requester_id(&self) -> Option<RequesterId> {
        self.resolve(|_| None)
    }
}

/// The device scopes of one unit. The first broken one is an `Err` and the last item.
#[derive(Clone, Debug)]
pub struct DeviceScopes<'a> {
    rest: &'a [u8],
}

impl<'a> DeviceScopes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for DeviceScopes<'a> {
    type Item = Result<DeviceScope<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let result = decode(self.rest);
        self.rest = match result {
            Ok((_, rest)) => rest,
            Err(_) => &[],
        };
        Some(result.map(|(scope, _)| scope))
    }
}

/// The first scope and what follows it. At least eight bytes are taken, so the walk always advances.
fn decode(bytes: &[u8]) -> Result<(DeviceScope<'_>, &[u8]), Error> {
    let what = "DMAR device scope";
    let [kind, length] = array(bytes, 0, what)?;
    let length = usize::from(length);
    // The path has at least one (device, function) pair, and only whole ones.
    if length < SCOPE_BYTES + 2 || length % 2 != 0 {
        return Err(Error::BadLength { what, length: length as u64 });
    }
    let (scope, rest) = bytes.split_at_checked(length).ok_or(Error::Truncated {
        what,
        needed: length,
        available: bytes.len(),
    })?;
    let scope = DeviceScope {
        kind: ScopeKind::from_byte(kind),
        enumeration_id: u8_at(scope, 4, what)?,
        start_bus: u8_at(scope, 5, what)?,
        path: scope.get(SCOPE_BYTES..).unwrap_or_default(),
    };
    Ok((scope, rest))
}
