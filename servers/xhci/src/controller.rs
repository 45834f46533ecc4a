//! The controller: reset, event rings, and how each interrupter is made to raise its message.
//!
//! No USB device is needed, and none is driven: the controller stays halted. An interrupter
//! raises its message while its event ring is not empty and its handler is not busy (xHCI
//! §4.17.2), and a ring is empty when software has got as far as the controller (§4.9.4). So
//! each ring's dequeue pointer is one place ahead of where the controller will write, and
//! writing it once more with the busy bit is what a handler does that goes on to the next
//! event: the interrupter raises its message.

use libsys::object::now_ns;
use libsys::pci::{DmaMemory, MappedBar};
use xhci_core::{Capabilities, Segment, registers as reg};

use crate::error::DeviceError;

/// How long a reset may take.
const RESET_NS: u64 = 1_000_000_000;
/// Places of a ring: as few as there may be.
const PLACES: u16 = 16;
/// A segment table with its one entry, 64 bytes aligned, and the ring behind it.
const TABLE_BYTES: u64 = 64;
const RING_BYTES: u64 = PLACES as u64 * Segment::PLACE_BYTES;

/// A controller whose interrupters have rings.
pub struct Controller {
    bar: MappedBar,
    memory: DmaMemory,
    capabilities: Capabilities,
}

impl Controller {
    /// Bytes of shared memory for so many interrupters.
    pub const fn memory_bytes(interrupters: u16) -> u64 {
        interrupters as u64 * (TABLE_BYTES + RING_BYTES)
    }

    /// Resets the controller, gives each of its first `interrupters` a ring in `memory`, and
    /// switches interrupts on.
    ///
    /// # Errors
    /// It does not suit, does not answer, or fails.
    pub fn start(
        bar: MappedBar,
        memory: DmaMemory,
        interrupters: u16,
    ) -> Result<Controller, DeviceError> {
        let read = |at| bar.mapping.read32(bar.base + at);
        let capabilities = Capabilities::decode(
            read(reg::LENGTH_AND_VERSION),
            read(reg::STRUCTURAL_1),
            read(reg::RUNTIME_OFFSET),
            bar.size_bytes,
        );
        let capabilities = capabilities.map_err(|_| DeviceError::Unsuitable)?;
        if capabilities.interrupters < interrupters {
            let interrupters = capabilities.interrupters;
            return Err(DeviceError::TooFew { interrupters });
        }
        let this = Controller { bar, memory, capabilities };
        this.reset()?;
        for number in 0..interrupters {
            this.give_ring(number)?;
        }
        this.write(this.operational(reg::COMMAND), reg::INTERRUPTS_ON);
        Ok(this)
    }

    /// Ends what it does: it forgets its rings and touches memory no more.
    ///
    /// # Errors
    /// It does not stop.
    pub fn reset(&self) -> Result<(), DeviceError> {
        self.write(self.operational(reg::COMMAND), 0);
        self.wait(|_, status| status & reg::HALTED != 0)?;
        self.write(self.operational(reg::COMMAND), reg::RESET);
        self.wait(|command, status| command & reg::RESET == 0 && status & reg::NOT_READY == 0)
    }

    fn wait(&self, done: impl Fn(u32, u32) -> bool) -> Result<(), DeviceError> {
        let deadline_ns = now_ns().saturating_add(RESET_NS);
        loop {
            let command = self.read(self.operational(reg::COMMAND));
            let status = self.read(self.operational(reg::STATUS));
            if status & reg::SYSTEM_ERROR != 0 {
                return Err(DeviceError::Failed { status });
            }
            if done(command, status) {
                return Ok(());
            }
            if now_ns() > deadline_ns {
                return Err(DeviceError::Slow { status });
            }
        }
    }

    const fn operational(&self, register: u64) -> u64 {
        self.capabilities.operational + register
    }

    fn read(&self, register: u64) -> u32 {
        self.bar.mapping.read32(self.bar.base + register)
    }

    fn write(&self, register: u64, value: u32) {
        self.bar.mapping.write32(self.bar.base + register, value);
    }

    /// The low half first (§5.1: a register is written when its high half is).
    fn write64(&self, register: u64, value: u64) {
        self.write(register, value as u32);
        self.write(register + 4, (value >> 32) as u32);
    }

    /// Where an interrupter's table is in the shared memory; its ring follows.
    const fn table(number: u16) -> u64 {
        Self::memory_bytes(number)
    }

    /// Where software has got to, as the controller is told: one place ahead.
    const fn dequeue(&self, number: u16) -> u64 {
        let ring = self.memory.bus_address + Self::table(number) + TABLE_BYTES;
        ring + Segment::PLACE_BYTES
    }

    fn give_ring(&self, number: u16) -> Result<(), DeviceError> {
        let table = Self::table(number);
        let address = self.memory.bus_address + table + TABLE_BYTES;
        let segment = Segment { address, places: PLACES };
        let words = segment.encode().map_err(|_| DeviceError::Ring)?;
        for (offset, word) in (table..).step_by(4).zip(words) {
            self.memory.mapping.write32(offset, word);
        }
        let at = self.capabilities.interrupter(number);
        // One after another, and the table last, as §4.9.4 orders it. No moderation: each
        // event is its own.
        self.write(at + reg::MODERATION, 0);
        self.write(at + reg::SEGMENTS, 1);
        self.write64(at + reg::DEQUEUE, self.dequeue(number));
        self.write64(at + reg::SEGMENT_TABLE, self.memory.bus_address + table);
        self.write(at + reg::MANAGEMENT, reg::ENABLED | reg::PENDING);
        Ok(())
    }

    /// Has an interrupter raise its message.
    pub fn raise(&self, number: u16) {
        let low = self.dequeue(number) as u32 | reg::BUSY;
        self.write(self.capabilities.interrupter(number) + reg::DEQUEUE, low);
        // Answered after the write has done what it does.
        self.read(self.operational(reg::STATUS));
    }

    /// Whether the controller is well.
    ///
    /// # Errors
    /// `Failed`.
    pub fn check(&self) -> Result<(), DeviceError> {
        let status = self.read(self.operational(reg::STATUS));
        if status & reg::SYSTEM_ERROR != 0 { Err(DeviceError::Failed { status }) } else { Ok(()) }
    }
}
