//! Base address registers (PCIe §7.5.1.2.1).

use crate::{
    Command, ConfigExt, ConfigSpace, Function, FunctionAddress, Kind,
    header::{BAR0, COMMAND},
};

/// BARs of an ordinary function; a bridge has two.
pub const BARS: usize = 6;

/// What a BAR decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// I/O ports.
    Io,
    /// Memory, below 4 GiB.
    Memory32,
    /// Memory, anywhere; the next BAR is its upper half.
    Memory64,
}

/// A BAR that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Its number, 0 to 5.
    pub index: u8,
    /// What it decodes.
    pub space: Space,
    /// Reading has no side effects, and writes may be merged.
    pub prefetchable: bool,
    /// Bus address, 0 when firmware gave none.
    pub address: u64,
    /// Bytes or ports: a power of two.
    pub size: u64,
}

impl Bar {
    /// Firmware gave it an address.
    pub fn is_assigned(&self) -> bool {
        self.address != 0
    }
}

/// Why a BAR cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarFault {
    /// Memory type 01 (below 1 MiB, long gone) or 11 (never defined).
    ReservedType,
    /// A 64-bit BAR without a register for its upper half.
    NoUpperHalf,
    /// What it reads after all ones were written is no size.
    BadSize,
    /// The address is not a multiple of the size, or the range leaves the address space.
    BadAddress,
}

/// One of the registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slot {
    /// Not implemented.
    #[default]
    Absent,
    /// The upper half of the one before.
    UpperHalf,
    /// A BAR.
    Present(Bar),
    /// Something that is no BAR.
    Broken(BarFault),
}

/// The BARs of a function.
pub type Bars = [Slot; BARS];

/// The BARs that are there.
pub fn present(bars: &Bars) -> impl Iterator<Item = Bar> + '_ {
    bars.iter().filter_map(|slot| match slot {
        Slot::Present(bar) => Some(*bar),
        _ => None,
    })
}

/// Decodes and sizes the BARs. The function does not decode memory or I/O meanwhile, because for a moment its BARs hold all
/// ones and it would answer to somebody else's addresses; so nothing of it may be in use yet.
pub fn probe<C: ConfigSpace + ?Sized>(config: &mut C, function: &Function) -> Bars {
    let count: u16 = match function.kind {
        Kind::Endpoint => BARS as u16,
        Kind::Bridge(_) => 2,
        Kind::CardBus | Kind::Unknown(_) => 0,
    };
    let mut bars = Bars::default();
    if count == 0 {
        return bars;
    }
    let address = function.address;
    let command = Command::from_bits_retain(config.read16(address, COMMAND));
    // A host bridge that stops decoding memory can take RAM with it; it has no BARs that anybody else's would meet.
    let host_bridge = function.class[..2] == [0x06, 0x00];
    let quiet = if host_bridge { command } else { command - (Command::MEMORY | Command::IO) };
    config.write16(address, COMMAND, quiet.bits());
    let mut index = 0;
    while index < count {
        let slot = probe_one(config, address, index, count);
        let wide = matches!(slot, Slot::Present(bar) if bar.space == Space::Memory64)
            || is_wide(slot, config, address, index, count);
        if let Some(place) = bars.get_mut(usize::from(index)) {
            *place = slot;
        }
        if wide {
            index += 1;
            if let Some(place) = bars.get_mut(usize::from(index)) {
                *place = Slot::UpperHalf;
            }
        }
        index += 1;
    }
    config.write16(address, COMMAND, command.bits());
    bars
}

/// A broken 64-bit BAR still owns the register behind it, which must not be taken for a BAR.
fn is_wide<C: ConfigSpace + ?Sized>(
    slot: Slot,
    config: &C,
    address: FunctionAddress,
    index: u16,
    count: u16,
) -> bool {
    matches!(slot, Slot::Broken(BarFault::BadSize | BarFault::BadAddress))
        && index + 1 < count
        && config.read32(address, BAR0 + index * 4) & 0b111 == 0b100
}

/// Writes all ones, reads back which bits stayed, restores (PCIe §7.5.1.2.1, implementation note on sizing).
fn size_mask<C: ConfigSpace + ?Sized>(
    config: &mut C,
    address: FunctionAddress,
    at: u16,
) -> (u32, u32) {
    let value = config.read32(address, at);
    config.write32(address, at, !0);
    let mask = config.read32(address, at);
    config.write32(address, at, value);
    (value, mask)
}

fn probe_one<C: ConfigSpace + ?Sized>(
    config: &mut C,
    address: FunctionAddress,
    index: u16,
    count: u16,
) -> Slot {
    let at = BAR0 + index * 4;
    let (value, mask) = size_mask(config, address, at);
    if mask == 0 {
        return Slot::Absent;
    }
    let (space, prefetchable, base, size_bits) = if value & 1 != 0 {
        // Bits 31:16 of an I/O BAR may be wired to zero, as ports have 16 bits on most machines.
        let low = u64::from(mask & !3);
        let bits = if low >> 16 == 0 { low | 0xffff_0000 } else { low };
        (Space::Io, false, u64::from(value & !3), bits | 0xffff_ffff_0000_0000)
    } else {
        let prefetchable = value & 8 != 0;
        let base = u64::from(value & !0xf);
        let bits = u64::from(mask & !0xf);
        match value >> 1 & 3 {
            0 => (Space::Memory32, prefetchable, base, bits | 0xffff_ffff_0000_0000),
            2 if index + 1 < count => {
                let (high, high_mask) = size_mask(config, address, at + 4);
                (
                    Space::Memory64,
                    prefetchable,
                    base | u64::from(high) << 32,
                    bits | u64::from(high_mask) << 32,
                )
            }
            2 => return Slot::Broken(BarFault::NoUpperHalf),
            _ => return Slot::Broken(BarFault::ReservedType),
        }
    };
    // The writable bits must be all those above the size.
    let size = size_bits.wrapping_neg();
    let largest = match space {
        Space::Io => 1 << 15,
        Space::Memory32 => 1 << 31,
        Space::Memory64 => 1 << 62,
    };
    if !size.is_power_of_two() || size > largest {
        return Slot::Broken(BarFault::BadSize);
    }
    if base & (size - 1) != 0 || base.checked_add(size).is_none() {
        return Slot::Broken(BarFault::BadAddress);
    }
    Slot::Present(Bar { index: index as u8, space, prefetchable, address: base, size })
}
