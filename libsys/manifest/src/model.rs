//! What a manifest says, once read.

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{Grant, PinTable};

/// The whole manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What concerns the whole run.
    pub system: System,
    /// What the interrupt server is told.
    pub interrupt: InterruptPolicy,
    /// Programs that are started whatever devices there are, in this order.
    pub servers: Vec<Program>,
    /// Programs that are started for a device, in this order, after the servers.
    pub drivers: Vec<Driver>,
    /// Where devices differ from what firmware says of them.
    pub quirks: Vec<Quirk>,
    /// Where interrupt pins lead on boards whose firmware says it in AML only.
    pub pins: Vec<PinTable>,
}

/// What concerns the whole run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// The program (server or driver) whose exit ends the run, with its exit code.
    pub main: String,
    /// How many CPUs programs are placed on; 0 means all that run.
    pub cpus: u32,
}

impl System {
    /// The CPU for a program that wants `cpu`, on a machine where `running` CPUs run. Programs keep apart as far as there
    /// are CPUs, and one manifest serves every machine.
    pub fn place(&self, cpu: u32, running: u32) -> u32 {
        let usable = match self.cpus {
            0 => running,
            limit => running.min(limit),
        };
        cpu.checked_rem(usable).unwrap_or(0)
    }
}

/// What the interrupt server is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterruptPolicy {
    /// Gives out IMS messages even where no remapper checks source ids (DESIGN §4, invariant 8).
    pub allow_unisolated: bool,
    /// Messages of a client that has no quota of its own.
    pub quota: u32,
    /// Rate budget of a message: more events than this in one window are a storm. 0 means no budget.
    pub storm_events: u32,
    /// Length of the window.
    pub storm_window_ms: u32,
    /// A quirk: the HPET's messages go past the remapper, and nobody checks who writes them. Of no meaning where firmware
    /// says what the remapper sees of them.
    pub hpet_past_remapper: bool,
}

/// A program and what it gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its name: in log lines, and as `main`.
    pub name: String,
    /// The boot module with its ELF file.
    pub module: String,
    /// Kernel and user memory that it may use.
    pub budget_kib: u32,
    /// Priority of its first thread, and the highest it can give: 0 to 31, the higher runs first.
    pub priority: u8,
    /// The CPU of its first thread, taken modulo the number of CPUs ([`System::place`]).
    pub cpu: u32,
    /// Text on its startup page.
    pub args: String,
    /// The capabilities it gets.
    pub grants: Vec<Grant>,
    /// Of an interrupt server below another one (`parent:`): messages that all its drivers may hold together. 0 for others.
    pub quota: u32,
    /// Of such a server: when it dies, and its drivers with it, they are started again so many times.
    pub restarts: u32,
}

/// A program that runs for one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    /// The program.
    pub program: Program,
    /// The device. When the machine has none, the driver is not started and a line says so.
    pub device: DeviceMatch,
    /// DMA memory that the PCI server gives it at most.
    pub dma_kib: u32,
    /// Messages that the interrupt server gives it at most.
    pub quota: u32,
    /// The interrupt server that it asks, where that is not the machine's: the name of a program with a `parent:` grant.
    pub interrupt: Option<String>,
}

impl Program {
    /// The endpoint of the interrupt server that this one, an interrupt server too, is below.
    pub fn parent(&self) -> Option<&str> {
        self.grants.iter().find_map(|grant| match grant {
            Grant::Parent(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The first endpoint that this program receives on.
    pub fn receives(&self) -> Option<&str> {
        self.grants.iter().find_map(|grant| match grant {
            Grant::Receive(name) => Some(name.as_str()),
            _ => None,
        })
    }
}

/// Which device a driver is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "std", serde(deny_unknown_fields))]
pub struct DeviceMatch {
    /// PCI vendor id.
    pub vendor: u16,
    /// PCI device id.
    pub device: u16,
    /// Which of several such devices, from 0, in the order of bus, device and function.
    #[serde(default)]
    pub nth: u16,
}

/// A kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "std", serde(deny_unknown_fields))]
pub struct DeviceKind {
    /// PCI vendor id.
    pub vendor: u16,
    /// PCI device id.
    pub device: u16,
}

/// How all devices of a kind differ from what firmware says of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "std", serde(deny_unknown_fields))]
pub struct Quirk {
    /// The kind of device.
    #[cfg_attr(feature = "std", serde(rename = "match"))]
    pub device: DeviceKind,
    /// What an interrupt translation service (GICv3) knows the device's DMA writes by, where these do not come with the
    /// DeviceID of its interrupt messages. Messages in an interrupt message store are such writes. Other remappers are not
    /// concerned.
    pub dma_device_id: u32,
    /// The requester id that an AMD IOMMU takes the device's DMA writes for, where these do not come with the device's own.
    /// Other remappers are not concerned.
    #[serde(default)]
    pub amdvi_dma_id: Option<u16>,
    /// Why, for people.
    pub reason: String,
}

impl Manifest {
    /// Every program, servers first.
    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        let drivers = self.drivers.iter().map(|driver| &driver.program);
        self.servers.iter().chain(drivers)
    }

    /// The program with this name.
    pub fn program(&self, name: &str) -> Option<&Program> {
        self.programs().find(|program| program.name == name)
    }

    /// The program that receives on the endpoint with this name.
    pub fn receiver(&self, endpoint: &str) -> Option<&Program> {
        self.programs().find(|program| {
            program
                .grants
                .iter()
                .any(|grant| matches!(grant, Grant::Receive(name) if name == endpoint))
        })
    }

    /// The boot modules that this manifest needs, each once, in order of first mention: the programs' and those that are
    /// granted as `module:`. `init`, which no manifest names, is not among them.
    pub fn modules(&self) -> Vec<&str> {
        let mut modules = Vec::new();
        let mut add = |module| {
            if !modules.contains(&module) {
                modules.push(module);
            }
        };
        self.programs().for_each(|program| add(program.module.as_str()));
        for grant in self.programs().flat_map(|program| &program.grants) {
            if let Grant::Module(module) = grant {
                add(module.as_str());
            }
        }
        modules
    }
}
