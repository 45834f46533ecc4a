//! What the PCI server answers, and the small types of its requests.

use crate::interrupt::{LineId, Wiring};
use crate::wire::{Reader, no_handles};
use crate::{DecodeError, Reply, Words};

/// Width of an access to configuration space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Width {
    /// 8 bits.
    Byte = 1,
    /// 16 bits.
    Word = 2,
    /// 32 bits.
    Long = 4,
}

impl Width {
    /// The bits that a value of this width can have.
    #[must_use]
    pub const fn mask(self) -> u32 {
        match self {
            Width::Byte => 0xff,
            Width::Word => 0xffff,
            Width::Long => 0xffff_ffff,
        }
    }

    pub(super) fn get(reader: &mut Reader<'_>) -> Result<Width, DecodeError> {
        match reader.word()? {
            1 => Ok(Width::Byte),
            2 => Ok(Width::Word),
            4 => Ok(Width::Long),
            _ => Err(DecodeError::BadValue),
        }
    }
}

/// What a device does on its bus.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Enables {
    /// Answers at its I/O BARs.
    pub io: bool,
    /// Answers at its memory BARs.
    pub memory: bool,
    /// Reads and writes memory, messages included.
    pub bus_master: bool,
}

impl Enables {
    /// Memory BARs and bus mastering: what most drivers want.
    pub const MEMORY_AND_MASTER: Enables = Enables { io: false, memory: true, bus_master: true };

    /// As in the command register (PCI 3.0 §6.2.2): bit 0 I/O, bit 1 memory, bit 2 master.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.io as u8 | (self.memory as u8) << 1 | (self.bus_master as u8) << 2
    }

    pub(super) fn get(reader: &mut Reader<'_>) -> Result<Enables, DecodeError> {
        let mut bits = reader.bits()?;
        let on = Enables { io: bits.flag(), memory: bits.flag(), bus_master: bits.flag() };
        bits.end()?;
        Ok(on)
    }
}

/// Reply to `Claim`. Handle 0 is the PCI server, handle 1 the interrupt server, both with
/// the device's badge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claimed {
    /// Requester id.
    pub requester: u16,
}

impl Reply for Claimed {
    fn put(&self, words: &mut Words) {
        words.put(u64::from(self.requester));
    }

    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        if handles != 2 {
            return Err(DecodeError::WrongHandles);
        }
        Ok(Claimed { requester: reader.small()? })
    }
}

/// An MSI capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Msi {
    /// Slots: 1, 2, 4, 8, 16 or 32.
    pub slots: u8,
    /// Each slot has a mask bit.
    pub per_slot_mask: bool,
    /// Addresses may have 64 bits.
    pub wide_address: bool,
}

/// Where in a device's memory something is: a BAR and the bytes from its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BarOffset {
    /// Number of the BAR, 0 to 5.
    pub bar: u8,
    /// Bytes from its start.
    pub offset: u32,
}

impl BarOffset {
    const fn word(self) -> u64 {
        self.bar as u64 | (self.offset as u64) << 8
    }

    fn from_word(word: u64) -> Result<BarOffset, DecodeError> {
        let (bar, offset) = (word as u8, word >> 8);
        match u32::try_from(offset) {
            Ok(offset) if bar < 6 => Ok(BarOffset { bar, offset }),
            _ => Err(DecodeError::BadValue),
        }
    }
}

/// An MSI-X capability (PCIe Base 6.0 §7.7.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsiX {
    /// Slots, 1 to 2048.
    pub slots: u16,
    /// The table: 16 bytes a slot.
    pub table: BarOffset,
    /// The pending bits: one a slot, in words of 64.
    pub pending: BarOffset,
}

/// Most slots that a table can have: the size field has 11 bits (PCIe Base 6.0 §7.7.2.2).
const MSIX_SLOTS: u16 = 2048;

/// Reply to `Describe`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Description {
    /// Requester id.
    pub requester: u16,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Revision.
    pub revision: u8,
    /// Class, subclass, programming interface.
    pub class: [u8; 3],
    /// MSI capability.
    pub msi: Option<Msi>,
    /// MSI-X capability.
    pub msix: Option<MsiX>,
}

impl Reply for Description {
    fn put(&self, words: &mut Words) {
        let [class, subclass, interface] = self.class;
        words.put(
            u64::from(self.requester)
                | u64::from(self.vendor) << 16
                | u64::from(self.device) << 32
                | u64::from(self.revision) << 48,
        );
        words.put(u64::from(class) | u64::from(subclass) << 8 | u64::from(interface) << 16);
        words.put(self.msi.map_or(0, |msi| {
            u64::from(msi.slots)
                | u64::from(msi.per_slot_mask) << 8
                | u64::from(msi.wide_address) << 9
        }));
        words.put(self.msix.map_or(0, |msix| u64::from(msix.slots)));
        if let Some(msix) = self.msix {
            words.put(msix.table.word());
            words.put(msix.pending.word());
        }
    }

    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        no_handles(handles)?;
        let mut ids = reader.bits()?;
        let (requester, vendor, device) = (ids.half(), ids.half(), ids.half());
        let revision = ids.byte();
        ids.end()?;
        let mut bits = reader.bits()?;
        let class = [bits.byte(), bits.byte(), bits.byte()];
        bits.end()?;
        let msi = match reader.word()? {
            0 => None,
            word => {
                let mut bits = Reader::new(&[word]).bits()?;
                let slots = bits.byte();
                if !slots.is_power_of_two() || slots > 32 {
                    return Err(DecodeError::BadValue);
                }
                let msi = Msi { slots, per_slot_mask: bits.flag(), wide_address: bits.flag() };
                bits.end()?;
                Some(msi)
            }
        };
        let msix = match reader.small()? {
            0 => None,
            slots if slots > MSIX_SLOTS => return Err(DecodeError::BadValue),
            slots => Some(MsiX {
                slots,
                table: BarOffset::from_word(reader.word()?)?,
                pending: BarOffset::from_word(reader.word()?)?,
            }),
        };
        Ok(Description { requester, vendor, device, revision, class, msi, msix })
    }
}

/// Where a BAR lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum BarKind {
    /// Memory space; the handle is a physical range.
    Memory = 0,
    /// I/O space; the handle is a range of I/O ports.
    Io = 1,
}

/// Reply to `GetBar`, with one handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bar {
    /// Size.
    pub size_bytes: u64,
    /// Memory or I/O.
    pub kind: BarKind,
    /// Reads have no side effects.
    pub prefetchable: bool,
    /// Address on the bus: what the device's own bus-master accesses would use.
    pub bus_address: u64,
}

impl Reply for Bar {
    fn put(&self, words: &mut Words) {
        words.put(self.size_bytes);
        words.put(self.kind as u64 | u64::from(self.prefetchable) << 1);
        words.put(self.bus_address);
    }

    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        if handles != 1 {
            return Err(DecodeError::WrongHandles);
        }
        let size_bytes = reader.word()?;
        let mut bits = reader.bits()?;
        let kind = if bits.flag() { BarKind::Io } else { BarKind::Memory };
        let prefetchable = bits.flag();
        bits.end()?;
        Ok(Bar { size_bytes, kind, prefetchable, bus_address: reader.word()? })
    }
}

/// Reply to `ConfigRead`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConfigValue {
    /// The value; bits above the width are zero.
    pub value: u32,
}

impl Reply for ConfigValue {
    fn put(&self, words: &mut Words) {
        words.put(u64::from(self.value));
    }

    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        no_handles(handles)?;
        Ok(ConfigValue { value: reader.small()? })
    }
}

/// Reply to `Dma`, with the memory's handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DmaMemory {
    /// Address that the device uses for its first byte.
    pub bus_address: u64,
    /// Size, at least what was asked for.
    pub size_bytes: u64,
}

impl Reply for DmaMemory {
    fn put(&self, words: &mut Words) {
        words.put(self.bus_address);
        words.put(self.size_bytes);
    }

    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        if handles != 1 {
            return Err(DecodeError::WrongHandles);
        }
        Ok(DmaMemory { bus_address: reader.word()?, size_bytes: reader.word()? })
    }
}

/// Reply to `PinLine`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PinWire {
    /// The pin: 1 to 4 for INTA to INTD.
    pub pin: u8,
    /// Where it leads.
    pub line: LineId,
    /// How the device drives it.
    pub wiring: Wiring,
}

impl Reply for PinWire {
    fn put(&self, words: &mut Words) {
        let how = u64::from(self.pin) | u64::from(self.wiring.to_bits()) << 8;
        words.put(u64::from(self.line.0) | how << 32);
    }

    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        no_handles(handles)?;
        let mut bits = reader.bits()?;
        let (line, pin) = (LineId(bits.long()), bits.byte());
        let wiring = Wiring::from_bits(bits.byte()).ok_or(DecodeError::BadValue)?;
        bits.end()?;
        if !(1..=4).contains(&pin) {
            return Err(DecodeError::BadValue);
        }
        Ok(PinWire { pin, line, wiring })
    }
}

/// Reply to `MsiPending`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsiPendingSlots {
    /// One bit a slot.
    pub slots: u32,
}

impl Reply for MsiPendingSlots {
    fn put(&self, words: &mut Words) {
        words.put(u64::from(self.slots));
    }

    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        no_handles(handles)?;
        Ok(MsiPendingSlots { slots: reader.small()? })
    }
}
