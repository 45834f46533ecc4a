//! What the kernel gave init, found once.

use init_core::windows::Range;
use libsys::sys;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle, Rights};

use crate::fatal::Fatal;

/// Rights with which init keeps what it hands on.
const KEEP: Rights = Rights::DUPLICATE.union(Rights::TRANSFER).union(Rights::REVOKE);

/// All authority in the machine.
pub struct Authority {
    env: &'static Startup,
    /// The kernel's log.
    pub log: Handle,
    /// Authority over the vector space.
    pub message_control: Handle,
    physical: Handle,
    physical_bytes: u64,
    ioports: Handle,
}

impl Authority {
    /// Finds everything on the startup page.
    pub fn new(env: &'static Startup) -> Result<Self, Fatal> {
        let find = |name: &str| {
            let entry = env.find(name).filter(|entry| !entry.handle.is_none());
            entry.ok_or_else(|| Fatal::new(format_args!("the kernel gave no `{name}`")))
        };
        let physical = find("physical")?;
        Ok(Self {
            env,
            log: find("log")?.handle,
            message_control: find("message-control")?.handle,
            physical: physical.handle,
            physical_bytes: physical.value,
            ioports: find("ioports")?.handle,
        })
    }

    /// Physical address of the ACPI root pointer.
    pub fn rsdp(&self) -> Option<u64> {
        self.env.find("rsdp").map(|entry| entry.value).filter(|address| *address != 0)
    }

    /// Every range of RAM.
    pub fn ram(&self) -> impl Iterator<Item = Range> + Clone + use<> {
        let entries = self.env.entries().iter().filter(|entry| entry.name() == "ram");
        entries.map(|entry| Range::new(entry.value2, entry.value))
    }

    /// End of the physical address space.
    pub fn physical_end(&self) -> u64 {
        self.physical_bytes
    }

    /// The whole of what is not RAM; offsets are physical addresses.
    pub fn physical(&self) -> Handle {
        self.physical
    }

    /// Authority over one range of device memory, to hand on.
    pub fn physical_slice(&self, range: Range) -> Result<Handle, Error> {
        let rights = KEEP | Rights::READ | Rights::WRITE | Rights::ADDRESS;
        let made = sys::physical_slice(self.physical, range.start, range.length(), rights)?;
        Ok(made.handle())
    }

    /// Authority over I/O ports, to hand on or to use.
    pub fn ioports_slice(&self, first: u16, last: u16) -> Result<Handle, Error> {
        let count = u64::from(last) - u64::from(first) + 1;
        let rights = KEEP | Rights::READ | Rights::WRITE;
        Ok(sys::ioports_slice(self.ioports, first.into(), count, rights)?.handle())
    }
}
