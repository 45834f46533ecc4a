//! The command buffer, §2.4: some invalidations and one wait at a time.
//!
//! COMPLETION_WAIT's store means that the commands before it are complete, and that requests
//! which used what they made the unit forget have reached their CPU (§2.4.1).

use super::Command;
use super::registers::{BufferBase, Control, Status, offset};
use super::unit::{AmdViInitError, AmdViRegisters};
use crate::vtd::DmaRegion;
use crate::{HardwareError, HardwareStep};

/// The status register is read once in so many polls of the status word, because memory is
/// cheaper to poll than a register.
const ERROR_CHECK_EVERY: u32 = 64;

/// The buffer's memory and our end of it.
pub(super) struct Queue<M> {
    ring: M,
    status: M,
    /// Commands in the ring: a power of two.
    size: u32,
    tail: u32,
    /// Whether the unit is known to have fetched everything before `tail`.
    empty: bool,
    /// The last status word asked for. It only grows, so a late store of an older one is not
    /// mistaken for this one's.
    ticket: u64,
    budget: u32,
}

/// How one attempt ended.
enum Attempt {
    Done,
    Refused,
    Timeout,
}

impl<M: DmaRegion> Queue<M> {
    /// Checks the memory.
    pub(super) fn new(ring: M, mut status: M, budget: u32) -> Result<Self, AmdViInitError> {
        let entries = ring.size_bytes() / Command::BYTES;
        let sized = entries.is_power_of_two() && (256..=32_768).contains(&entries);
        if !sized || !ring.bus_address().is_multiple_of(4096) {
            return Err(AmdViInitError::BadQueue);
        }
        if status.size_bytes() < 8 || !status.bus_address().is_multiple_of(8) {
            return Err(AmdViInitError::BadStatus);
        }
        status.write64(0, 0);
        Ok(Self { ring, status, size: entries as u32, tail: 0, empty: true, ticket: 0, budget })
    }

    /// What the base register says about it.
    pub(super) fn base(&self) -> BufferBase {
        BufferBase { address: self.ring.bus_address(), entries_log2: self.size.ilog2() as u8 }
    }

    /// Executes the commands and waits for them. If the unit stands still at one, the buffer
    /// is started anew and they are tried once more; after a timeout they are not.
    pub(super) fn run(
        &mut self,
        registers: &mut impl AmdViRegisters,
        commands: &[Command],
    ) -> Result<(), HardwareError> {
        for _ in 0..2 {
            self.submit(registers, commands)?;
            match self.wait(registers) {
                Attempt::Done => return Ok(()),
                Attempt::Timeout => {
                    return Err(HardwareError::Timeout(HardwareStep::Invalidation));
                }
                Attempt::Refused => self.restart(registers)?,
            }
        }
        Err(HardwareError::InvalidationRefused)
    }

    fn submit(
        &mut self,
        registers: &mut impl AmdViRegisters,
        commands: &[Command],
    ) -> Result<(), HardwareError> {
        let need = commands.len() as u32 + 1;
        if !self.empty && self.room(registers) < need {
            // Perhaps it stands still since our last wait.
            if runs(registers) {
                return Err(HardwareError::QueueFull);
            }
            self.restart(registers)?;
        }
        self.ticket += 1;
        for command in commands {
            self.push(*command);
        }
        self.push(Command::CompletionWait {
            address: self.status.bus_address(),
            data: self.ticket,
        });
        self.empty = false;
        registers.write64(offset::COMMAND_TAIL, self.tail as u64 * Command::BYTES as u64);
        Ok(())
    }

    /// Free places. One stays unused: a full ring would look like an empty one.
    fn room(&self, registers: &mut impl AmdViRegisters) -> u32 {
        let head = registers.read64(offset::COMMAND_HEAD) as u32 / Command::BYTES as u32;
        let used = self.tail.wrapping_sub(head) & (self.size - 1);
        self.size - 1 - used
    }

    fn wait(&mut self, registers: &mut impl AmdViRegisters) -> Attempt {
        for poll in 0..self.budget {
            if self.status.read64(0) == self.ticket {
                self.empty = true;
                return Attempt::Done;
            }
            if poll % ERROR_CHECK_EVERY == ERROR_CHECK_EVERY - 1 && !runs(registers) {
                return Attempt::Refused;
            }
        }
        // A budget below the check's interval must not hide an error.
        if runs(registers) { Attempt::Timeout } else { Attempt::Refused }
    }

    /// §2.4 and §2.5.6: after an error CmdBufRun is clear until CmdBufEn goes off and on
    /// again. What was in the buffer is dropped: nobody has a proof that came of it, and
    /// whoever asked for it asks again.
    fn restart(&mut self, registers: &mut impl AmdViRegisters) -> Result<(), HardwareError> {
        let control = Control::decode(registers.read64(offset::CONTROL));
        registers.write64(offset::CONTROL, control.without(Control::COMMANDS).encode());
        self.until(registers, false, HardwareStep::QueueOff)?;
        registers.write64(offset::COMMAND_HEAD, 0);
        registers.write64(offset::COMMAND_TAIL, 0);
        (self.tail, self.empty) = (0, true);
        registers.write64(offset::CONTROL, control.with(Control::COMMANDS).encode());
        self.until(registers, true, HardwareStep::QueueOn)
    }

    fn until(
        &self,
        registers: &mut impl AmdViRegisters,
        run: bool,
        step: HardwareStep,
    ) -> Result<(), HardwareError> {
        for _ in 0..self.budget {
            if runs(registers) == run {
                return Ok(());
            }
        }
        Err(HardwareError::Timeout(step))
    }

    fn push(&mut self, command: Command) {
        let [low, high] = command.encode();
        let at = self.tail as usize * Command::BYTES;
        self.ring.write64(at, low);
        self.ring.write64(at + 8, high);
        self.tail = (self.tail + 1) & (self.size - 1);
    }
}

fn runs(registers: &mut impl AmdViRegisters) -> bool {
    Status::decode(registers.read64(offset::STATUS)).has(Status::COMMANDS_RUN)
}
