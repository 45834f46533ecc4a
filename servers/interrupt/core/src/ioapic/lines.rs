//! All chips of a machine: its lines, by global system interrupt (ACPI §5.2.13).

use super::{
    EntryForm, IoApic, IoApicRegisters, PinEntry, PinError, PinMessage, PinStatus, Polarity,
};
use crate::vtd::{Malformed, Trigger};
use crate::{Pair, RequesterId, Source};
use alloc::vec::Vec;
use core::fmt;

/// One chip among the others.
#[derive(Debug)]
pub struct Chip<R> {
    /// The chip.
    pub unit: IoApic<R>,
    /// GSI of its first pin.
    pub first: u32,
    /// The id that its messages arrive with. `None`: firmware has not said it, and with a
    /// remapper none of its pins can have a message.
    pub source: Option<RequesterId>,
}

impl<R: IoApicRegisters> Chip<R> {
    /// GSI of its last pin.
    pub fn last(&self) -> u32 {
        self.first.saturating_add(u32::from(self.unit.version().pins) - 1)
    }

    /// The pin of a GSI.
    fn pin(&self, gsi: u32) -> Option<u8> {
        // At most 120 pins.
        (self.first..=self.last()).contains(&gsi).then(|| (gsi - self.first) as u8)
    }
}

/// All of them.
#[derive(Debug)]
pub struct IoApics<R> {
    chips: Vec<Chip<R>>,
    form: EntryForm,
    /// No CPU tells IOAPICs of the end of a level interrupt by itself.
    silent_cpus: bool,
}

/// A chip that was not taken: its GSIs are (partly) those of an earlier one, or past the last
/// number.
pub struct GsiOverlap<R>(pub Chip<R>);

impl<R> fmt::Debug for GsiOverlap<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GsiOverlap({})", self.0.first)
    }
}

/// Why a line could not be had, or was left as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineError {
    /// No chip has this GSI.
    NoSuchLine,
    /// Firmware has not said with which id the chip's messages arrive, so the remapper would
    /// block them.
    NoSource,
    /// Without a remapper a level is released by the CPU that takes it, before its owner has
    /// answered.
    NoLevels,
    /// The pair is not one that a redirection entry of this machine can hold.
    Pair(Malformed),
    /// The pin said no.
    Pin(PinError),
}

impl From<PinError> for LineError {
    fn from(error: PinError) -> Self {
        Self::Pin(error)
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchLine => f.write_str("no IOAPIC has this line"),
            Self::NoSource => f.write_str("firmware gives its IOAPIC no source id"),
            Self::NoLevels => f.write_str(
                "without a remapper a level needs CPUs that do not broadcast the end of an interrupt",
            ),
            Self::Pair(Malformed { field }) => write!(f, "no pin can send this message: {field}"),
            Self::Pin(error) => write!(f, "{error:?}"),
        }
    }
}

impl<R: IoApicRegisters> IoApics<R> {
    /// None yet. `silent_cpus`: all CPUs suppress the broadcast at the end of an interrupt
    /// (Intel SDM 3A §11.8.5), which matters only where entries name CPUs themselves.
    pub const fn new(form: EntryForm, silent_cpus: bool) -> Self {
        Self { chips: Vec::new(), form, silent_cpus }
    }

    /// Adds a chip, unless its GSIs are another's.
    pub fn add(&mut self, chip: Chip<R>) -> Result<(), GsiOverlap<R>> {
        let pins = u32::from(chip.unit.version().pins);
        let overlaps = |other: &Chip<R>| other.first <= chip.last() && chip.first <= other.last();
        let past_the_end = chip.first.checked_add(pins - 1).is_none();
        if past_the_end || self.chips.iter().any(overlaps) || self.chips.try_reserve(1).is_err() {
            return Err(GsiOverlap(chip));
        }
        self.chips.push(chip);
        Ok(())
    }

    /// The chips, in the order in which they were added.
    pub fn chips(&self) -> &[Chip<R>] {
        &self.chips
    }

    /// Whether a line can be had in this way, and whose messages its are. Changes nothing.
    pub fn check(&self, gsi: u32, trigger: Trigger) -> Result<Source, LineError> {
        let (chip, _) = self.find(gsi)?;
        if trigger == Trigger::Level {
            if !chip.unit.version().has_end_of_interrupt() {
                return Err(LineError::Pin(PinError::LevelNotSupported));
            }
            if self.form == EntryForm::Compatibility && !self.silent_cpus {
                return Err(LineError::NoLevels);
            }
        }
        match chip.source {
            Some(id) => Ok(Source::Pins(id)),
            // Nobody looks at it.
            None if self.form == EntryForm::Compatibility => {
                Ok(Source::Pins(RequesterId::from_bits(0)))
            }
            None => Err(LineError::NoSource),
        }
    }

    /// Gives a line its message, masked.
    pub fn program(
        &mut self,
        gsi: u32,
        pair: Pair,
        trigger: Trigger,
        polarity: Polarity,
    ) -> Result<(), LineError> {
        self.check(gsi, trigger)?;
        let form = self.form;
        let (chip, pin) = self.find_mut(gsi)?;
        let message = PinMessage::new(pair, form, pin).map_err(LineError::Pair)?;
        let entry = PinEntry { trigger, polarity, masked: true, message };
        Ok(chip.unit.program(pin, entry)?)
    }

    /// The line sends nothing, and nothing of it is on its way to the remapper.
    pub fn mask(&mut self, gsi: u32) -> Result<(), LineError> {
        let (chip, pin) = self.find_mut(gsi)?;
        Ok(chip.unit.mask(pin)?)
    }

    /// The line sends again.
    pub fn unmask(&mut self, gsi: u32) -> Result<(), LineError> {
        let (chip, pin) = self.find_mut(gsi)?;
        Ok(chip.unit.unmask(pin)?)
    }

    /// The owner of a level has answered.
    pub fn acknowledge(&mut self, gsi: u32) -> Result<(), LineError> {
        let (chip, pin) = self.find_mut(gsi)?;
        Ok(chip.unit.acknowledge(pin)?)
    }

    /// Takes the line's message away.
    pub fn clear(&mut self, gsi: u32) -> Result<(), LineError> {
        let (chip, pin) = self.find_mut(gsi)?;
        Ok(chip.unit.clear(pin)?)
    }

    /// What the chip says of a line.
    pub fn status(&mut self, gsi: u32) -> Result<PinStatus, LineError> {
        let (chip, pin) = self.find_mut(gsi)?;
        Ok(chip.unit.pin_status(pin)?)
    }

    fn find(&self, gsi: u32) -> Result<(&Chip<R>, u8), LineError> {
        let place = |chip| Chip::pin(chip, gsi).map(|pin| (chip, pin));
        self.chips.iter().find_map(place).ok_or(LineError::NoSuchLine)
    }

    fn find_mut(&mut self, gsi: u32) -> Result<(&mut Chip<R>, u8), LineError> {
        let found = self.chips.iter_mut().find_map(|chip| {
            let pin = chip.pin(gsi)?;
            Some((chip, pin))
        });
        found.ok_or(LineError::NoSuchLine)
    }
}
