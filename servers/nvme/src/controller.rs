//! The controller: reset, admin commands, doorbells.

use libsys::object::now_ns;
use libsys::pci::{DmaMemory, MappedBar};
use nvme_core::registers::{self, Capabilities};
use nvme_core::{Command, registers as reg};

use crate::error::DeviceError;
use crate::queue::{ENTRIES, Queue};

/// How long an admin command may take.
const COMMAND_NS: u64 = 1_000_000_000;
/// Namespace of the flushes.
const NAMESPACE: u32 = 1;

/// A controller that takes commands.
pub struct Controller {
    bar: MappedBar,
    memory: DmaMemory,
    capabilities: Capabilities,
    admin: Queue,
}

impl Controller {
    /// Resets the controller and starts it with admin queues at the beginning of `memory`.
    ///
    /// # Errors
    /// It does not suit, does not answer, or fails.
    pub fn start(bar: MappedBar, memory: DmaMemory) -> Result<Controller, DeviceError> {
        let mut this = Controller {
            capabilities: Capabilities::decode(bar.mapping.read64(bar.base + reg::CAPABILITIES)),
            admin: Queue::new(0, 0),
            bar,
            memory,
        };
        let suits =
            this.capabilities.small_pages && this.capabilities.queue_entries >= u32::from(ENTRIES);
        if !suits {
            return Err(DeviceError::Unsuitable);
        }
        this.stop()?;
        this.write(reg::ADMIN_SIZES, registers::admin_sizes(ENTRIES));
        let bus = this.memory.bus_address;
        this.write64(reg::ADMIN_SUBMISSION, bus + this.admin.submission());
        this.write64(reg::ADMIN_COMPLETION, bus + this.admin.completion());
        this.write(reg::CONFIGURATION, reg::ENABLED);
        this.wait_ready(true)?;
        Ok(this)
    }

    /// Stops it: it forgets its queues and touches memory no more.
    ///
    /// # Errors
    /// It does not stop.
    pub fn stop(&mut self) -> Result<(), DeviceError> {
        self.write(reg::CONFIGURATION, 0);
        self.wait_ready(false)
    }

    fn write(&self, register: u64, value: u32) {
        self.bar.mapping.write32(self.bar.base + register, value);
    }

    /// In two halves, which the specification allows for these registers (§3.1).
    fn write64(&self, register: u64, value: u64) {
        self.write(register, value as u32);
        self.write(register + 4, (value >> 32) as u32);
    }

    fn wait_ready(&self, ready: bool) -> Result<(), DeviceError> {
        let timeout_ns = u64::from(self.capabilities.timeout_ms.max(500)) * 1_000_000;
        let deadline_ns = now_ns().saturating_add(timeout_ns);
        loop {
            let status = self.bar.mapping.read32(self.bar.base + reg::STATUS);
            if status & reg::FAILED != 0 {
                return Err(DeviceError::Failed);
            }
            if (status & reg::READY != 0) == ready {
                return Ok(());
            }
            if now_ns() > deadline_ns {
                return Err(DeviceError::Slow { status });
            }
        }
    }

    /// Sends a command in an I/O queue.
    pub fn flush(&self, queue: &mut Queue) {
        let tail = queue.put(&self.memory.mapping, Command::Flush { namespace: NAMESPACE });
        self.write(self.capabilities.tail_doorbell(queue.number), tail.into());
    }

    /// Takes all completions of a queue that are there; how many.
    ///
    /// # Errors
    /// One is wrong.
    pub fn reap(&self, queue: &mut Queue) -> Result<u64, DeviceError> {
        let mut taken = 0;
        while let Some(head) = queue.take(&self.memory.mapping)? {
            self.write(self.capabilities.head_doorbell(queue.number), head.into());
            taken += 1;
        }
        Ok(taken)
    }

    /// Waits until this many completions of a queue are taken.
    ///
    /// # Errors
    /// They do not come in time, or one is wrong.
    pub fn reap_all(&self, queue: &mut Queue, mut count: u64) -> Result<(), DeviceError> {
        let deadline_ns = now_ns().saturating_add(COMMAND_NS);
        while count > 0 {
            count = count.saturating_sub(self.reap(queue)?);
            if count > 0 && now_ns() > deadline_ns {
                return Err(DeviceError::NoCompletion { queue: queue.number });
            }
        }
        Ok(())
    }

    /// Sends an admin command and waits for its end, by looking.
    ///
    /// # Errors
    /// It fails or does not end.
    pub fn admin(&mut self, command: Command) -> Result<(), DeviceError> {
        let tail = self.admin.put(&self.memory.mapping, command);
        self.write(self.capabilities.tail_doorbell(0), tail.into());
        let mut admin = core::mem::replace(&mut self.admin, Queue::new(0, 0));
        let done = self.reap_all(&mut admin, 1);
        self.admin = admin;
        done
    }

    /// Makes a pair of I/O queues at `base` of the shared memory, whose completions raise
    /// `slot` of the MSI-X table.
    ///
    /// # Errors
    /// The controller refuses.
    pub fn create(&mut self, number: u16, base: u64, slot: u16) -> Result<Queue, DeviceError> {
        let queue = Queue::new(number, base);
        let address = self.memory.bus_address + queue.completion();
        let entries = ENTRIES;
        self.admin(Command::CreateCompletion { queue: number, entries, address, slot })?;
        let address = self.memory.bus_address + queue.submission();
        self.admin(Command::CreateSubmission { queue: number, entries, address })?;
        Ok(queue)
    }

    /// Ends a pair of I/O queues.
    ///
    /// # Errors
    /// The controller refuses.
    pub fn delete(&mut self, queue: &Queue) -> Result<(), DeviceError> {
        self.admin(Command::DeleteSubmission { queue: queue.number })?;
        self.admin(Command::DeleteCompletion { queue: queue.number })
    }
}
