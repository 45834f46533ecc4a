//! Where BARs can lie: the grants `pci-window<n>` and `ioports`.

use alloc::vec::Vec;

use libsys::object::{Capability, Physical};
use libsys::sys;
use pci_core::placement::Range;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle, Rights};

/// Rights that a driver gets on its BAR.
const BAR_RIGHTS: Rights = Rights::READ
    .union(Rights::WRITE)
    .union(Rights::ADDRESS)
    .union(Rights::DUPLICATE)
    .union(Rights::TRANSFER)
    .union(Rights::REVOKE);

struct Window {
    range: Range,
    handle: Handle,
}

/// All that this server may hand out of the address spaces.
pub struct Windows {
    memory: Vec<Window>,
    ports: Vec<Window>,
}

impl Windows {
    /// From the startup page.
    pub fn new(env: &Startup) -> Self {
        let granted = |name: &str| {
            let entries = env.entries().iter().filter(|entry| !entry.handle.is_none());
            let entries = entries.filter(|entry| entry.name().starts_with(name));
            entries.map(|entry| (entry.handle, entry.value, entry.value2)).collect::<Vec<_>>()
        };
        let memory = granted("pci-window")
            .into_iter()
            .map(|(handle, size, start)| Window { range: Range::new(start, size), handle });
        // For ports the first value is where they begin.
        let ports = granted("ioports")
            .into_iter()
            .map(|(handle, first, count)| Window { range: Range::new(first, count), handle });
        Self { memory: memory.collect(), ports: ports.collect() }
    }

    /// Where memory BARs can lie, as the CPU sees it.
    pub fn ranges(&self) -> Vec<Range> {
        self.memory.iter().map(|window| window.range).collect()
    }

    /// Authority over a range of device memory. `None` when it is in no window.
    pub fn memory(&self, range: Range) -> Option<Result<Physical, Error>> {
        let window = find(&self.memory, range)?;
        let offset = range.start - window.range.start;
        let made = sys::physical_slice(window.handle, offset, range.size(), BAR_RIGHTS);
        Some(made.map(|made| Physical::own(made.handle())))
    }

    /// Authority over a range of I/O ports. `None` when they were not granted.
    pub fn ports(&self, range: Range) -> Option<Result<Capability, Error>> {
        let window = find(&self.ports, range)?;
        let rights = BAR_RIGHTS - Rights::ADDRESS;
        let made = sys::ioports_slice(window.handle, range.start, range.size(), rights);
        Some(made.map(|made| Capability::own(made.handle())))
    }
}

fn find(windows: &[Window], range: Range) -> Option<&Window> {
    windows.iter().find(|window| window.range.contains(range))
}
