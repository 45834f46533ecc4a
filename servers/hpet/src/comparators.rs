//! The block as this program has it: its page, and the store that its messages are in.

use alloc::rc::Rc;
use alloc::vec::Vec;

use hpet_core::{HpetRegisters, TimerConfiguration, timer};
use libsys::map::{Access, Mapping};
use libsys::startup::Environment;
use libsys::store::{MaskField, RegisterSlot};
use libsys::{Error, Rights, Startup};

/// The registers, from where they begin in their page.
#[derive(Clone, Debug)]
pub struct Registers(Rc<Page>);

#[derive(Debug)]
struct Page {
    mapping: Mapping,
    offset: u64,
}

impl Registers {
    /// Those that init has given. `None`: the machine has no HPET.
    pub fn granted(env: &Startup) -> Result<Option<Self>, Error> {
        let (Some(entry), Some(handle)) = (env.find("hpet"), env.handle("hpet")) else {
            return Ok(None);
        };
        let protection = Rights::READ | Rights::WRITE;
        let mapping = Mapping::new(handle, 0, entry.value, protection)?;
        Ok(Some(Self(Rc::new(Page { mapping, offset: entry.value2 }))))
    }
}

impl HpetRegisters for Registers {
    fn read(&self, offset: u64) -> u32 {
        self.0.mapping.read32(self.0.offset + offset)
    }
    fn write(&self, offset: u64, value: u32) {
        self.0.mapping.write32(self.0.offset + offset, value);
    }
}

impl Access for Registers {
    fn size_bytes(&self) -> u64 {
        self.0.mapping.len() - self.0.offset
    }
    fn read32(&self, offset: u64) -> u32 {
        self.read(offset)
    }
    fn write32(&self, offset: u64, value: u32) {
        self.write(offset, value);
    }
}

/// Where each of these comparators keeps its message (HPET §2.3.10): 32 bits of address, and
/// data. A masked one still prefers its message: without that it would raise its wire.
pub fn layout(timers: &[u8]) -> Vec<RegisterSlot> {
    let masked = TimerConfiguration::MESSAGE;
    let unmasked = masked | TimerConfiguration::ENABLED;
    let slot = |&number: &u8| RegisterSlot {
        address: timer::message_address(number),
        address_high: None,
        data: timer::message_data(number),
        mask: Some(MaskField {
            offset: timer::configuration(number),
            bits: unmasked,
            masked,
            unmasked,
        }),
    };
    timers.iter().map(slot).collect()
}
