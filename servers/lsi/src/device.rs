//! The device as this driver uses it: the chip, and the two stores that live in its script
//! RAM and in system memory.

use core::fmt;

use demo_core::{Arrival, Raised, Rig};
use demo_driver::{RigError, Stop, hear};
use libsys::map::Access;
use libsys::object::Port;
use libsys::pci::Device as PciDevice;
use libsys::proto::pci::Enables;
use libsys::store::{EntryLayout, MaskField, Store};
use lsi_core::slot::{ADDRESS_OFFSET, ARRAY_SLOTS, DATA_OFFSET, MASK_BIT, MASK_OFFSET, SLOT_BYTES};
use lsi_core::{AddressError, Ending, Plan, SlotId, Store as Which};

use crate::chip::{Chip, ChipError};
use crate::scripts::Scripts;

/// BAR with the registers.
const REGISTERS: u8 = 1;
/// BAR with the script RAM.
const SCRIPT_RAM: u8 = 2;

/// What the device did that it should not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceError {
    /// The chip.
    Chip(ChipError),
    /// The chip can not reach a script.
    Address(AddressError),
    /// A key that no slot has.
    UnknownKey(u64),
    /// Another slot's script ran than the one that was fired.
    OtherSlot {
        /// What was fired.
        fired: SlotId,
        /// How the script ended.
        end: Ending,
    },
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::Chip(error) => error.fmt(f),
            DeviceError::Address(error) => error.fmt(f),
            DeviceError::UnknownKey(key) => write!(f, "no slot has key {key}"),
            DeviceError::OtherSlot { fired, end } => write!(f, "{fired:?} was fired, {end:?} ran"),
        }
    }
}

impl From<ChipError> for DeviceError {
    fn from(error: ChipError) -> Self {
        DeviceError::Chip(error)
    }
}

impl From<AddressError> for DeviceError {
    fn from(error: AddressError) -> Self {
        DeviceError::Address(error)
    }
}

/// Where the fields of a slot are, for the stores.
fn layout(base: u64, slots: u32) -> EntryLayout {
    EntryLayout {
        base,
        stride: SLOT_BYTES.into(),
        slots,
        address: ADDRESS_OFFSET.into(),
        // The chip's addresses have 32 bits; a wider message address is refused.
        address_high: None,
        data: DATA_OFFSET.into(),
        mask: Some(MaskField::bit_masks(MASK_OFFSET.into(), MASK_BIT)),
    }
}

/// The device.
pub struct Device {
    chip: Chip,
    array_scripts: Scripts,
    queue_scripts: Scripts,
    plan: Plan,
    /// Slots in the chip's script RAM.
    pub array: Store,
    /// Slots in system memory.
    pub queue: Store,
}

impl Device {
    /// Starts the chip, and fills both stores with masked scripts.
    ///
    /// # Errors
    /// The PCI server's, the chip's, or an address that the chip can not reach.
    pub fn start(pci: PciDevice, plan: Plan) -> Result<Device, Stop<DeviceError>> {
        let registers = pci.map_bar(REGISTERS)?;
        let ram = pci.map_bar(SCRIPT_RAM)?;
        let entries = pci.dma(u64::from(plan.queue_slots()) * u64::from(SLOT_BYTES))?;
        pci.enable(Enables::MEMORY_AND_MASTER)?;
        let chip = Chip::start(registers).map_err(|error| Stop::Device(error.into()))?;

        let fill = |memory: &dyn Access, base, at, which, slots| {
            Scripts::write(memory, base, at, which, slots)
                .map_err(|error| Stop::Device(error.into()))
        };
        let array = fill(&ram.mapping, ram.base, ram.bus_address, Which::Array, ARRAY_SLOTS)?;
        let queue =
            fill(&entries.mapping, 0, entries.bus_address, Which::Queue, plan.queue_slots())?;
        Ok(Device {
            chip,
            array_scripts: array,
            queue_scripts: queue,
            plan,
            array: Store::device_array(ram.mapping, layout(ram.base, ARRAY_SLOTS))?,
            queue: Store::queue_memory(entries.mapping, layout(0, plan.queue_slots()))?,
        })
    }

    /// Fires a slot: runs its script, and says what it did.
    fn fire(&self, key: u64) -> Result<Raised, DeviceError> {
        let slot = self.plan.slot(key).ok_or(DeviceError::UnknownKey(key))?;
        let scripts = match slot.store {
            Which::Array => self.array_scripts,
            Which::Queue => self.queue_scripts,
        };
        match self.chip.run(scripts.start_of(slot.index)?)? {
            Ending::Fired(ran) if ran == slot => Ok(Raised::Written),
            Ending::Masked(ran) if ran == slot => Ok(Raised::Masked),
            end => Err(DeviceError::OtherSlot { fired: slot, end }),
        }
    }
}

/// The device and its port, for the drill.
pub struct LsiRig<'a> {
    /// The device.
    pub device: &'a Device,
    /// Where all its messages arrive.
    pub port: &'a Port,
}

impl Rig for LsiRig<'_> {
    type Error = RigError<DeviceError>;

    fn fire(&mut self, key: u64) -> Result<Raised, Self::Error> {
        self.device.fire(key).map_err(RigError::Device)
    }

    fn next(&mut self, patience_ns: u64) -> Result<Option<Arrival>, Self::Error> {
        hear(self.port, patience_ns).map_err(RigError::Port)
    }
}
