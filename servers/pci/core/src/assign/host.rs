//! What the host bridge forwards.

use alloc::vec::Vec;

use crate::bars::{Bars, Space, present};
use crate::placement::Range;

/// A range that the host bridge forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostWindow {
    /// Addresses on the bus.
    pub pci: Range,
    /// What the CPU uses for the first of them.
    pub cpu: u64,
    /// I/O ports.
    pub io: bool,
    /// The bridge may read ahead and merge writes.
    pub prefetchable: bool,
}

/// A host bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// PCI segment group.
    pub segment: u16,
    /// What it forwards.
    pub windows: Vec<HostWindow>,
    /// The windows are exactly what it forwards. Otherwise they are where it seems to, and what firmware has placed
    /// elsewhere stays there.
    pub exact: bool,
}

impl Host {
    /// A host bridge of which nobody says what it forwards, only where nothing else is (`holes`). Firmware has placed BARs
    /// there. From the lowest of them to the end of its hole addresses are taken to be PCI's; below there may be memory
    /// that firmware has kept for itself. A hole where firmware has placed nothing is left alone.
    pub fn of_holes(segment: u16, holes: &[Range], bars: &[Bars]) -> Self {
        let windows = holes.iter().filter_map(|hole| {
            let placed = bars.iter().flat_map(present).filter(|bar| {
                bar.space != Space::Io && (hole.start..hole.end).contains(&bar.address)
            });
            let start = placed.map(|bar| bar.address).filter(|address| *address != 0).min()?;
            let pci = Range { start, end: hole.end };
            Some(HostWindow { pci, cpu: start, io: false, prefetchable: false })
        });
        Self { segment, windows: windows.collect(), exact: false }
    }

    /// Where the CPU sees a range of memory on the bus. `None` when no window has all of it.
    pub fn cpu_address(&self, pci: Range) -> Option<u64> {
        let inside = |window: &&HostWindow| !window.io && window.pci.contains(pci);
        let window = self.windows.iter().find(inside)?;
        window.cpu.checked_add(pci.start - window.pci.start)
    }
}
