//! Driving one chip.

use super::entry::MASKED;
use super::{PinEntry, PinStatus, Version, offset, register};
use crate::vtd::Trigger;
use alloc::vec::Vec;
use core::fmt;

/// The chip's page. Each access has 32 bits and takes effect in program order.
pub trait IoApicRegisters {
    /// Reads the register at an offset of [`offset`].
    fn read(&mut self, offset: u16) -> u32;
    /// Writes it.
    fn write(&mut self, offset: u16, value: u32);
}

/// One chip, all of whose pins are this driver's.
#[derive(Debug)]
pub struct IoApic<R> {
    registers: R,
    version: Version,
    /// What was last written of each pin; `None`: it sends nothing and has no message.
    entries: Vec<Option<PinEntry>>,
    wait_budget: u32,
    left_open: u8,
}

/// Why a chip was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IoApicInitError {
    /// Nothing that is like an IOAPIC answers at this address: what IOAPICVER read as.
    NotThere(u32),
    /// IOREGSEL does not keep what is written to it.
    NoSelect,
    /// A pin that was masked reads as open: which.
    DoesNotMask(u8),
    /// Not enough memory.
    NoMemory,
}

/// Why a pin was not touched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PinError {
    /// The chip has no such pin.
    NoSuchPin,
    /// The pin has no message.
    NotProgrammed,
    /// A level pin needs an EOI register, and this chip is older.
    LevelNotSupported,
    /// Another level pin has the same EOI vector, and would be released with this one.
    SharedEoi(u8),
    /// A message of the pin was still not accepted when the budget was used up. The pin is
    /// masked.
    DeliveryPending,
}

impl fmt::Display for IoApicInitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere(value) => {
                write!(f, "no IOAPIC answers there (version register {value:#x})")
            }
            Self::NoSelect => f.write_str("its IOREGSEL keeps no value"),
            Self::DoesNotMask(pin) => write!(f, "its pin {pin} can not be masked"),
            Self::NoMemory => f.write_str("no memory for its pins"),
        }
    }
}

impl<R: IoApicRegisters> IoApic<R> {
    /// Looks at the chip and silences every pin: what firmware left open leads to vectors that
    /// are somebody else's now. `wait_budget` is how often a status bit is read at most.
    pub fn new(registers: R, wait_budget: u32) -> Result<Self, IoApicInitError> {
        let mut chip = Self {
            registers,
            version: Version { number: 0, pins: 0 },
            entries: Vec::new(),
            wait_budget,
            left_open: 0,
        };
        let value = chip.read(register::VERSION);
        chip.version = Version::decode(value).ok_or(IoApicInitError::NotThere(value))?;
        if chip.registers.read(offset::SELECT) & 0xff != u32::from(register::VERSION) {
            return Err(IoApicInitError::NoSelect);
        }
        let pins = chip.version.pins;
        let memory = chip.entries.try_reserve_exact(pins.into());
        memory.map_err(|_| IoApicInitError::NoMemory)?;
        chip.entries.resize(pins.into(), None);
        for pin in 0..pins {
            let before = chip.status(pin);
            chip.silence(pin);
            chip.left_open += u8::from(!before.masked);
            if !chip.status(pin).masked {
                return Err(IoApicInitError::DoesNotMask(pin));
            }
        }
        Ok(chip)
    }

    /// What the chip says of itself.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// How many pins were open when it was found.
    pub const fn left_open(&self) -> u8 {
        self.left_open
    }

    /// What a pin was last given.
    pub fn entry(&self, pin: u8) -> Option<PinEntry> {
        *self.entries.get(usize::from(pin))?
    }

    /// What the chip says of a pin.
    pub fn pin_status(&mut self, pin: u8) -> Result<PinStatus, PinError> {
        self.check(pin)?;
        Ok(self.status(pin))
    }

    /// Gives a pin its message. Whatever it was doing, it sends the old message or the new one
    /// and never a mixture: it is masked, the high half changes, and then the low half, which
    /// holds the mask.
    pub fn program(&mut self, pin: u8, entry: PinEntry) -> Result<(), PinError> {
        self.check(pin)?;
        if entry.trigger == Trigger::Level {
            if !self.version.has_end_of_interrupt() {
                return Err(PinError::LevelNotSupported);
            }
            if let Some(other) = self.level_pin_with(entry.message.eoi(), pin) {
                return Err(PinError::SharedEoi(other));
            }
        }
        self.quiet(pin)?;
        self.release(pin);
        let bits = entry.encode();
        self.write(high(pin), (bits >> 32) as u32);
        self.write(low(pin), bits as u32);
        self.entries[usize::from(pin)] = Some(entry);
        Ok(())
    }

    /// The pin sends nothing from here on, and nothing that it sent is on its way to the
    /// remapper. A level that is held stays held.
    pub fn mask(&mut self, pin: u8) -> Result<(), PinError> {
        self.programmed(pin)?;
        self.quiet(pin)
    }

    /// The pin sends again: a level that stands at once, if it is not held. An edge that came
    /// while it was masked is lost (82093AA §3.2.4), and whoever opens it has to look.
    pub fn unmask(&mut self, pin: u8) -> Result<(), PinError> {
        let mut entry = self.programmed(pin)?;
        entry.masked = false;
        self.write(low(pin), entry.encode() as u32);
        self.entries[usize::from(pin)] = Some(entry);
        Ok(())
    }

    /// The owner of a level has answered: if the level still stands, it is a new message. Means
    /// nothing on an edge pin.
    pub fn acknowledge(&mut self, pin: u8) -> Result<(), PinError> {
        let entry = self.programmed(pin)?;
        if entry.trigger == Trigger::Level {
            self.end_of_interrupt(entry.message.eoi());
        }
        Ok(())
    }

    /// Takes the pin's message away: masked, and not held.
    pub fn clear(&mut self, pin: u8) -> Result<(), PinError> {
        self.check(pin)?;
        let quiet = self.quiet(pin);
        self.release(pin);
        self.silence(pin);
        self.entries[usize::from(pin)] = None;
        quiet
    }

    /// Masks, and waits until what the pin has sent was accepted. The read back also makes sure
    /// that the write has arrived.
    fn quiet(&mut self, pin: u8) -> Result<(), PinError> {
        let value = self.read(low(pin));
        self.write(low(pin), value | MASKED as u32);
        if let Some(Some(entry)) = self.entries.get_mut(usize::from(pin)) {
            entry.masked = true;
        }
        for _ in 0..self.wait_budget.max(1) {
            if !self.status(pin).delivery_pending {
                return Ok(());
            }
        }
        Err(PinError::DeliveryPending)
    }

    /// Lets go of a level that a masked pin holds, so that its next life does not begin held.
    fn release(&mut self, pin: u8) {
        let value = self.read(low(pin));
        let status = PinStatus::decode(value);
        if status.level && status.remote_irr && self.version.has_end_of_interrupt() {
            self.end_of_interrupt(value as u8);
        }
    }

    /// Masked edge, without a message. A level that was held is not held any more.
    fn silence(&mut self, pin: u8) {
        let value = self.read(low(pin));
        self.write(low(pin), value | MASKED as u32);
        self.release(pin);
        self.write(high(pin), 0);
        self.write(low(pin), MASKED as u32);
    }

    fn level_pin_with(&self, eoi: u8, except: u8) -> Option<u8> {
        let shares = |(number, entry): (usize, &Option<PinEntry>)| {
            let entry = entry.as_ref()?;
            let same = entry.trigger == Trigger::Level && entry.message.eoi() == eoi;
            (same && number != usize::from(except)).then_some(number as u8)
        };
        self.entries.iter().enumerate().find_map(shares)
    }

    fn end_of_interrupt(&mut self, vector: u8) {
        self.registers.write(offset::END_OF_INTERRUPT, vector.into());
    }

    fn check(&self, pin: u8) -> Result<(), PinError> {
        if pin < self.version.pins { Ok(()) } else { Err(PinError::NoSuchPin) }
    }

    fn programmed(&self, pin: u8) -> Result<PinEntry, PinError> {
        self.check(pin)?;
        self.entry(pin).ok_or(PinError::NotProgrammed)
    }

    fn status(&mut self, pin: u8) -> PinStatus {
        PinStatus::decode(self.read(low(pin)))
    }

    fn read(&mut self, register: u8) -> u32 {
        self.registers.write(offset::SELECT, register.into());
        self.registers.read(offset::WINDOW)
    }

    fn write(&mut self, register: u8, value: u32) {
        self.registers.write(offset::SELECT, register.into());
        self.registers.write(offset::WINDOW, value);
    }
}

const fn low(pin: u8) -> u8 {
    register::REDIRECTION + 2 * pin
}

const fn high(pin: u8) -> u8 {
    low(pin) + 1
}
