//! AMD IOMMUs, which the IVRS names.

use alloc::vec::Vec;

use init_core::windows::Range;
use libsys::object::Memory;
use libsys::println;
use tocsin_abi::limits::MAX_MEMORY_BYTES;
use tocsin_firmware::ivrs::Ivhd;
use tocsin_firmware::{Blob, Ivrs, Signature};

use super::{Device, memory, slice};
use crate::authority::Authority;

/// All of them.
#[derive(Default)]
pub struct Iommus {
    /// Their registers.
    pub registers: Vec<Device>,
    /// RAM for the device table (2 MiB), the tables of devices and the buffers, and its size.
    /// The interrupt server drives one IOMMU.
    pub memory: Option<(Memory, u64)>,
}

impl Iommus {
    /// Finds them.
    pub fn find(authority: &Authority, blob: &Blob<'_>, taken: &mut Vec<Range>) -> Self {
        let mut iommus = Self::default();
        // A machine without IVRS is an ordinary one; the interrupt server says what follows.
        let Ok(table) = blob.find(Signature::IVRS, 0).and_then(Ivrs::parse) else { return iommus };
        for unit in table.units() {
            let range = Range::new(unit.register_base, Ivhd::REGISTER_BYTES);
            taken.push(range);
            iommus.registers.extend(slice(authority, range, "AMD-Vi registers"));
        }
        if !iommus.registers.is_empty() {
            match memory::largest(MAX_MEMORY_BYTES) {
                Ok(memory) => iommus.memory = Some(memory),
                Err(error) => println!("init: no memory for the AMD IOMMU: {error}"),
            }
        }
        iommus
    }
}
