//! A driver's device, as the PCI server shows it.

mod wire;

pub use wire::DeviceWire;

use crate::ipc::{AskError, Handles, ask, ask_with};
use crate::map::Mapping;
use crate::object::{Capability, IoPorts};
use tocsin_abi::limits::PAGE_BYTES;
use tocsin_abi::{Handle, Rights};
use tocsin_proto::DecodeError;
use tocsin_proto::pci::{self as protocol, BarKind, Description, Enables, PinSet, Width};

/// Status register, and its interrupt bit.
const STATUS: u16 = 0x06;
const INTERRUPT_STATUS: u32 = 1 << 3;

/// Why the PCI server's side of a request failed.
pub type PciError = AskError<protocol::Error>;

/// The device behind an endpoint of the PCI server. The endpoint belongs to the program's
/// startup page and is not closed here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Device {
    endpoint: Handle,
}

/// A memory BAR, mapped.
#[must_use = "dropping it unmaps"]
#[derive(Debug)]
pub struct MappedBar {
    /// The pages that the registers are in.
    pub mapping: Mapping,
    /// Offset of the first register in the mapping: a small BAR may begin within a page.
    pub base: u64,
    /// Bytes of registers.
    pub size_bytes: u64,
    /// Address that the device itself would use for the first register.
    pub bus_address: u64,
}

/// Memory that the device and this process share.
#[must_use = "dropping it unmaps and gives the memory back"]
#[derive(Debug)]
pub struct DmaMemory {
    /// The memory as this process sees it; it owns the memory object.
    pub mapping: Mapping,
    /// Address that the device uses for the first byte.
    pub bus_address: u64,
}

/// The one handle that a reply must bring.
fn only(mut handles: Handles) -> Result<Capability, PciError> {
    handles.pop().ok_or(AskError::Malformed(DecodeError::WrongHandles))
}

impl Device {
    /// The device behind the startup entry `pci`.
    #[must_use]
    pub const fn new(endpoint: Handle) -> Device {
        Device { endpoint }
    }

    /// The PCI server's endpoint.
    #[must_use]
    pub const fn endpoint(self) -> Handle {
        self.endpoint
    }

    /// What the device is.
    ///
    /// # Errors
    /// The server's.
    pub fn describe(self) -> Result<Description, PciError> {
        ask(self.endpoint, &protocol::Describe)
    }

    /// Maps a memory BAR.
    ///
    /// # Errors
    /// The server's; `NoSuchBar` for a BAR in I/O space.
    pub fn map_bar(self, index: u8) -> Result<MappedBar, PciError> {
        let (bar, handles) = ask_with(self.endpoint, &protocol::GetBar { index }, &[])?;
        let range = only(handles)?;
        if bar.kind != BarKind::Memory {
            return Err(AskError::Refused(protocol::Error::NoSuchBar));
        }
        let mapping = Mapping::owning(range)?;
        let base = bar.bus_address % PAGE_BYTES;
        if base.checked_add(bar.size_bytes).is_none_or(|end| end > mapping.len()) {
            return Err(AskError::Malformed(DecodeError::BadValue));
        }
        let (size_bytes, bus_address) = (bar.size_bytes, bar.bus_address);
        Ok(MappedBar { mapping, base, size_bytes, bus_address })
    }

    /// The ports of an I/O BAR, and the first one's number.
    ///
    /// # Errors
    /// The server's; `NoSuchBar` for a BAR in memory space.
    pub fn io_bar(self, index: u8) -> Result<(IoPorts, u16), PciError> {
        let (bar, handles) = ask_with(self.endpoint, &protocol::GetBar { index }, &[])?;
        let range = only(handles)?;
        if bar.kind != BarKind::Io {
            return Err(AskError::Refused(protocol::Error::NoSuchBar));
        }
        let first = u16::try_from(bar.bus_address)
            .map_err(|_| AskError::Malformed(DecodeError::BadValue))?;
        Ok((IoPorts::from(range), first))
    }

    /// Reads configuration space.
    ///
    /// # Errors
    /// The server's.
    pub fn config_read(self, offset: u16, width: Width) -> Result<u32, PciError> {
        ask(self.endpoint, &protocol::ConfigRead { offset, width }).map(|got| got.value)
    }

    /// Writes configuration space, as far as the server's policy goes.
    ///
    /// # Errors
    /// The server's; `Denied` by the policy.
    pub fn config_write(self, offset: u16, width: Width, value: u32) -> Result<(), PciError> {
        ask(self.endpoint, &protocol::ConfigWrite { offset, width, value }).map(drop)
    }

    /// Memory that the device can reach, mapped here.
    ///
    /// # Errors
    /// The server's, or the kernel's for the mapping.
    pub fn dma(self, size_bytes: u64) -> Result<DmaMemory, PciError> {
        let (got, handles) = ask_with(self.endpoint, &protocol::Dma { size_bytes }, &[])?;
        let mapping = Mapping::owning(only(handles)?)?;
        if mapping.len() < size_bytes {
            return Err(AskError::Malformed(DecodeError::BadValue));
        }
        Ok(DmaMemory { mapping, bus_address: got.bus_address })
    }

    /// Switches decoders and bus mastering to exactly this.
    ///
    /// # Errors
    /// The server's.
    pub fn enable(self, on: Enables) -> Result<(), PciError> {
        ask(self.endpoint, &protocol::Enable { on }).map(drop)
    }

    /// Which line the device's interrupt pin leads to. Asking lets this device's driver open
    /// the line at the interrupt server.
    ///
    /// # Errors
    /// The server's: `NoPin`, `NoWire` where nobody says it.
    pub fn pin(self) -> Result<protocol::PinWire, PciError> {
        ask(self.endpoint, &protocol::PinLine)
    }

    /// Switches the device's interrupt pin. Others share its line: switch it on only while
    /// the line is open here.
    ///
    /// # Errors
    /// The server's: `Exclusive` while the device's messages are on.
    pub fn set_pin(self, set: PinSet) -> Result<(), PciError> {
        ask(self.endpoint, &set).map(drop)
    }

    /// Whether the device wants something by its pin, on or off (PCIe Base 6.0 §7.5.1.1.4,
    /// Interrupt Status): who shares a line asks whether it was its own device.
    ///
    /// # Errors
    /// The server's.
    pub fn interrupt_status(self) -> Result<bool, PciError> {
        Ok(self.config_read(STATUS, Width::Word)? & INTERRUPT_STATUS != 0)
    }

    /// Puts a message's pair into an MSI slot: the server reads it from the message.
    pub(crate) fn msi_write(self, slot: u8, message: Handle) -> Result<(), PciError> {
        let handles = [(message, Rights::READ)];
        ask_with(self.endpoint, &protocol::MsiWrite { slot }, &handles).map(drop)
    }

    pub(crate) fn msi_mask(self, slot: u8) -> Result<(), PciError> {
        ask(self.endpoint, &protocol::MsiMask { slot }).map(drop)
    }

    pub(crate) fn msi_unmask(self, slot: u8) -> Result<(), PciError> {
        ask(self.endpoint, &protocol::MsiUnmask { slot }).map(drop)
    }

    pub(crate) fn msi_pending(self) -> Result<u32, PciError> {
        ask(self.endpoint, &protocol::MsiPending).map(|got| got.slots)
    }

    /// Switches the MSI-X table as a whole.
    pub(crate) fn msix_set(self, set: protocol::MsiXSet) -> Result<(), PciError> {
        ask(self.endpoint, &set).map(drop)
    }
}
