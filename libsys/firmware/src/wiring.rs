//! How a PC's wires are wired: its IO APICs, and where its ISA interrupts arrive (ACPI §5.2.12.3, §5.2.12.5, §5.2.13).

use core::fmt;

use crate::madt::{Entry, IoApic, Madt, SourceOverride};
use crate::{Line, Polarity, Trigger};

/// IO APICs that are kept. They share 4 bits of address or 8 of id, and no PC has as many.
pub const MAX_IO_APICS: usize = 8;

/// The IO APICs that can be used, as far as the table alone says, and what is wrong with the others.
#[derive(Clone, Debug)]
pub struct IoApics {
    found: [Option<Result<IoApic, BadIoApic>>; MAX_IO_APICS],
    too_many: bool,
}

/// An IO APIC that is better left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadIoApic {
    /// As the table has it.
    pub io_apic: IoApic,
    /// What is wrong with it.
    pub fault: IoApicFault,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoApicFault {
    /// No address of an IO APIC: zero, or its registers do not fit into one page (they begin at a multiple of 16
    /// and end 0x44 bytes further).
    Address,
    /// An earlier one has registers at the same address.
    SameAddress,
    /// An earlier one has the same id: device scopes can not tell them apart, so whose messages are whose is unknown.
    SameId,
    /// An earlier one has the same first GSI.
    SameBase,
}

impl fmt::Display for BadIoApic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IoApic { id, address, gsi_base } = self.io_apic;
        write!(f, "IOAPIC {id} at {address:#x}, GSIs from {gsi_base}: ")?;
        f.write_str(match self.fault {
            IoApicFault::Address => "no IOAPIC can be at this address",
            IoApicFault::SameAddress => "another one has this address",
            IoApicFault::SameId => "another one has this id",
            IoApicFault::SameBase => "another one has these GSIs",
        })
    }
}

/// An override that makes no sense, or contradicts another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadOverride(pub SourceOverride);

impl fmt::Display for BadOverride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SourceOverride { source, gsi, flags } = self.0;
        write!(
            f,
            "the MADT's override of ISA interrupt {source} (GSI {gsi}, flags {flags:#x}) makes no sense"
        )
    }
}

/// Bytes of an IO APIC's registers, the EOI register included.
const REGISTER_BYTES: u32 = 0x44;

impl IoApics {
    /// Out of a MADT.
    pub fn of(madt: &Madt<'_>) -> Self {
        let mut all = Self { found: [None; MAX_IO_APICS], too_many: false };
        for (place, io_apic) in madt.io_apics().enumerate() {
            let fault = all.fault(&io_apic);
            match all.found.get_mut(place) {
                Some(slot) => {
                    *slot =
                        Some(fault.map_or(Ok(io_apic), |it| Err(BadIoApic { io_apic, fault: it })))
                }
                None => all.too_many = true,
            }
        }
        all
    }

    fn fault(&self, io_apic: &IoApic) -> Option<IoApicFault> {
        let page = io_apic.address % 4096;
        if io_apic.address == 0 || !page.is_multiple_of(16) || page + REGISTER_BYTES > 4096 {
            return Some(IoApicFault::Address);
        }
        let earlier = |same: fn(&IoApic, &IoApic) -> bool| {
            self.found.iter().flatten().any(|other| {
                let other = match other {
                    Ok(good) => good,
                    Err(bad) => &bad.io_apic,
                };
                same(other, io_apic)
            })
        };
        if earlier(|a, b| a.address == b.address) {
            Some(IoApicFault::SameAddress)
        } else if earlier(|a, b| a.id == b.id) {
            Some(IoApicFault::SameId)
        } else if earlier(|a, b| a.gsi_base == b.gsi_base) {
            Some(IoApicFault::SameBase)
        } else {
            None
        }
    }

    /// Those that can be used.
    pub fn good(&self) -> impl Iterator<Item = IoApic> {
        self.found.iter().flatten().filter_map(|found| found.ok())
    }

    /// Those that are better left alone.
    pub fn bad(&self) -> impl Iterator<Item = BadIoApic> {
        self.found.iter().flatten().filter_map(|found| found.err())
    }

    /// There are more than [`MAX_IO_APICS`].
    pub fn too_many(&self) -> bool {
        self.too_many
    }
}

impl Madt<'_> {
    /// Where ISA interrupt `source` arrives: on the GSI of the same number, edge and high as ISA has them, unless an
    /// override says something else (§5.2.12.5).
    pub fn isa_line(&self, source: u8) -> Result<Line, BadOverride> {
        let mut found = None;
        for entry in self.entries() {
            let Ok(Entry::SourceOverride(said)) = entry else { continue };
            if said.source != source {
                continue;
            }
            let line = line(&said).ok_or(BadOverride(said))?;
            if found.is_some_and(|earlier| earlier != line) {
                return Err(BadOverride(said));
            }
            found = Some(line);
        }
        let plain =
            Line { number: source.into(), trigger: Trigger::Edge, polarity: Polarity::High };
        Ok(found.unwrap_or(plain))
    }
}

/// MPS INTI flags (table 5.26): 1:0 polarity, 3:2 trigger mode; 00 is as the bus has it, 10 is reserved.
fn line(said: &SourceOverride) -> Option<Line> {
    let polarity = match said.flags & 0b11 {
        0b00 | 0b01 => Polarity::High,
        0b11 => Polarity::Low,
        _ => return None,
    };
    let trigger = match said.flags >> 2 & 0b11 {
        0b00 | 0b01 => Trigger::Edge,
        0b11 => Trigger::Level,
        _ => return None,
    };
    Some(Line { number: said.gsi, trigger, polarity })
}
