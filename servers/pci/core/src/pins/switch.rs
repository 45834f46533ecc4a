//! The one bit that says whether a function may assert its pin.

use crate::{
    Command, ConfigExt, ConfigSpace, Function, FunctionAddress, Kind,
    header::{COMMAND, STATUS},
};

use super::Pin;

/// Status register: the function wants an interrupt, whether its pin is on or not (PCIe §7.5.1.1.4).
const INTERRUPT_STATUS: u16 = 1 << 3;
/// Message control of MSI and MSI-X, from the beginning of the capability, and the bits that turn them on (PCIe §7.7.1.2,
/// §7.7.2.2).
const CONTROL: u16 = 2;
const MSI_ENABLE: u16 = 1;
const MSIX_ENABLE: u16 = 1 << 15;

/// Why a pin was not switched. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchError {
    /// The function has no pin.
    NoPin,
    /// It has, and it can not be switched off (bit 10 of the command register came with PCI 2.3): on a shared line it could
    /// hold up the others for ever.
    AlwaysOn,
    /// Its MSI or MSI-X is on.
    MessagesOn,
}

/// A function's pin, which is off when this is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    function: FunctionAddress,
    pin: Pin,
    on: bool,
}

impl Switch {
    /// Takes a function's pin, and switches it off.
    pub fn new<C: ConfigSpace + ?Sized>(
        config: &mut C,
        function: &Function,
    ) -> Result<Self, SwitchError> {
        // A bridge's pin is for its own events, and no driver has a bridge.
        let pin = function.pin.filter(|_| function.kind == Kind::Endpoint);
        let pin = pin.ok_or(SwitchError::NoPin)?;
        let switch = Self { function: function.address, pin, on: false };
        if switch.write(config, Command::INTX_DISABLE) {
            Ok(switch)
        } else {
            Err(SwitchError::AlwaysOn)
        }
    }

    /// Which pin.
    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// Whether the function may assert it.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Lets the function assert its pin. For one whose messages are off.
    pub fn on<C: ConfigSpace + ?Sized>(
        &mut self,
        config: &mut C,
        function: &Function,
    ) -> Result<(), SwitchError> {
        if messages_are_on(config, function) {
            return Err(SwitchError::MessagesOn);
        }
        self.write(config, Command::empty());
        self.on = true;
        Ok(())
    }

    /// Takes the pin away; a function that asserts it lets go of it (PCIe §7.5.1.1.3). It has when this returns. Says whether
    /// it took.
    pub fn off<C: ConfigSpace + ?Sized>(&mut self, config: &mut C) -> bool {
        self.on = false;
        self.write(config, Command::INTX_DISABLE)
    }

    /// Writes the bit and reads it back, which also waits until the function has taken it.
    fn write<C: ConfigSpace + ?Sized>(&self, config: &mut C, wanted: Command) -> bool {
        let bit = Command::INTX_DISABLE;
        let now = Command::from_bits_retain(config.read16(self.function, COMMAND));
        config.write16(self.function, COMMAND, ((now - bit) | wanted).bits());
        let now = Command::from_bits_retain(config.read16(self.function, COMMAND));
        now & bit == wanted
    }
}

/// Whether a function's MSI or MSI-X is on.
pub fn messages_are_on<C: ConfigSpace + ?Sized>(config: &C, function: &Function) -> bool {
    let is_on = |capability: Option<u16>, enable: u16| {
        capability.is_some_and(|at| config.read16(function.address, at + CONTROL) & enable != 0)
    };
    is_on(function.msi, MSI_ENABLE) || is_on(function.msix, MSIX_ENABLE)
}

/// Whether a function wants an interrupt by its pin, on or off.
pub fn interrupt_status<C: ConfigSpace + ?Sized>(config: &C, function: FunctionAddress) -> bool {
    let status = config.read16(function, STATUS);
    // Where nothing is, all bits are set.
    status != 0xffff && status & INTERRUPT_STATUS != 0
}
