//! What firmware says about PCI: a device tree (`dtb`) or ACPI tables (`firmware`), of which
//! init gives the one that counts.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use init_control::pins::Controller;
use libsys::map::Mapping;
use libsys::println;
use libsys::startup::module_bytes;
use pci_core::assign::{Host, HostWindow};
use pci_core::placement::Range;
use tocsin_abi::startup::{Entry, Startup};
use tocsin_abi::{Error, Rights};
use tocsin_firmware::madt::Entry as Part;
use tocsin_firmware::mcfg::Segment;
use tocsin_firmware::pci_host::{DeviceIds, Hosts, Pins, Window, WindowSpace};
use tocsin_firmware::{Blob, Iort, Madt, Mcfg, Signature};

/// Requester ids have no segment in this system, so only this one is taken.
pub const SEGMENT: u16 = 0;

/// What it says.
#[derive(Default)]
pub struct Description {
    /// Where configuration space is.
    pub segments: Vec<Segment>,
    /// What the host bridge forwards. Tables do not say.
    pub host: Option<Host>,
    /// What DeviceIDs an ITS sees.
    pub ids: DeviceIds<'static>,
    /// Where interrupt pins lead, or what is known of it.
    pub pinning: Pinning,
}

/// Who says where interrupt pins lead.
pub enum Pinning {
    /// A device tree.
    Tree(Pins<'static>),
    /// Tables say it in AML, which is not run: what lines there are is known, if that.
    Tables(Option<Controller>),
}

impl Default for Pinning {
    fn default() -> Self {
        Self::Tables(None)
    }
}

impl Description {
    /// Reads what init gave.
    pub fn read(env: &Startup) -> Result<Self, String> {
        let granted = |name| env.find(name).filter(|entry| !entry.handle.is_none());
        if let Some(entry) = granted("dtb") {
            let bytes = module_bytes(entry).map_err(|error| error.to_string())?;
            return Self::of_tree(bytes);
        }
        let entry = granted("firmware").ok_or("firmware has described nothing")?;
        let tables = copy(entry).map_err(|error| error.to_string())?;
        // For the life of the process: the way to an ITS is looked up for each device.
        Self::of_tables(tables.leak())
    }

    // What is read is large, and the stack is small: each reader has a frame of its own.
    #[inline(never)]
    fn of_tree(bytes: &'static [u8]) -> Result<Self, String> {
        let found = match Hosts::from_device_tree(bytes) {
            Ok(found) => Box::new(found),
            Err(error) => return Err(error.to_string()),
        };
        for note in &found.notes {
            println!("pci: {note}");
        }
        let segments = found.hosts.iter().map(|host| host.segment).collect();
        let host = found.hosts.iter().find(|host| host.segment.segment == SEGMENT);
        let host = host.map(|host| Host {
            segment: SEGMENT,
            windows: host.windows.iter().map(window).collect(),
            exact: true,
        });
        let pins = Pins::from_device_tree(bytes).map_err(|error| error.to_string())?;
        Ok(Self { segments, host, ids: found.ids, pinning: Pinning::Tree(pins) })
    }

    #[inline(never)]
    fn of_tables(tables: &'static [u8]) -> Result<Self, String> {
        let blob = Blob::parse(tables).map_err(|error| error.to_string())?;
        let mcfg = blob.find(Signature::MCFG, 0).and_then(Mcfg::parse);
        let mcfg = mcfg.map_err(|error| error.to_string())?;
        let segments = mcfg.segments().flatten().collect();
        let madt = blob.find(Signature::MADT, 0).and_then(Madt::parse);
        let pinning = Pinning::Tables(madt.ok().and_then(|madt| controller(&madt)));
        let ids = match blob.find(Signature::IORT, 0) {
            // A PC, or a machine without an ITS.
            Err(_) => DeviceIds::default(),
            Ok(iort) => match (madt, Iort::parse(iort)) {
                (Ok(madt), Ok(iort)) => DeviceIds::from_acpi(&madt, iort),
                (Err(error), _) | (_, Err(error)) => {
                    println!("pci: the way of messages is not known: {error}");
                    DeviceIds::default()
                }
            },
        };
        Ok(Self { segments, host: None, ids, pinning })
    }
}

/// Which interrupt controller a machine has, whose lines the manifest's tables number.
fn controller(madt: &Madt<'_>) -> Option<Controller> {
    madt.entries().flatten().find_map(|part| match part {
        Part::IoApic(_) => Some(Controller::IoApic),
        Part::Distributor(_) => Some(Controller::Gic),
        _ => None,
    })
}

fn window(window: &Window) -> HostWindow {
    HostWindow {
        pci: Range::new(window.pci, window.size),
        cpu: window.cpu,
        io: window.space == WindowSpace::Io,
        prefetchable: window.prefetchable,
    }
}

/// A copy of the tables.
fn copy(entry: &Entry) -> Result<Vec<u8>, Error> {
    let mapped = entry.value.next_multiple_of(4096);
    let mapping = Mapping::new(entry.handle, 0, mapped, Rights::READ)?;
    Ok(mapping.to_vec(0, entry.value))
}
