//! MADT: the CPUs' local APICs and the IO APICs, or the parts of a GIC ([`crate::gic`]) (ACPI §5.2.12).

use crate::{
    Error, Signature, Table,
    bytes::{u8_at, u16_at, u32_at, u64_at},
    gic::{self, CpuInterface, Distributor, MsiFrame, RedistributorRange, TranslationService},
};

/// Offset of the first entry: header, local APIC address, flags.
pub(crate) const ENTRIES: usize = 44;

/// The multiple APIC description table.
#[derive(Clone, Copy, Debug)]
pub struct Madt<'a> {
    table: Table<'a>,
    local_apic_address: u32,
    flags: u32,
}

/// A CPU, from a local APIC or a local x2APIC entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processor {
    /// Its APIC id: 8 bits in a local APIC entry, 32 in an x2APIC entry.
    pub apic_id: u32,
    /// Its processor uid in the ACPI name space.
    pub uid: u32,
    /// It can be used now.
    pub enabled: bool,
    /// Not enabled, but firmware may bring it later (§5.2.12.2.1).
    pub online_capable: bool,
}

/// An IO APIC (§5.2.12.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoApic {
    /// Its id: what the DMAR's device scopes call it.
    pub id: u8,
    /// Physical address of its registers.
    pub address: u32,
    /// Global system interrupt number of its first pin.
    pub gsi_base: u32,
}

/// Where an ISA interrupt really arrives (§5.2.12.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceOverride {
    /// ISA interrupt number.
    pub source: u8,
    /// Global system interrupt it is wired to.
    pub gsi: u32,
    /// MPS INTI flags: polarity 1:0, trigger mode 3:2.
    pub flags: u16,
}

/// One entry of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// Types 0 (local APIC) and 9 (local x2APIC).
    Processor(Processor),
    /// Type 1.
    IoApic(IoApic),
    /// Type 2.
    SourceOverride(SourceOverride),
    /// Type 5: 64-bit address of the local APICs, in place of the 32-bit one.
    LocalApicAddress(u64),
    /// Type 11: a CPU of a machine with a GIC.
    CpuInterface(CpuInterface),
    /// Type 12.
    Distributor(Distributor),
    /// Type 13.
    MsiFrame(MsiFrame),
    /// Type 14.
    RedistributorRange(RedistributorRange),
    /// Type 15.
    TranslationService(TranslationService),
    /// Any other type, with all of its bytes.
    Other {
        /// The type.
        kind: u8,
        /// The entry, its two header bytes included.
        bytes: &'a [u8],
    },
}

impl<'a> Madt<'a> {
    /// Checks header, length and checksum.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let table = Table::parse_as(bytes, Signature::MADT)?;
        Ok(Self {
            table,
            local_apic_address: u32_at(table.bytes(), 36, "MADT")?,
            flags: u32_at(table.bytes(), 40, "MADT")?,
        })
    }

    /// All entries. The first broken one is an `Err` and the last item: its length cannot be trusted to find the next.
    pub fn entries(&self) -> Entries<'a> {
        Entries { rest: self.table.bytes().get(ENTRIES..).unwrap_or_default() }
    }

    /// The CPUs, in firmware's order (the boot CPU first, §5.2.12.1). Entries that can never be used (neither enabled nor
    /// online capable) are left out, and so is the id 255 of a local APIC entry, which means "no CPU". A CPU has
    /// *either* kind of entry, but old firmware lists some twice: the caller goes by the APIC id.
    pub fn processors(&self) -> impl Iterator<Item = Processor> + use<'a> {
        self.entries().filter_map(|entry| match entry {
            Ok(Entry::Processor(cpu)) if cpu.enabled || cpu.online_capable => Some(cpu),
            _ => None,
        })
    }

    /// The IO APICs.
    pub fn io_apics(&self) -> impl Iterator<Item = IoApic> + use<'a> {
        self.entries().filter_map(|entry| match entry {
            Ok(Entry::IoApic(io_apic)) => Some(io_apic),
            _ => None,
        })
    }

    /// Physical address of every CPU's local APIC, the 64-bit override considered (§5.2.12.8).
    pub fn local_apic_address(&self) -> u64 {
        self.entries()
            .find_map(|entry| match entry {
                Ok(Entry::LocalApicAddress(address)) => Some(address),
                _ => None,
            })
            .unwrap_or(self.local_apic_address.into())
    }

    /// The machine also has a pair of 8259 interrupt controllers, which must be masked (§5.2.12, PCAT_COMPAT).
    pub fn has_8259(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// See [`Madt::entries`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (entry, rest) = match split(self.rest) {
            Ok(split) => split,
            Err(error) => {
                self.rest = &[];
                return Some(Err(error));
            }
        };
        self.rest = rest;
        let decoded = decode(entry);
        if decoded.is_err() {
            self.rest = &[];
        }
        Some(decoded)
    }
}

/// The first entry and what follows it. At least two bytes are taken, so the walk always advances.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let what = "MADT entry";
    let length = u8_at(bytes, 1, what)?;
    if length < 2 {
        return Err(Error::BadLength { what, length: length.into() });
    }
    bytes.split_at_checked(length.into()).ok_or(Error::Truncated {
        what,
        needed: length.into(),
        available: bytes.len(),
    })
}

/// Decodes one entry, all of whose bytes are there.
pub(crate) fn decode(bytes: &[u8]) -> Result<Entry<'_>, Error> {
    Ok(match u8_at(bytes, 0, "MADT entry")? {
        0 => {
            let what = "MADT local APIC entry";
            let apic_id = u8_at(bytes, 3, what)?;
            let flags = u32_at(bytes, 4, what)?;
            // Id 255 is the broadcast id in xAPIC mode: no CPU has it, firmware uses it to fill unused entries.
            processor(
                apic_id.into(),
                u8_at(bytes, 2, what)?.into(),
                if apic_id == 0xff { 0 } else { flags },
            )
        }
        1 => {
            let what = "MADT IO APIC entry";
            Entry::IoApic(IoApic {
                id: u8_at(bytes, 2, what)?,
                address: u32_at(bytes, 4, what)?,
                gsi_base: u32_at(bytes, 8, what)?,
            })
        }
        2 => {
            let what = "MADT interrupt source override";
            Entry::SourceOverride(SourceOverride {
                source: u8_at(bytes, 3, what)?,
                gsi: u32_at(bytes, 4, what)?,
                flags: u16_at(bytes, 8, what)?,
            })
        }
        5 => Entry::LocalApicAddress(u64_at(bytes, 4, "MADT local APIC address override")?),
        9 => {
            let what = "MADT local x2APIC entry";
            processor(u32_at(bytes, 4, what)?, u32_at(bytes, 12, what)?, u32_at(bytes, 8, what)?)
        }
        11 => Entry::CpuInterface(gic::cpu_interface(bytes)?),
        12 => Entry::Distributor(gic::distributor(bytes)?),
        13 => Entry::MsiFrame(gic::msi_frame(bytes)?),
        14 => Entry::RedistributorRange(gic::redistributor_range(bytes)?),
        15 => Entry::TranslationService(gic::translation_service(bytes)?),
        kind => Entry::Other { kind, bytes },
    })
}

fn processor<'a>(apic_id: u32, uid: u32, flags: u32) -> Entry<'a> {
    let enabled = flags & 1 != 0;
    Entry::Processor(Processor {
        apic_id,
        uid,
        enabled,
        // The bit means nothing for a CPU that is enabled already (§5.2.12.2.1, Table 5.23).
        online_capable: !enabled && flags & 2 != 0,
    })
}
