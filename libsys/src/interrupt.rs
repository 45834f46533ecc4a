//! An interrupt as a value: slot, message and binding, owned together.
//!
//! ```text
//! add         alloc at the server → mask slot → write pair → bind to the port
//! activate    server takes a vector and opens the remapper entry → unmask slot
//! deactivate  mask slot, read back → server closes the entry and waits for stragglers
//! drop        deactivate → unbind → free at the server → close → slot is free
//! ```
//!
//! Each step's reverse runs in reverse order, so that the slot is silent before the entry
//! goes, the entry before the binding, and nothing is used again before the hardware has
//! forgotten it (DESIGN §4, invariants 4 to 6). A step that fails leaves a value whose drop
//! returns what the steps before had taken.

mod device;
mod error;
mod faults;

pub use device::Interrupts;
pub use error::InterruptError;
pub use faults::FaultWatch;
pub use tocsin_proto::interrupt::{ANY_CPU, Activated, FaultCount, MessageId};

use crate::ipc::ask;
use crate::object::Message;
use crate::store::{Pair, Prepared, SlotClaim, Store, StoreError};
use core::cell::Cell;
use tocsin_abi::message::MessageStatus;
use tocsin_abi::{Error, Handle, Rights};
use tocsin_proto::interrupt as protocol;

/// A slot with a message in it. Dropping it silences the slot and returns everything.
#[must_use = "dropping it silences the slot and frees the message"]
#[derive(Debug)]
pub struct Interrupt {
    server: Handle,
    id: MessageId,
    pair: Pair,
    key: u64,
    is_bound: bool,
    route: Option<Activated>,
    /// The slot was unmasked by `activate` and not masked by `deactivate` since.
    is_open: bool,
    /// Why the remapper stops it: `mask` where the store can not, and `block`.
    stops: Cell<Stops>,
    // In the order of release: the handle is closed, then the slot is free.
    message: Message,
    claim: SlotClaim,
}

/// Who has asked for the remapper's stop. It is one stop, and ends with the last of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stops {
    mask: bool,
    block: bool,
}

impl Stops {
    const NONE: Stops = Stops { mask: false, block: false };

    const fn any(self) -> bool {
        self.mask || self.block
    }
}

impl Interrupt {
    /// Slot in its store.
    #[must_use]
    pub const fn slot(&self) -> u32 {
        self.claim.slot()
    }

    /// Its store.
    #[must_use]
    pub const fn store(&self) -> &Store {
        self.claim.store()
    }

    /// The interrupt server's name for the message.
    #[must_use]
    pub const fn id(&self) -> MessageId {
        self.id
    }

    /// What the device writes. Never changes.
    #[must_use]
    pub const fn pair(&self) -> Pair {
        self.pair
    }

    /// Key of its packets.
    #[must_use]
    pub const fn key(&self) -> u64 {
        self.key
    }

    /// The message.
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// Vector, CPU and remapper entry while active.
    #[must_use]
    pub const fn route(&self) -> Option<Activated> {
        self.route
    }

    /// Pair, state and counters as the kernel has them.
    ///
    /// # Errors
    /// As `message_read`.
    pub fn status(&self) -> Result<MessageStatus, Error> {
        self.message.status()
    }

    /// Takes a vector and lets the device use the slot. Does nothing when it is active.
    ///
    /// # Errors
    /// The server's (`NoVectors` when none is left), or the store's; the slot stays masked
    /// and the message reserved.
    pub fn activate(&mut self) -> Result<Activated, InterruptError> {
        let route = match self.route {
            Some(route) if self.is_open => return Ok(route),
            // A `deactivate` masked the slot and then failed at the server.
            Some(route) => route,
            None => ask(self.server, &protocol::Activate { id: self.id })?,
        };
        self.route = Some(route);
        self.is_open = true;
        if let Err(error) = self.open() {
            // Whether the slot is masked is not known after a failed unmask: mask it again.
            let _ = self.deactivate();
            return Err(error.into());
        }
        Ok(route)
    }

    /// Silences the slot and gives the vector back; the pair, the remapper entry and the
    /// binding stay. When it returns, no event is in flight any more.
    ///
    /// # Errors
    /// The store's or the server's. The vector is asked back even where the slot could not
    /// be masked: the remapper stops it then.
    pub fn deactivate(&mut self) -> Result<(), InterruptError> {
        let closed = self.close();
        self.is_open = false;
        if self.route.is_some() {
            ask(self.server, &protocol::Deactivate { id: self.id })?;
            self.route = None;
            self.stops.set(Stops::NONE);
        }
        Ok(closed?)
    }

    fn open(&self) -> Result<(), StoreError> {
        self.store().batch(|store| store.unmask(self.slot()))
    }

    fn close(&self) -> Result<(), StoreError> {
        self.store().batch(|store| store.mask(self.slot()))
    }

    /// Masks the slot: nothing comes until it is unmasked, and what would have come is not
    /// lost. The device does it where it can ([`MessageStore::masks_slots`]), and keeps the
    /// event; else the remapper, and the driver is told afterwards to look at its device.
    ///
    /// [`MessageStore::masks_slots`]: crate::store::MessageStore::masks_slots
    ///
    /// # Errors
    /// The store's or the server's.
    pub fn mask(&self) -> Result<(), InterruptError> {
        if self.store().masks_slots() {
            return Ok(self.close()?);
        }
        self.stop(Stops { mask: true, ..self.stops.get() })
    }

    /// The reverse of [`Interrupt::mask`]. For an active interrupt; before
    /// [`Interrupt::activate`] the remapper stops what the device sends.
    ///
    /// # Errors
    /// The store's or the server's.
    pub fn unmask(&self) -> Result<(), InterruptError> {
        if self.store().masks_slots() {
            return Ok(self.open()?);
        }
        self.stop(Stops { mask: false, ..self.stops.get() })
    }

    /// Has the remapper stop the message if anything still asks for it, and else not.
    fn stop(&self, wanted: Stops) -> Result<(), InterruptError> {
        // Without a CPU event it is stopped as it is.
        match (self.route.is_some(), self.stops.get().any(), wanted.any()) {
            (false, _, _) => return Ok(()),
            (true, false, true) => ask(self.server, &protocol::Block { id: self.id }).map(drop)?,
            (true, true, false) => {
                ask(self.server, &protocol::Unblock { id: self.id }).map(drop)?
            }
            (true, false, false) | (true, true, true) => {}
        }
        self.stops.set(wanted);
        Ok(())
    }

    /// Moves the interrupt to a CPU of this set, in the remapper; the device is not touched.
    ///
    /// # Errors
    /// The server's; the route is as before then.
    pub fn set_affinity(&mut self, cpus: u64) -> Result<Activated, InterruptError> {
        let route = ask(self.server, &protocol::SetAffinity { id: self.id, cpus })?;
        self.route = Some(route);
        Ok(route)
    }

    /// Stops the interrupt at the remapper, whatever the device does.
    ///
    /// # Errors
    /// The server's.
    pub fn block(&self) -> Result<(), InterruptError> {
        match self.stops.get() {
            Stops { mask: true, .. } => self.stop(Stops { mask: true, block: true }),
            // Twice is an error that the server has a word for.
            Stops { mask: false, .. } => {
                ask(self.server, &protocol::Block { id: self.id })?;
                self.stops.set(Stops { mask: false, block: true });
                Ok(())
            }
        }
    }

    /// The reverse of [`Interrupt::block`].
    ///
    /// # Errors
    /// The server's.
    pub fn unblock(&self) -> Result<(), InterruptError> {
        match self.stops.get() {
            Stops { mask: true, .. } => self.stop(Stops { mask: true, block: false }),
            // It may be a storm that blocks it, of which only the server knows.
            Stops { mask: false, .. } => {
                ask(self.server, &protocol::Unblock { id: self.id })?;
                self.stops.set(Stops::NONE);
                Ok(())
            }
        }
    }

    /// A handle to the message for a client: it can bind the message to its own port and
    /// read its counters, and nothing else. The driver is not in the path then. Taken back
    /// by [`Message::revoke`] on [`Interrupt::message`].
    ///
    /// # Errors
    /// `AlreadyBound` when the message is bound to this driver's port, or as
    /// `handle_duplicate`.
    pub fn client_message(&self) -> Result<Message, Error> {
        if self.is_bound {
            return Err(Error::AlreadyBound);
        }
        self.message.duplicate(Rights::READ | Rights::BIND | Rights::TRANSFER)
    }

    /// Returns everything, and says what went wrong with it; dropping does the same
    /// silently.
    ///
    /// # Errors
    /// The first of the store, the server and the kernel. Everything that could be returned
    /// was; the slot is not used again when the device may still use it.
    pub fn release(mut self) -> Result<(), InterruptError> {
        self.give_back()
    }

    fn bind(&mut self, port: Handle, key: u64) -> Result<(), Error> {
        // A pending event's packet is on the port by now: nothing is lost in between.
        self.message.bind(port, key)?;
        (self.key, self.is_bound) = (key, true);
        Ok(())
    }

    const fn prepared(&self) -> (u32, Prepared) {
        let message = self.message.handle();
        (self.claim.slot(), Prepared { pair: self.pair, message })
    }

    /// The steps of release; runs once.
    fn give_back(&mut self) -> Result<(), InterruptError> {
        if self.server.is_none() {
            return Ok(());
        }
        let silenced = self.deactivate();
        let unbound = if self.is_bound { self.message.unbind() } else { Ok(()) };
        let freed = ask(self.server, &protocol::Free { id: self.id });
        if silenced.is_err() || freed.is_err() {
            self.claim.quarantine();
        }
        self.server = Handle::NONE;
        silenced?;
        freed?;
        Ok(unbound?)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        // What can be said to somebody was said by `release`.
        let _ = self.give_back();
    }
}

#[cfg(test)]
mod tests;
