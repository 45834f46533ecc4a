//! The CPUs and the events that the kernel leaves to devices.

use alloc::vec::Vec;

use interrupt_core::vtd::ExtendedMode;
use interrupt_core::{ApicId, Vector, VectorRange};
use libsys::sys;
use tocsin_abi::{Error, Handle};

/// Highest APIC id that 8 bits can hold; 255 means everyone.
const LAST_SHORT_ID: u32 = 254;

/// What the kernel says of it.
pub struct Machine {
    /// What the interrupt fabric calls each CPU.
    pub hardware_ids: Vec<u32>,
    /// Lowest number of a device's event.
    pub first: u16,
    /// Highest number.
    pub last: u16,
    /// An event is the whole machine's and may come on any CPU (INTIDs), rather than each
    /// CPU having vectors of its own.
    pub shares_events: bool,
}

impl Machine {
    /// Asks the kernel.
    pub fn read(control: Handle) -> Result<Self, Error> {
        let [count, first, last, _, shared, ..] = sys::control_info(control, 0)?.values;
        let mut hardware_ids = Vec::new();
        for cpu in 0..count {
            let [_, _, _, id, ..] = sys::control_info(control, cpu)?.values;
            hardware_ids.push(id as u32);
        }
        let number = |value: u64| u16::try_from(value).map_err(|_| Error::BadVector);
        let (first, last) = (number(first)?, number(last)?);
        Ok(Self { hardware_ids, first, last, shares_events: shared == 1 })
    }

    /// How many CPUs there are.
    pub fn cpus(&self) -> u8 {
        self.hardware_ids.len() as u8
    }

    /// The CPUs' APIC ids.
    pub fn apics(&self) -> Vec<ApicId> {
        self.hardware_ids.iter().copied().map(ApicId::from_bits).collect()
    }

    /// The vectors of each CPU.
    pub fn vectors(&self) -> Option<VectorRange> {
        let vector = |number: u16| u8::try_from(number).ok().and_then(Vector::new);
        VectorRange::new(vector(self.first)?, vector(self.last)?)
    }

    /// 32-bit APIC ids only where a CPU needs one: with 8-bit ids every unit works.
    pub fn extended_mode(&self) -> ExtendedMode {
        if self.hardware_ids.iter().any(|id| *id > LAST_SHORT_ID) {
            ExtendedMode::Required
        } else {
            ExtendedMode::Off
        }
    }
}
