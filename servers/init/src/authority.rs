//! What the kernel gave init, found once.

use core::ops::RangeInclusive;

use init_core::windows::Range;
use libsys::sys;
use tocsin_abi::startup::{Entry, Startup};
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
    /// Only PCs have them.
    ioports: Option<Handle>,
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
            ioports: find("ioports").ok().map(|entry| entry.handle),
        })
    }

    /// Physical address of the ACPI root pointer.
    pub fn rsdp(&self) -> Option<u64> {
        self.env.find("rsdp").map(|entry| entry.value).filter(|address| *address != 0)
    }

    /// The device tree, which is a boot module in all but name.
    pub fn device_tree(&self) -> Option<&'static Entry> {
        self.env.find("dtb").filter(|entry| !entry.handle.is_none())
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

    /// Whether there are I/O ports: whether this is a PC.
    pub fn has_ioports(&self) -> bool {
        self.ioports.is_some()
    }

    /// Authority over I/O ports, to hand on. `None` on machines that have none.
    pub fn ioports_slice(&self, ports: &RangeInclusive<u16>) -> Option<Result<Handle, Error>> {
        let (first, last) = (u64::from(*ports.start()), u64::from(*ports.end()));
        let rights = KEEP | Rights::READ | Rights::WRITE;
        let made = sys::ioports_slice(self.ioports?, first, last - first + 1, rights);
        Some(made.map(|made| made.handle()))
    }

    /// How firmware knows CPU `cpu`: on Arm its affinity (GICR_TYPER\[63:32\]).
    pub fn hardware_id(&self, cpu: u32) -> Result<u32, Error> {
        let values = sys::control_info(self.message_control, cpu.into())?.values;
        Ok(values[3] as u32)
    }

    /// CPUs that run.
    pub fn cpus(&self) -> u32 {
        self.env.cpus
    }
}
