//! DMAR: the VT-d remapping units (VT-d §8.1 to §8.3).

use crate::{
    DeviceScope, DeviceScopes, Error, RequesterId, ScopeKind, Signature, Table,
    bytes::{u8_at, u16_at, u64_at},
};

/// Offset of the first remapping structure: header, width, flags, 10 reserved bytes (§8.1).
const STRUCTURES: usize = 48;
/// Bytes of a DRHD before its device scopes (§8.3).
const DRHD_BYTES: usize = 16;

/// The DMA remapping reporting table.
#[derive(Clone, Copy, Debug)]
pub struct Dmar<'a> {
    table: Table<'a>,
    host_address_width: u8,
    flags: u8,
}

/// A DMA remapping hardware unit definition (§8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drhd<'a> {
    /// Physical address of the unit's registers, a multiple of 4 KiB.
    pub register_base: u64,
    /// Bytes of the register set: 2^SIZE pages (§8.3, SIZE; 0 in old tables, one page).
    pub register_bytes: u64,
    /// PCI segment group the unit works for.
    pub segment: u16,
    /// The unit has all devices of the segment that no other unit's scope names.
    pub include_pci_all: bool,
    scopes: &'a [u8],
}

impl<'a> Drhd<'a> {
    /// The devices that the unit has, and the IO APICs and HPETs with their source ids. With `include_pci_all`, only
    /// those that cannot be enumerated are listed (§8.3).
    pub fn scopes(&self) -> DeviceScopes<'a> {
        DeviceScopes::new(self.scopes)
    }

    /// Whether a scope names this device, or a bridge that it is behind.
    fn names(
        &self,
        device: RequesterId,
        buses_behind: &mut impl FnMut(RequesterId) -> Option<(u8, u8)>,
    ) -> bool {
        self.scopes().flatten().any(|scope| {
            if !matches!(scope.kind, ScopeKind::PciEndpoint | ScopeKind::PciSubHierarchy) {
                return false;
            }
            let Some(named) = scope.resolve(|bridge| Some(buses_behind(bridge)?.0)) else {
                return false;
            };
            named == device
                || scope.kind == ScopeKind::PciSubHierarchy
                    && buses_behind(named)
                        .is_some_and(|(first, last)| (first..=last).contains(&device.bus()))
        })
    }

    /// The source id that the unit expects from the IO APIC with this id (MADT's numbering). `secondary_bus` is asked for
    /// the bus behind a bridge when the scope's path leads through bridges.
    pub fn io_apic_source(
        &self,
        io_apic_id: u8,
        secondary_bus: impl FnMut(RequesterId) -> Option<u8>,
    ) -> Option<RequesterId> {
        self.scopes()
            .flatten()
            .find(|scope: &DeviceScope<'_>| {
                scope.kind == ScopeKind::IoApic && scope.enumeration_id == io_apic_id
            })?
            .resolve(secondary_bus)
    }
}

/// One remapping structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structure<'a> {
    /// Type 0: a remapping unit.
    Drhd(Drhd<'a>),
    /// Any other type (RMRR, ATSR, RHSA, ANDD, SATC, SIDP, or later), with all of its bytes.
    Other {
        /// The type (§8.2).
        kind: u16,
        /// The structure, its four header bytes included.
        bytes: &'a [u8],
    },
}

impl<'a> Dmar<'a> {
    /// Checks header, length and checksum.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let table = Table::parse_as(bytes, Signature::DMAR)?;
        let bytes = table.bytes();
        if bytes.len() < STRUCTURES {
            return Err(Error::Truncated {
                what: "DMAR",
                needed: STRUCTURES,
                available: bytes.len(),
            });
        }
        Ok(Self {
            table,
            host_address_width: u8_at(bytes, 36, "DMAR")?,
            flags: u8_at(bytes, 37, "DMAR")?,
        })
    }

    /// Bits of a DMA address of this machine: the field holds one less (§8.1).
    pub fn host_address_width(&self) -> u16 {
        u16::from(self.host_address_width) + 1
    }

    /// INTR_REMAP: the platform supports interrupt remapping.
    pub fn interrupt_remapping(&self) -> bool {
        self.flags & 1 != 0
    }

    /// X2APIC_OPT_OUT: firmware asks not to use x2APIC mode. It means something only with INTR_REMAP (§8.1).
    pub fn x2apic_opt_out(&self) -> bool {
        self.flags & 0b11 == 0b11
    }

    /// All structures. The first broken one is an `Err` and the last item.
    pub fn structures(&self) -> Structures<'a> {
        Structures { rest: self.table.bytes().get(STRUCTURES..).unwrap_or_default() }
    }

    /// The unit that remaps requests of `device` (§8.3): the one whose scopes name it or a bridge above it, or else the one
    /// that has all the rest of the segment. `buses_behind` is asked for a bridge's (secondary, subordinate) bus numbers.
    pub fn unit_of(
        &self,
        segment: u16,
        device: RequesterId,
        mut buses_behind: impl FnMut(RequesterId) -> Option<(u8, u8)>,
    ) -> Option<Drhd<'a>> {
        let of_segment = || self.drhds().filter(move |drhd| drhd.segment == segment);
        of_segment()
            .find(|drhd| drhd.names(device, &mut buses_behind))
            .or_else(|| of_segment().find(|drhd| drhd.include_pci_all))
    }

    /// The remapping units that could be decoded.
    pub fn drhds(&self) -> impl Iterator<Item = Drhd<'a>> + use<'a> {
        self.structures().filter_map(|structure| match structure {
            Ok(Structure::Drhd(drhd)) => Some(drhd),
            _ => None,
        })
    }
}

/// See [`Dmar::structures`].
#[derive(Clone, Debug)]
pub struct Structures<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Structures<'a> {
    type Item = Result<Structure<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let result = split(self.rest).and_then(|(structure, rest)| {
            self.rest = rest;
            decode(structure)
        });
        if result.is_err() {
            self.rest = &[];
        }
        Some(result)
    }
}

/// The first structure and what follows it. At least four bytes are taken, so the walk always advances.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let what = "DMAR structure";
    let length = u16_at(bytes, 2, what)?;
    if length < 4 {
        return Err(Error::BadLength { what, length: length.into() });
    }
    bytes.split_at_checked(length.into()).ok_or(Error::Truncated {
        what,
        needed: length.into(),
        available: bytes.len(),
    })
}

fn decode(bytes: &[u8]) -> Result<Structure<'_>, Error> {
    let kind = u16_at(bytes, 0, "DMAR structure")?;
    if kind != 0 {
        return Ok(Structure::Other { kind, bytes });
    }
    let what = "DRHD";
    let register_base = u64_at(bytes, 8, what)?;
    let register_bytes = 4096 << (u8_at(bytes, 5, what)? & 0xf);
    // "The base address is 4 KB aligned" (§8.3). A unit at 0 is a table that firmware forgot to fill in.
    if register_base == 0
        || !register_base.is_multiple_of(4096)
        || register_base.checked_add(register_bytes).is_none()
    {
        return Err(Error::BadValue { what: "DRHD register base", value: register_base });
    }
    Ok(Structure::Drhd(Drhd {
        register_base,
        register_bytes,
        segment: u16_at(bytes, 6, what)?,
        include_pci_all: u8_at(bytes, 4, what)? & 1 != 0,
        scopes: bytes.get(DRHD_BYTES..).unwrap_or_default(),
    }))
}
