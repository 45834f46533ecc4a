//! The command queue, §5.3: a ring of 32-byte commands that the ITS executes in order.
//!
//! Nothing is ever taken back: what is in the ring will be executed, perhaps late. So the
//! unit's picture of the ITS is "what it will be at this ticket", and after a timeout nothing
//! is sent again, only waited for again.

use super::bringup::ItsInitError;
use super::registers::offset;
use super::unit::{ItsError, ItsRegisters, ItsStep};
use super::{Command, CommandBase, MemoryAttributes, ReadPointer, WritePointer};
use crate::vtd::DmaRegion;

const PAGE: usize = 4096;

/// The ring's memory and our end of it.
pub(super) struct Queue<M> {
    ring: M,
    /// Commands in the ring.
    size: u32,
    /// Commands written since the start. A ticket is this number after a batch.
    submitted: u64,
    /// Commands known to be executed.
    done: u64,
    coherent: bool,
    budget: u32,
}

impl<M: DmaRegion> Queue<M> {
    /// Checks the memory: 1 to 256 pages at a multiple of 64 KiB.
    pub(super) fn new(ring: M, budget: u32) -> Result<Self, ItsInitError> {
        let pages = ring.size_bytes() / PAGE;
        let whole = ring.size_bytes().is_multiple_of(PAGE) && (1..=256).contains(&pages);
        if !whole || ring.bus_address() & !0xf_ffff_ffff_0000 != 0 {
            return Err(ItsInitError::BadQueue);
        }
        let size = (ring.size_bytes() / Command::SIZE) as u32;
        Ok(Self { ring, size, submitted: 0, done: 0, coherent: true, budget })
    }

    /// Tells the ITS, which is off. That sets GITS_CREADR to 0.
    pub(super) fn install(
        &mut self,
        registers: &mut impl ItsRegisters,
    ) -> Result<(), ItsInitError> {
        let pages = (self.size as usize * Command::SIZE / PAGE) as u16;
        let address = self.ring.bus_address();
        for attributes in [MemoryAttributes::SHARED, MemoryAttributes::UNCACHED] {
            let wanted = CommandBase { valid: true, attributes, address, pages };
            registers.write64(offset::COMMAND_BASE, wanted.encode());
            let taken = CommandBase::decode(registers.read64(offset::COMMAND_BASE))
                .map_err(|_| ItsInitError::QueueRefused)?;
            if (taken.valid, taken.address, taken.pages) != (true, address, pages) {
                return Err(ItsInitError::QueueRefused);
            }
            self.coherent = taken.attributes.coherent();
            if self.coherent {
                break;
            }
        }
        registers.write64(offset::COMMAND_WRITE, 0);
        Ok(())
    }

    /// Puts all of `commands` into the ring, or none. Returns the ticket to wait for.
    pub(super) fn submit<const N: usize>(
        &mut self,
        registers: &mut impl ItsRegisters,
        commands: &[Command; N],
    ) -> Result<u64, ItsError> {
        self.submit_encoded(registers, &commands.map(Command::encode))
    }

    /// The same for commands as they lie in memory.
    pub(super) fn submit_encoded(
        &mut self,
        registers: &mut impl ItsRegisters,
        commands: &[[u64; 4]],
    ) -> Result<u64, ItsError> {
        if self.room() < commands.len() as u64 {
            if self.refresh(registers).stalled {
                self.retry(registers);
                self.refresh(registers);
            }
            if self.room() < commands.len() as u64 {
                return Err(ItsError::QueueFull);
            }
        }
        for command in commands {
            let at = self.place(self.submitted) as usize * Command::SIZE;
            for (word, &value) in command.iter().enumerate() {
                self.ring.write64(at + 8 * word, value);
            }
            if !self.coherent {
                self.ring.write_back(at);
            }
            self.submitted += 1;
        }
        let tail = WritePointer { command: self.place(self.submitted), retry: false };
        registers.write64(offset::COMMAND_WRITE, tail.encode());
        Ok(self.submitted)
    }

    /// Waits until everything up to `ticket` has been executed. A queue that stands still
    /// because of an error (Stalled) is told to try again, once in each wait: the commands
    /// are well formed, so what is wrong can only be passing, or is the hardware's.
    pub(super) fn wait(
        &mut self,
        registers: &mut impl ItsRegisters,
        ticket: u64,
    ) -> Result<(), ItsError> {
        let mut retried = false;
        let mut stalled = false;
        for _ in 0..self.budget {
            if self.is_done(ticket) {
                return Ok(());
            }
            stalled = self.refresh(registers).stalled && !self.is_done(ticket);
            if stalled && !retried {
                self.retry(registers);
                retried = true;
            }
        }
        if self.is_done(ticket) {
            return Ok(());
        }
        if stalled {
            let at = self.place(self.done) as usize * Command::SIZE;
            return Err(ItsError::Stalled { command: self.ring.read64(at) as u8 });
        }
        Err(ItsError::Timeout(ItsStep::Commands))
    }

    /// Whether everything up to `ticket` is known to be executed.
    pub(super) const fn is_done(&self, ticket: u64) -> bool {
        self.done >= ticket
    }

    /// Free places. One stays unused: a full ring would look like an empty one.
    const fn room(&self) -> u64 {
        self.size as u64 - 1 - (self.submitted - self.done)
    }

    const fn place(&self, command: u64) -> u32 {
        (command % self.size as u64) as u32
    }

    fn retry(&self, registers: &mut impl ItsRegisters) {
        let tail = WritePointer { command: self.place(self.submitted), retry: true };
        registers.write64(offset::COMMAND_WRITE, tail.encode());
    }

    /// Reads how far the ITS has come. A pointer that lies outside what is under way is not
    /// believed.
    fn refresh(&mut self, registers: &mut impl ItsRegisters) -> ReadPointer {
        let none = ReadPointer { command: self.place(self.done), stalled: false };
        let read = ReadPointer::decode(registers.read64(offset::COMMAND_READ)).unwrap_or(none);
        if read.command < self.size {
            let step = (read.command + self.size - self.place(self.done)) % self.size;
            if u64::from(step) <= self.submitted - self.done {
                self.done += u64::from(step);
            }
        }
        read
    }
}
