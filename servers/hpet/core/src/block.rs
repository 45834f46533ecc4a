//! The register block as a whole.

use crate::registers::{
    CAPABILITIES, CONFIGURATION, COUNTER, Capabilities, ENABLE, LEGACY, Malformed,
    TimerConfiguration, timer,
};
use core::fmt;

/// The block's registers: 32-bit accesses that reach the device in program order.
pub trait HpetRegisters {
    /// Reads.
    fn read(&self, offset: u64) -> u32;
    /// Writes.
    fn write(&self, offset: u64, value: u32);
}

impl<R: HpetRegisters + ?Sized> HpetRegisters for &R {
    fn read(&self, offset: u64) -> u32 {
        (**self).read(offset)
    }
    fn write(&self, offset: u64, value: u32) {
        (**self).write(offset, value);
    }
}

/// What [`silence`] found.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Silenced {
    /// Comparators that could have raised something.
    pub running: u8,
    /// Comparators that still can: the device does not follow.
    pub stuck: u8,
}

/// Makes every comparator silent, whatever it was set to, and reads that back. The counter goes
/// on. Bounded by the comparators that there can be.
///
/// # Errors
/// There is no HPET at these registers.
pub fn silence(registers: &impl HpetRegisters) -> Result<Silenced, Malformed> {
    let capabilities = read_capabilities(registers)?;
    let mut found = Silenced::default();
    for number in 0..capabilities.timers {
        let at = timer::configuration(number);
        let before = TimerConfiguration::decode(registers.read(at));
        found.running += u8::from(before.has(TimerConfiguration::ENABLED));
        // At once: enabled and without FSB_EN it would raise its wire (§2.3.8).
        registers.write(at, before.silent().encode());
        let after = TimerConfiguration::decode(registers.read(at));
        let loud = TimerConfiguration::ENABLED | TimerConfiguration::MESSAGE;
        found.stuck += u8::from(after.has(loud));
    }
    Ok(found)
}

fn read_capabilities(registers: &impl HpetRegisters) -> Result<Capabilities, Malformed> {
    let low = u64::from(registers.read(CAPABILITIES));
    Capabilities::decode(low | u64::from(registers.read(CAPABILITIES + 4)) << 32)
}

/// Why a block was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockError {
    /// There is none.
    Malformed(Malformed),
    /// Comparators that do not become silent.
    Stuck(u8),
    /// The counter does not move.
    Stopped,
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "no HPET at its address: {} is wrong", why.field),
            Self::Stuck(count) => write!(f, "{count} comparators do not become silent"),
            Self::Stopped => f.write_str("the counter does not move"),
        }
    }
}

/// Why a comparator was not armed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArmError {
    /// There is no such comparator.
    NoTimer,
    /// It can not be periodic.
    NotPeriodic,
    /// No time at all, or more than half of what 32 bits can count.
    BadTicks,
    /// The time had passed before the comparator was set.
    TooLate,
}

impl fmt::Display for ArmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTimer => "no such comparator",
            Self::NotPeriodic => "the comparator can not be periodic",
            Self::BadTicks => "no time, or too long a time for 32 bits",
            Self::TooLate => "the time had passed before the comparator was set",
        })
    }
}

/// Looks at the counter before it is said to stand still.
const LOOKS: u32 = 1_000_000;

/// A block in service: every comparator silent or its owner's, the counter running.
#[derive(Debug)]
pub struct Block<R> {
    registers: R,
    capabilities: Capabilities,
}

impl<R: HpetRegisters> Block<R> {
    /// Takes the block over: silences it, and starts the counter from zero.
    ///
    /// # Errors
    /// There is no HPET, or it does not follow.
    pub fn new(registers: R) -> Result<Self, BlockError> {
        let capabilities = read_capabilities(&registers).map_err(BlockError::Malformed)?;
        let silenced = silence(&registers).map_err(BlockError::Malformed)?;
        if silenced.stuck > 0 {
            return Err(BlockError::Stuck(silenced.stuck));
        }
        // The counter is written only while it stands (§2.3.7).
        let found = registers.read(CONFIGURATION) & !(ENABLE | LEGACY);
        registers.write(CONFIGURATION, found);
        registers.write(COUNTER, 0);
        registers.write(COUNTER + 4, 0);
        registers.write(CONFIGURATION, found | ENABLE);
        let block = Self { registers, capabilities };
        if (0..LOOKS).any(|_| block.now() != 0) { Ok(block) } else { Err(BlockError::Stopped) }
    }

    /// What it is.
    pub const fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The counter's low 32 bits: all that comparators look at here.
    pub fn now(&self) -> u32 {
        self.registers.read(COUNTER)
    }

    /// What a comparator is and does; `None`: there is no such one.
    pub fn timer(&self, number: u8) -> Option<TimerConfiguration> {
        let exists = number < self.capabilities.timers;
        exists
            .then(|| TimerConfiguration::decode(self.registers.read(timer::configuration(number))))
    }

    /// Comparators that can send messages, lowest first.
    pub fn message_timers(&self) -> impl Iterator<Item = u8> + '_ {
        let can = TimerConfiguration::CAN_SEND_MESSAGES;
        (0..self.capabilities.timers).filter(move |&number| {
            self.timer(number).is_some_and(|configuration| configuration.has(can))
        })
    }

    /// How many ticks are so many microseconds, at least one.
    ///
    /// # Errors
    /// `BadTicks` for more than a comparator can wait here.
    pub fn ticks(&self, microseconds: u32) -> Result<u32, ArmError> {
        let ticks =
            u64::from(microseconds) * 1_000_000_000 / u64::from(self.capabilities.period_fs);
        u32::try_from(ticks.max(1)).ok().filter(|&ticks| is_future(ticks)).ok_or(ArmError::BadTicks)
    }

    /// Lets a comparator match once, so many ticks from now. Whether that raises anything is
    /// for its mask to say.
    ///
    /// # Errors
    /// [`ArmError`]; after `TooLate` it will match when the counter has gone all the way round.
    pub fn arm_once(&self, number: u8, ticks: u32) -> Result<(), ArmError> {
        let configuration = self.checked(number, ticks)?;
        let at = timer::configuration(number);
        self.registers.write(at, configuration.armed(false).encode());
        let due = self.now().wrapping_add(ticks);
        self.registers.write(timer::comparator(number), due);
        self.registers.read(timer::comparator(number));
        if is_future(due.wrapping_sub(self.now())) { Ok(()) } else { Err(ArmError::TooLate) }
    }

    /// Lets a comparator match every so many ticks (§2.3.9.2.2): the first write after
    /// VAL_SET is the first match, the second the distance to every later one.
    ///
    /// # Errors
    /// [`ArmError`].
    pub fn arm_periodic(&self, number: u8, ticks: u32) -> Result<(), ArmError> {
        let configuration = self.checked(number, ticks)?;
        if !configuration.has(TimerConfiguration::CAN_BE_PERIODIC) {
            return Err(ArmError::NotPeriodic);
        }
        self.registers.write(timer::configuration(number), configuration.armed(true).encode());
        self.registers.write(timer::comparator(number), self.now().wrapping_add(ticks));
        self.registers.write(timer::comparator(number), ticks);
        self.registers.read(timer::comparator(number));
        Ok(())
    }

    /// The registers, for the store of messages that lies among them.
    pub const fn registers(&self) -> &R {
        &self.registers
    }

    /// Makes every comparator silent, and says how many were not.
    ///
    /// # Errors
    /// There is no HPET any more.
    pub fn silence(&self) -> Result<Silenced, Malformed> {
        silence(&self.registers)
    }

    fn checked(&self, number: u8, ticks: u32) -> Result<TimerConfiguration, ArmError> {
        let configuration = self.timer(number).ok_or(ArmError::NoTimer)?;
        if is_future(ticks) { Ok(configuration) } else { Err(ArmError::BadTicks) }
    }
}

/// Whether a distance on a counter of 32 bits is ahead. Half of it counts as the past.
const fn is_future(distance: u32) -> bool {
    distance != 0 && distance < 1 << 31
}
