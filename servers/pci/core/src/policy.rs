//! What a driver may do to configuration space.
//!
//! A driver reaches its own function only, through the server. It may read all of it. It may write three bits of the command
//! register and nothing else:
//!
//! * BARs, the expansion ROM and a bridge's windows decide who answers to which addresses: moving one would lay a device over
//!   another's registers, or over RAM;
//! * bus numbers decide which requester id a device sends with: changing one would let it speak for another;
//! * the MSI capability holds a pair: only the server writes it, from a message that the driver has, so that no driver makes
//!   up a pair. MSI-X's enable and mask bits have an operation each;
//! * the pin (bit 10 of the command register) is shared with other devices: it is off until the driver has asked for its
//!   line, and an operation of the server switches it;
//! * power management, PCI Express control, vendor-specific and device-specific registers have effects that nobody has looked
//!   at. What a driver needs of them becomes an operation of the server, not a write.
//!
//! Of a bridge, only a port's slot events: which of them raise its interrupt, and clearing them (Slot Control 5:0 and Slot
//! Status). The rest of Slot Control is the power of whatever is in the slot, and everything else is how the bus below works.

use crate::{
    CAPABILITY_EXPRESS, CAPABILITY_MSI, CAPABILITY_MSIX, Capability, Command, ConfigExt,
    ConfigSpace, Express, Function, Kind, Register, Width, capabilities,
    header::{BAR0, COMMAND, EXPANSION_ROM, HEADER_END},
};

/// The bits of the command register that a driver may change.
pub const DRIVER_BITS: Command = Command::IO.union(Command::MEMORY).union(Command::BUS_MASTER);

/// Why a write was refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The function is a bridge, and this is not its slot events.
    Bridge,
    /// Base address registers and the expansion ROM.
    Address,
    /// The command register was not written as 16 bits with a value of 16 bits.
    CommandWidth,
    /// A bit of the command register that is not a driver's would change.
    CommandBits {
        /// Which bits.
        bits: u16,
    },
    /// Any other register of the header.
    Header,
    /// In the MSI capability: use the server's MSI operations.
    Msi,
    /// In the MSI-X capability: use the server's MSI-X operations.
    Msix,
    /// In any other capability.
    Capability {
        /// Its id.
        id: u8,
    },
    /// Behind the header, and in no capability that is known.
    DeviceSpecific,
}

/// Slot Control and Slot Status (PCIe §7.5.3.10, §7.5.3.11), from the PCI Express capability's beginning.
const SLOT_CONTROL: u16 = 0x18;
const SLOT_STATUS: u16 = 0x1a;
/// Slot Control: which events raise an interrupt, and whether any does.
const SLOT_ENABLES: u16 = 0x3f;
/// Slot Status: the events, cleared by writing 1: button, power fault, latch, presence, command, link.
const SLOT_EVENTS: u16 = 0x11f;
/// PCI Express capabilities register (§7.5.3.2): the port has a slot.
const EXPRESS_FLAGS: u16 = 2;
const HAS_SLOT: u16 = 1 << 8;

/// Decides about a write to a bridge; where it may go and what.
fn decide_slot_write<C: ConfigSpace + ?Sized>(
    config: &C,
    function: &Function,
    register: Register,
    value: u32,
) -> Option<(u16, u16)> {
    let value = u16::try_from(value).ok()?;
    let is_port = function.express.is_some_and(Express::has_one_device_below);
    let mut all = capabilities(config, function.address).flatten();
    let express = all.find(|found| is_port && found.id == CAPABILITY_EXPRESS)?.offset;
    let has_slot = config.read16(function.address, express + EXPRESS_FLAGS) & HAS_SLOT != 0;
    if !has_slot || register.width() != Width::Word {
        return None;
    }
    let at = register.offset();
    let allowed = match at.checked_sub(express)? {
        SLOT_CONTROL => (value ^ config.read16(function.address, at)) & !SLOT_ENABLES == 0,
        SLOT_STATUS => value & !SLOT_EVENTS == 0,
        _ => false,
    };
    allowed.then_some((at, value))
}

/// Decides about a write, changing nothing. `Ok` has the register of 16 bits that is to be written, and the value.
pub fn decide_write<C: ConfigSpace + ?Sized>(
    config: &C,
    function: &Function,
    register: Register,
    value: u32,
) -> Result<(u16, u16), Refusal> {
    if function.kind != Kind::Endpoint {
        return decide_slot_write(config, function, register, value).ok_or(Refusal::Bridge);
    }
    match register.offset() {
        // The four bytes of command and status.
        COMMAND..=0x07 => {
            if register != COMMAND_REGISTER || value > 0xffff {
                return Err(Refusal::CommandWidth);
            }
            let wanted = Command::from_bits_retain(value as u16);
            let current = Command::from_bits_retain(config.read16(function.address, COMMAND));
            let foreign = (wanted ^ current) - DRIVER_BITS;
            if foreign.is_empty() {
                Ok((COMMAND, wanted.bits()))
            } else {
                Err(Refusal::CommandBits { bits: foreign.bits() })
            }
        }
        BAR0..=0x27 | EXPANSION_ROM..=0x33 => Err(Refusal::Address),
        offset if offset < HEADER_END => Err(Refusal::Header),
        offset => Err(behind_header(config, function, offset)),
    }
}

/// The one register that can be written.
const COMMAND_REGISTER: Register = match Register::new(COMMAND, Width::Word) {
    Some(register) => register,
    None => panic!("the command register is aligned"),
};

/// Names what is at an offset behind the header: the last capability that begins at or before it. Where a capability ends is
/// known for few of them, so the answer can name one too many; it is a refusal in every case.
fn behind_header<C: ConfigSpace + ?Sized>(config: &C, function: &Function, offset: u16) -> Refusal {
    if offset >= 0x100 {
        return Refusal::DeviceSpecific;
    }
    let before = capabilities(config, function.address)
        .flatten()
        .filter(|capability| capability.offset <= offset)
        .max_by_key(|capability| capability.offset);
    match before {
        Some(Capability { id, .. }) => match id {
            CAPABILITY_MSI => Refusal::Msi,
            CAPABILITY_MSIX => Refusal::Msix,
            id => Refusal::Capability { id },
        },
        None => Refusal::DeviceSpecific,
    }
}

/// A driver's read of its own function: all of it may be read, and nothing there changes by being read (PCIe §7.2: reads of
/// configuration space have no side effects).
pub fn read<C: ConfigSpace + ?Sized>(config: &C, function: &Function, register: Register) -> u32 {
    config.read(function.address, register)
}

/// A driver's write: decided, then done.
pub fn write<C: ConfigSpace + ?Sized>(
    config: &mut C,
    function: &Function,
    register: Register,
    value: u32,
) -> Result<(), Refusal> {
    let (at, value) = decide_write(config, function, register, value)?;
    config.write16(function.address, at, value);
    Ok(())
}

/// Sets or clears driver bits without a read-modify-write on the driver's side; other bits in `set` and `clear` are ignored.
pub fn change_command<C: ConfigSpace + ?Sized>(
    config: &mut C,
    function: &Function,
    set: Command,
    clear: Command,
) -> Result<Command, Refusal> {
    if function.kind != Kind::Endpoint {
        return Err(Refusal::Bridge);
    }
    let current = Command::from_bits_retain(config.read16(function.address, COMMAND));
    let wanted = (current - (clear & DRIVER_BITS)) | (set & DRIVER_BITS);
    config.write16(function.address, COMMAND, wanted.bits());
    Ok(wanted)
}
