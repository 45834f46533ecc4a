//! A submission queue and its completion queue, in memory that driver and controller share.

use libsys::map::{Mapping, ordering};
use nvme_core::{Command, Completion, Ring, command, completion};

use crate::error::DeviceError;

/// Entries of every queue: a page of commands.
pub const ENTRIES: u16 = 64;
/// Bytes of a pair of queues: a page each.
pub const BYTES: u64 = 2 * 4096;

/// One pair. The number is the same for both, and zero for the admin queues.
#[derive(Debug)]
pub struct Queue {
    /// Its number.
    pub number: u16,
    /// Where in the shared memory its two pages are.
    base: u64,
    tail: u16,
    next_id: u16,
    oldest_id: u16,
    ring: Ring,
}

impl Queue {
    /// An empty pair at `base`; the memory is zero there.
    pub const fn new(number: u16, base: u64) -> Queue {
        let ring = Ring::new(ENTRIES);
        Queue { number, base, tail: 0, next_id: 0, oldest_id: 0, ring }
    }

    /// Offset of the submission queue.
    pub const fn submission(&self) -> u64 {
        self.base
    }

    /// Offset of the completion queue.
    pub const fn completion(&self) -> u64 {
        self.base + 4096
    }

    /// Puts a command in; the tail that the controller is to be told. At most
    /// `ENTRIES - 1` commands may be without completion.
    pub fn put(&mut self, memory: &Mapping, command: Command) -> u16 {
        let at = self.submission() + u64::from(self.tail) * command::BYTES;
        for (n, word) in command.encode(self.next_id).into_iter().enumerate() {
            memory.write32(at + 4 * n as u64, word);
        }
        self.next_id = self.next_id.wrapping_add(1);
        self.tail = (self.tail + 1) % ENTRIES;
        // The controller must not see the doorbell before the command.
        ordering();
        self.tail
    }

    /// Takes the next completion, if there is one; the head that the controller is to be
    /// told.
    ///
    /// # Errors
    /// It is of another command than the oldest (a queue's commands that do nothing finish
    /// in their order), or that command failed.
    pub fn take(&mut self, memory: &Mapping) -> Result<Option<u16>, DeviceError> {
        let at = self.completion() + u64::from(self.ring.head()) * completion::BYTES;
        // The last word has the phase, and is written last (§4.6): read it first.
        let last = memory.read32(at + 12);
        if !self.ring.is_new(&Completion::decode([0, 0, 0, last])) {
            return Ok(None);
        }
        ordering();
        let words = [memory.read32(at), memory.read32(at + 4), memory.read32(at + 8), last];
        let completion = Completion::decode(words);
        self.ring.advance();
        if (completion.queue, completion.id) != (self.number, self.oldest_id) {
            let (queue, id) = (self.number, completion.id);
            return Err(DeviceError::WrongCompletion { queue, id });
        }
        self.oldest_id = self.oldest_id.wrapping_add(1);
        match completion.status {
            0 => Ok(Some(self.ring.head())),
            status => Err(DeviceError::Refused { queue: self.number, status }),
        }
    }
}
