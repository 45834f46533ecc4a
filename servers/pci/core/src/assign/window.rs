//! A bridge's windows (bridge §3.2.5.6 to §3.2.5.10; PCIe §7.5.1.3).

use super::Class;
use crate::{ConfigExt, ConfigSpace, FunctionAddress, placement::Range};

/// I/O base and limit, one byte each.
const IO_BASE: u16 = 0x1c;
const IO_LIMIT: u16 = 0x1d;
/// Bits 31:16 of both, two bytes each.
const IO_BASE_UPPER: u16 = 0x30;
const IO_LIMIT_UPPER: u16 = 0x32;
/// Memory base and limit.
const MEMORY_BASE: u16 = 0x20;
const MEMORY_LIMIT: u16 = 0x22;
/// Prefetchable memory base and limit, and bits 63:32 of both.
const PREFETCHABLE_BASE: u16 = 0x24;
const PREFETCHABLE_LIMIT: u16 = 0x26;
const PREFETCHABLE_BASE_UPPER: u16 = 0x28;
const PREFETCHABLE_LIMIT_UPPER: u16 = 0x2c;

/// The low four bits of I/O and prefetchable registers: the upper halves are there.
const WIDE: u16 = 1;

impl Class {
    /// What a window's beginning and end are multiples of.
    pub(super) const fn granule(self) -> u64 {
        match self {
            Self::Io => 1 << 12,
            Self::Low | Self::High => 1 << 20,
        }
    }
}

/// Whether a bridge can forward this kind of addresses. That it can forward I/O is only seen when it is tried.
pub(super) fn has<C: ConfigSpace + ?Sized>(
    config: &C,
    bridge: FunctionAddress,
    class: Class,
) -> bool {
    match class {
        Class::Io | Class::Low => true,
        // A prefetchable window below 4 GiB, as old bridges have, is not used.
        Class::High => config.read16(bridge, PREFETCHABLE_BASE) & 0xf == WIDE,
    }
}

/// The window that a bridge forwards now. `None` when it is closed: its limit lies below its base.
pub(super) fn read<C: ConfigSpace + ?Sized>(
    config: &C,
    bridge: FunctionAddress,
    class: Class,
) -> Option<Range> {
    let (base, limit) = match class {
        Class::Io => {
            let low = [config.read8(bridge, IO_BASE), config.read8(bridge, IO_LIMIT)];
            let is_wide = low[0] & 0xf == WIDE as u8;
            let upper = [IO_BASE_UPPER, IO_LIMIT_UPPER]
                .map(|at| if is_wide { u64::from(config.read16(bridge, at)) << 16 } else { 0 });
            let place = |n: usize| upper[n] | u64::from(low[n] & 0xf0) << 8;
            (place(0), place(1))
        }
        Class::Low => {
            let place = |at| u64::from(config.read16(bridge, at) & 0xfff0) << 16;
            (place(MEMORY_BASE), place(MEMORY_LIMIT))
        }
        Class::High => {
            let is_wide = has(config, bridge, Class::High);
            let place = |at, upper| {
                let upper = if is_wide { u64::from(config.read32(bridge, upper)) << 32 } else { 0 };
                upper | u64::from(config.read16(bridge, at) & 0xfff0) << 16
            };
            (
                place(PREFETCHABLE_BASE, PREFETCHABLE_BASE_UPPER),
                place(PREFETCHABLE_LIMIT, PREFETCHABLE_LIMIT_UPPER),
            )
        }
    };
    // The limit names the last granule, and the last of the address space cannot be forwarded with an end in 64 bits.
    let end = limit.checked_add(class.granule())?;
    (base <= limit).then_some(Range { start: base, end })
}

/// Opens a window, a multiple of the granule, or closes it. Says whether the bridge took it.
pub(super) fn write<C: ConfigSpace + ?Sized>(
    config: &mut C,
    bridge: FunctionAddress,
    class: Class,
    window: Option<Range>,
) -> bool {
    let granule = class.granule();
    let (base, limit) = match window {
        Some(range) => (range.start, range.end.saturating_sub(granule)),
        // The highest base and the lowest limit.
        None => (!(granule - 1), 0),
    };
    match class {
        Class::Io => {
            config.write16(bridge, IO_BASE_UPPER, (base >> 16) as u16);
            config.write16(bridge, IO_LIMIT_UPPER, (limit >> 16) as u16);
            config.write8(bridge, IO_BASE, (base >> 8) as u8 & 0xf0);
            config.write8(bridge, IO_LIMIT, (limit >> 8) as u8 & 0xf0);
        }
        Class::Low => {
            config.write16(bridge, MEMORY_BASE, (base >> 16) as u16);
            config.write16(bridge, MEMORY_LIMIT, (limit >> 16) as u16);
        }
        Class::High => {
            config.write32(bridge, PREFETCHABLE_BASE_UPPER, (base >> 32) as u32);
            config.write32(bridge, PREFETCHABLE_LIMIT_UPPER, (limit >> 32) as u32);
            config.write16(bridge, PREFETCHABLE_BASE, (base >> 16) as u16 & 0xfff0);
            config.write16(bridge, PREFETCHABLE_LIMIT, (limit >> 16) as u16 & 0xfff0);
        }
    }
    read(config, bridge, class) == window
}
