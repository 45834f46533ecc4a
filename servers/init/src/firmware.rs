//! The ACPI tables, copied from physical memory into one read-only memory object.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use libsys::map::Mapping;
use libsys::object::Memory;
use libsys::println;
use tocsin_abi::limits::PAGE_BYTES;
use tocsin_abi::{Error, Handle, Rights};
use tocsin_firmware::{PhysReader, Root, Unreadable, blob};

use crate::authority::Authority;

/// The copy.
pub struct Firmware {
    /// Init's own, to read.
    pub bytes: Vec<u8>,
    /// The servers', to map.
    pub memory: Memory,
}

impl Firmware {
    /// Follows the root pointer and copies every intact table.
    pub fn gather(authority: &Authority) -> Result<Self, String> {
        let rsdp = authority.rsdp().ok_or("the loader found no ACPI root pointer")?;
        let reader = Reader { physical: authority.physical(), window: RefCell::new(None) };
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
        Ok(Self { bytes, memory })
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
