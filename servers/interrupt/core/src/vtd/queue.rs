//! The invalidation queue, §6.5.2: one invalidation and one wait descriptor at a time.
//!
//! A wait descriptor's completion means that the invalidation before it is complete and that
//! interrupt requests which used the forgotten entries have been delivered (§6.5.2.8 and
//! §6.5.4 on draining).

use super::registers::{FaultStatus, QueueAddress, offset};
use super::unit::{DmaRegion, VtdInitError, VtdRegisters};
use super::{CacheInvalidate, Descriptor, Wait};
use crate::{HardwareError, HardwareStep};

const PAGE: usize = 4096;
const DESCRIPTOR: usize = 16;
/// The invalidation and the wait.
const PER_FLUSH: u32 = 2;
/// The unit's error bits are read once in so many polls of the status word, because memory
/// is cheaper to poll than a register.
const ERROR_CHECK_EVERY: u32 = 64;
/// Low half of a descriptor whose type, bits 3:0, means nothing.
const RESERVED_TYPE: u64 = 0xf;

/// The queue's memory and our end of it.
pub(super) struct Queue<M> {
    ring: M,
    status: M,
    /// Descriptors in the ring: a power of two.
    size: u32,
    tail: u32,
    /// Whether the unit is known to have fetched everything before `tail`.
    empty: bool,
    /// The last status word asked for. Each flush uses its own, so a late write of an older
    /// one is not mistaken for this one's.
    ticket: u32,
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
    pub(super) fn new(ring: M, status: M, budget: u32) -> Result<Self, VtdInitError> {
        let pages = ring.size_bytes() / PAGE;
        let whole = ring.size_bytes().is_multiple_of(PAGE) && pages.is_power_of_two();
        if !whole || pages > 128 || !ring.bus_address().is_multiple_of(PAGE as u64) {
            return Err(VtdInitError::BadQueue);
        }
        if status.size_bytes() < 8 || !status.bus_address().is_multiple_of(8) {
            return Err(VtdInitError::BadStatus);
        }
        let size = (pages * (PAGE / DESCRIPTOR)) as u32;
        Ok(Self { ring, status, size, tail: 0, empty: true, ticket: 0, budget })
    }

    /// What IQA_REG says about it.
    pub(super) fn address(&self) -> QueueAddress {
        let pages = self.size as usize / (PAGE / DESCRIPTOR);
        QueueAddress { address: self.ring.bus_address(), pages_log2: pages.ilog2() as u8 }
    }

    /// Invalidates and waits. A refused descriptor (IQE) is replaced, the error cleared, and
    /// the invalidation tried once more; after a timeout it is not.
    pub(super) fn invalidate(
        &mut self,
        registers: &mut impl VtdRegisters,
        what: CacheInvalidate,
    ) -> Result<(), HardwareError> {
        for _ in 0..2 {
            self.submit(registers, what)?;
            match self.wait(registers) {
                Attempt::Done => return Ok(()),
                Attempt::Timeout => {
                    return Err(HardwareError::Timeout(HardwareStep::Invalidation));
                }
                Attempt::Refused => self.recover(registers),
            }
        }
        Err(HardwareError::InvalidationRefused)
    }

    fn submit(
        &mut self,
        registers: &mut impl VtdRegisters,
        what: CacheInvalidate,
    ) -> Result<(), HardwareError> {
        if !self.empty && self.room(registers) < PER_FLUSH {
            // Perhaps it stands still because of an error that came after our last wait.
            self.recover(registers);
            self.publish_tail(registers);
            if self.room(registers) < PER_FLUSH {
                return Err(HardwareError::QueueFull);
            }
        }
        self.ticket = self.ticket.wrapping_add(1);
        self.push(Descriptor::Cache(what));
        self.push(self.wait_descriptor());
        self.empty = false;
        self.publish_tail(registers);
        Ok(())
    }

    /// Free slots. One stays unused: a full ring would look like an empty one.
    fn room(&self, registers: &mut impl VtdRegisters) -> u32 {
        let used = self.tail.wrapping_sub(self.head(registers)) & (self.size - 1);
        self.size - 1 - used
    }

    fn publish_tail(&self, registers: &mut impl VtdRegisters) {
        registers.write64(offset::QUEUE_TAIL, self.tail as u64 * DESCRIPTOR as u64);
    }

    fn wait(&mut self, registers: &mut impl VtdRegisters) -> Attempt {
        for poll in 0..self.budget {
            if self.status.read64(0) as u32 == self.ticket {
                self.empty = true;
                return Attempt::Done;
            }
            if poll % ERROR_CHECK_EVERY == ERROR_CHECK_EVERY - 1
                && fault_status(registers).of(FaultStatus::QUEUE_ERRORS) != 0
            {
                return Attempt::Refused;
            }
        }
        // A budget below the check's interval must not hide an error.
        if fault_status(registers).of(FaultStatus::QUEUE_ERRORS) != 0 {
            return Attempt::Refused;
        }
        Attempt::Timeout
    }

    /// §6.5.2.10: with IQE the head stands at the refused descriptor. It is replaced by a
    /// wait, which is always legal, and the unit goes on when the bit is cleared (QEMU 7.2:
    /// when the tail is written next). Whoever asked for the refused invalidation asks again.
    fn recover(&mut self, registers: &mut impl VtdRegisters) {
        let errors = fault_status(registers).of(FaultStatus::QUEUE_ERRORS);
        if errors & FaultStatus::QUEUE_ERROR != 0 {
            let head = self.head(registers);
            self.write(head, self.wait_descriptor());
        }
        // The status word that those waits write is an old one when the next flush waits.
        registers.write32(offset::FAULT_STATUS, errors);
    }

    /// The queue stands still because of an error that nobody waited for: lets it go on.
    pub(super) fn resume(&mut self, registers: &mut impl VtdRegisters) {
        self.recover(registers);
        self.publish_tail(registers);
    }

    /// Gives the unit a descriptor that it must refuse (type 15 is reserved, §6.5.2), for who
    /// wants to see that it says so. [`Queue::resume`] puts another in its place.
    pub(super) fn submit_refused(
        &mut self,
        registers: &mut impl VtdRegisters,
    ) -> Result<(), HardwareError> {
        if !self.empty && self.room(registers) < PER_FLUSH {
            return Err(HardwareError::QueueFull);
        }
        let at = self.tail as usize * DESCRIPTOR;
        self.ring.write64(at, RESERVED_TYPE);
        self.ring.write64(at + 8, 0);
        self.tail = (self.tail + 1) & (self.size - 1);
        self.empty = false;
        self.publish_tail(registers);
        Ok(())
    }

    fn wait_descriptor(&self) -> Descriptor {
        Descriptor::Wait(Wait {
            fence: true,
            status_data: self.ticket,
            status_address: self.status.bus_address(),
        })
    }

    fn push(&mut self, descriptor: Descriptor) {
        self.write(self.tail, descriptor);
        self.tail = (self.tail + 1) & (self.size - 1);
    }

    fn write(&mut self, slot: u32, descriptor: Descriptor) {
        let [low, high] = descriptor.encode();
        let at = slot as usize * DESCRIPTOR;
        self.ring.write64(at, low);
        self.ring.write64(at + 8, high);
    }

    /// IQH_REG 18:4 is the descriptor's number.
    fn head(&self, registers: &mut impl VtdRegisters) -> u32 {
        (registers.read64(offset::QUEUE_HEAD) >> 4) as u32 & (self.size - 1)
    }
}

fn fault_status(registers: &mut impl VtdRegisters) -> FaultStatus {
    FaultStatus::decode(registers.read32(offset::FAULT_STATUS))
}
