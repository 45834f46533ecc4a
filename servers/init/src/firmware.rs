//! What firmware says of the machine, in the form that the servers get it.
//!
//! A machine describes itself by ACPI tables or by a device tree. Where it has both the
//! tables count, and the servers see only what counts here, so that all go by the same.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use libsys::map::Mapping;
use libsys::object::Memory;
use libsys::println;
use libsys::startup::module_bytes;
use tocsin_abi::limits::PAGE_BYTES;
use tocsin_abi::{Error, Handle, Rights};
use tocsin_firmware::arm::{self, Platform};
use tocsin_firmware::{PhysReader, Root, Unreadable, blob};

use crate::authority::Authority;

/// The description.
pub enum Firmware {
    /// ACPI tables.
    Acpi(Tables),
    /// A device tree.
    Tree(Tree),
}

/// ACPI tables: every intact one, copied from physical memory.
pub struct Tables {
    /// Init's own copy, to read.
    pub bytes: Vec<u8>,
    /// The servers', to map.
    pub memory: Memory,
    reader: Reader,
    root: Root,
}

/// A device tree: the kernel's copy, which nobody can write.
pub struct Tree {
    /// To read.
    pub bytes: &'static [u8],
    /// The memory with it.
    pub memory: Handle,
}

impl Firmware {
    /// Finds the description.
    pub fn find(authority: &Authority) -> Option<Self> {
        match Tables::gather(authority) {
            Some(Ok(tables)) => return Some(Self::Acpi(tables)),
            Some(Err(why)) => println!("init: no ACPI tables: {why}"),
            None => {}
        }
        let Some(entry) = authority.device_tree() else {
            println!("init: firmware describes nothing: no ACPI root pointer and no device tree");
            return None;
        };
        match module_bytes(entry) {
            Ok(bytes) => {
                println!("init: a device tree of {} bytes", bytes.len());
                Some(Self::Tree(Tree { bytes, memory: entry.handle }))
            }
            Err(error) => {
                println!("init: the device tree can not be read: {error}");
                None
            }
        }
    }

    /// The machine, if it is an Arm machine.
    pub fn platform(&self) -> Result<Platform, arm::Error> {
        match self {
            Self::Acpi(tables) => Platform::from_acpi(&tables.reader, &tables.root),
            Self::Tree(tree) => Platform::from_device_tree(tree.bytes),
        }
    }
}

impl Tables {
    /// Follows the root pointer, if there is one.
    fn gather(authority: &Authority) -> Option<Result<Self, String>> {
        let rsdp = authority.rsdp()?;
        let reader = Reader { physical: authority.physical(), window: RefCell::new(None) };
        Some(Self::copy(reader, rsdp))
    }

    fn copy(reader: Reader, rsdp: u64) -> Result<Self, String> {
        let root = Root::read(&reader, rsdp).map_err(|error| error.to_string())?;
        let mut bytes = alloc::vec![0; blob::size(&reader, &root)];
        let gathered =
            blob::gather(&reader, &root, &mut bytes).map_err(|error| error.to_string())?;
        bytes.truncate(gathered.bytes);
        let memory = share(&bytes).map_err(|error| error.to_string())?;
        let skipped = match gathered.skipped {
            0 => String::new(),
            count => alloc::format!(", {count} broken ones left out"),
        };
        println!("init: {} firmware tables{skipped}", gathered.tables);
        Ok(Self { bytes, memory, reader, root })
    }
}

/// Puts bytes into a memory object.
fn share(bytes: &[u8]) -> Result<Memory, Error> {
    let memory = Memory::new(bytes.len() as u64)?;
    Mapping::of_memory(&memory)?.copy_from(0, bytes);
    Ok(memory)
}

/// Physical memory through a mapping of the page read last: tables are read piece by piece,
/// mostly close together.
struct Reader {
    physical: Handle,
    window: RefCell<Option<(u64, Mapping)>>,
}

impl PhysReader for Reader {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Unreadable> {
        let mut window = self.window.borrow_mut();
        let mut done = 0;
        while done < into.len() {
            let at = address + done as u64;
            let (page, skip) = (at / PAGE_BYTES * PAGE_BYTES, at % PAGE_BYTES);
            let count = (into.len() - done).min((PAGE_BYTES - skip) as usize);
            if window.as_ref().is_none_or(|(mapped, _)| *mapped != page) {
                // The kernel refuses RAM and what lies beyond the address space.
                let mapping = Mapping::new(self.physical, page, PAGE_BYTES, Rights::READ)
                    .map_err(|_| Unreadable)?;
                *window = Some((page, mapping));
            }
            if let Some((_, mapping)) = window.as_ref() {
                mapping.copy_to(skip, &mut into[done..done + count]);
            }
            done += count;
        }
        Ok(())
    }
}
