//! What the firmware's description says there is, as capabilities to hand out.
//!
//! What is missing or broken is one line, and the machine has less.

mod amdvi;
mod arm;
mod hpet;
mod ioapic;
mod memory;
mod pci;
mod vtd;

use alloc::vec::Vec;

use init_core::gic;
use init_core::windows::Range;
use libsys::println;
use tocsin_abi::Handle;
use tocsin_firmware::{Blob, Line};
use tocsin_manifest::COM1;

pub use amdvi::Iommus;
pub use arm::{Gic, Messages};
pub use hpet::Hpet;
pub use vtd::Unit;

use crate::authority::Authority;
use crate::firmware::Firmware;
use crate::probe::Probe;

/// A range of device memory and the authority over it.
pub struct Device {
    /// The capability.
    pub handle: Handle,
    /// Where it is.
    pub range: Range,
}

/// The serial port for the console: the capability and what the console is told with it.
pub struct Uart {
    /// I/O ports, or a page of registers.
    pub handle: Handle,
    /// Ports: the first, and how many. A page: 0 for a PL011, 1 for the generic part of one;
    /// and where it is.
    pub values: (u64, u64),
}

/// Everything that was found.
pub struct Hardware {
    /// The description, for the servers that read it.
    pub firmware: Option<Firmware>,
    /// The serial port.
    pub uart: Option<Uart>,
    /// Its interrupt line.
    pub uart_line: Option<Line>,
    /// VT-d units in the order of the DMAR.
    pub units: Vec<Unit>,
    /// AMD IOMMUs in the order of the IVRS.
    pub iommus: Iommus,
    /// The pages of a PC's IO APICs, in the order of the MADT.
    pub io_apics: Vec<Device>,
    /// A PC's timers.
    pub hpet: Option<Hpet>,
    /// An Arm machine's interrupt controller.
    pub gic: Option<Gic>,
    /// Configuration space: one for each entry of the MCFG, or each host bridge of the tree.
    pub ecam: Vec<Device>,
    /// Where BARs can lie.
    pub windows: Vec<Device>,
}

impl Hardware {
    /// Reads the description.
    pub fn find(authority: &Authority, probe: &Probe<'_>) -> Self {
        let firmware = Firmware::find(authority);
        let mut hardware = Self {
            firmware: None,
            uart: None,
            uart_line: None,
            units: Vec::new(),
            iommus: Iommus::default(),
            io_apics: Vec::new(),
            hpet: None,
            gic: None,
            ecam: Vec::new(),
            windows: Vec::new(),
        };
        // What PCI windows must leave out.
        let mut taken = Vec::new();
        if let Some(firmware) = &firmware {
            hardware.find_platform(authority, probe, firmware, &mut taken);
        }
        if hardware.uart.is_none() {
            hardware.uart = pc_uart(authority);
        }
        match &firmware {
            Some(Firmware::Acpi(tables)) => match Blob::parse(&tables.bytes) {
                Ok(blob) => {
                    hardware.ecam = pci::ecam_of_tables(authority, &blob, &mut taken);
                    hardware.units = vtd::units(authority, &blob, &mut taken);
                    hardware.iommus = Iommus::find(authority, &blob, &mut taken);
                    if authority.has_ioports() {
                        hardware.io_apics = ioapic::pages(authority, &blob, &mut taken);
                        hardware.hpet = Hpet::find(authority, &blob, &mut taken);
                        hardware.uart_line = ioapic::com1_line(&blob);
                    }
                    hardware.windows = pci::windows_by_exclusion(authority, &taken);
                }
                Err(error) => println!("init: firmware tables: {error}"),
            },
            Some(Firmware::Tree(tree)) => {
                (hardware.ecam, hardware.windows) = pci::of_tree(authority, tree.bytes, &mut taken);
            }
            None => {}
        }
        hardware.firmware = firmware;
        hardware
    }

    /// The interrupt controller and the console of an Arm machine.
    fn find_platform(
        &mut self,
        authority: &Authority,
        probe: &Probe<'_>,
        firmware: &Firmware,
        taken: &mut Vec<Range>,
    ) {
        let platform = match firmware.platform() {
            Ok(platform) => platform,
            // A PC is none.
            Err(_) if authority.has_ioports() => return,
            Err(error) => return println!("init: no interrupt controller to hand out: {error}"),
        };
        for note in &platform.notes {
            println!("init: firmware: {note}");
        }
        taken.extend(gic::taken(&platform));
        self.gic = Gic::find(authority, probe, &platform);
        self.uart = arm::uart(authority, &platform);
        self.uart_line = arm::uart_line(&platform);
    }
}

/// COM1, where there are I/O ports.
fn pc_uart(authority: &Authority) -> Option<Uart> {
    let (first, last) = (u64::from(*COM1.start()), u64::from(*COM1.end()));
    match authority.ioports_slice(&COM1) {
        Some(Ok(handle)) => return Some(Uart { handle, values: (first, last - first + 1) }),
        Some(Err(error)) => println!("init: no serial port: {error}"),
        None => println!("init: no serial port: firmware names none that is a PL011"),
    }
    None
}

/// Authority over a range, or a line.
fn slice(authority: &Authority, range: Range, what: &str) -> Option<Device> {
    match authority.physical_slice(range) {
        Ok(handle) => Some(Device { handle, range }),
        Err(error) => {
            println!("init: {what} {range} skipped: {error}");
            None
        }
    }
}
