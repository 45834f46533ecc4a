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

use crate::ipc::{AskError, Handles, ask, ask_with};
use crate::object::Message;
use crate::store::{Pair, Prepared, SlotClaim, Store, StoreError};
use alloc::vec::Vec;
use tocsin_abi::message::MessageStatus;
use tocsin_abi::{Error, Handle, Rights};
use tocsin_proto::DecodeError;
use tocsin_proto::interrupt::{self as protocol, ALLOC_MAX, Contiguity, MessageIds};
pub use tocsin_proto::interrupt::{ANY_CPU, Activated, MessageId};

/// Why an interrupt can not be had or changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InterruptError {
    /// The interrupt server's answer: `NoVectors`, `NotSupported`, ….
    Server(protocol::Error),
    /// The kernel's.
    Kernel(Error),
    /// The store's.
    Store(StoreError),
    /// The server's reply makes no sense.
    Malformed(DecodeError),
}

impl From<AskError<protocol::Error>> for InterruptError {
    fn from(error: AskError<protocol::Error>) -> Self {
        match error {
            AskError::Kernel(error) => InterruptError::Kernel(error),
            AskError::Refused(error) => InterruptError::Server(error),
            AskError::Malformed(error) => InterruptError::Malformed(error),
        }
    }
}

impl From<Error> for InterruptError {
    fn from(error: Error) -> Self {
        InterruptError::Kernel(error)
    }
}

impl From<StoreError> for InterruptError {
    fn from(error: StoreError) -> Self {
        InterruptError::Store(error)
    }
}

impl core::fmt::Display for InterruptError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            InterruptError::Server(error) => error.fmt(f),
            InterruptError::Kernel(error) => error.fmt(f),
            InterruptError::Store(error) => error.fmt(f),
            InterruptError::Malformed(_) => f.write_str("interrupt server's reply makes no sense"),
        }
    }
}

/// A device's access to the interrupt server, and the port for what it raises. The handles
/// stay the program's; the port must live as long as the interrupts made here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interrupts {
    server: Handle,
    port: Handle,
    cpus: u64,
}

impl Interrupts {
    /// For the device whose endpoint `server` is (startup entry `interrupt`).
    #[must_use]
    pub const fn new(server: Handle, port: Handle) -> Interrupts {
        Interrupts { server, port, cpus: ANY_CPU }
    }

    /// The same, with messages that go to these CPUs only (one bit each).
    #[must_use]
    pub const fn on_cpus(mut self, cpus: u64) -> Interrupts {
        self.cpus = cpus;
        self
    }

    /// Reserves a message, puts its pair into `slot` (masked) and binds it to the port under
    /// `key`. It raises nothing before [`Interrupt::activate`], and needs no vector.
    ///
    /// # Errors
    /// The server's, the store's or the kernel's; everything is as before then.
    pub fn add(&self, store: &Store, slot: u32, key: u64) -> Result<Interrupt, InterruptError> {
        let claim = store.claim(slot)?;
        let mut made = self.alloc(store, 1)?;
        let (ids, message) = made.pop().ok_or(MISSING)?;
        let mut interrupt = self.adopt(claim, &ids, message);
        let (slot, prepared) = interrupt.prepared();
        store.batch(|store| {
            store.mask(slot)?;
            store.write(slot, prepared)
        })?;
        interrupt.bind(self.port, key)?;
        Ok(interrupt)
    }

    /// As [`Interrupts::add`], in the lowest free slot.
    ///
    /// # Errors
    /// As [`Interrupts::add`]; `NoSlots` when the store is full.
    pub fn add_any(&self, store: &Store, key: u64) -> Result<Interrupt, InterruptError> {
        let slot = store.claim_any()?.slot();
        self.add(store, slot, key)
    }

    /// Adds several slots, with keys that count up from `first_key`, in as few calls and
    /// batches as possible: all of them or none.
    ///
    /// # Errors
    /// As [`Interrupts::add`]; everything is as before then.
    pub fn add_many(
        &self,
        store: &Store,
        slots: &[u32],
        first_key: u64,
    ) -> Result<Vec<Interrupt>, InterruptError> {
        let mut all = Vec::with_capacity(slots.len());
        for group in slots.chunks(ALLOC_MAX.into()) {
            let claims: Result<Vec<SlotClaim>, StoreError> =
                group.iter().map(|&slot| store.claim(slot)).collect();
            let claims = claims?;
            let made = self.alloc(store, group.len() as u8)?;
            let first = all.len();
            for (claim, (ids, message)) in claims.into_iter().zip(made) {
                all.push(self.adopt(claim, &ids, message));
            }
            store.batch(|store| {
                for interrupt in &all[first..] {
                    let (slot, prepared) = interrupt.prepared();
                    store.mask(slot)?;
                    store.write(slot, prepared)?;
                }
                Ok(())
            })?;
            for (key, interrupt) in (first_key + first as u64..).zip(&mut all[first..]) {
                interrupt.bind(self.port, key)?;
            }
        }
        Ok(all)
    }

    /// As [`Interrupts::add`], but not bound to this driver's port: for a slot whose message
    /// goes to a client ([`Interrupt::client_message`]), which binds it to its own.
    ///
    /// # Errors
    /// As [`Interrupts::add`].
    pub fn add_for_client(&self, store: &Store, slot: u32) -> Result<Interrupt, InterruptError> {
        let claim = store.claim(slot)?;
        let mut made = self.alloc(store, 1)?;
        let (ids, message) = made.pop().ok_or(MISSING)?;
        let interrupt = self.adopt(claim, &ids, message);
        let (slot, prepared) = interrupt.prepared();
        store.batch(|store| {
            store.mask(slot)?;
            store.write(slot, prepared)
        })?;
        Ok(interrupt)
    }

    /// What the interrupt server has to give.
    ///
    /// # Errors
    /// The server's.
    pub fn information(&self) -> Result<protocol::Information, InterruptError> {
        Ok(ask(self.server, &protocol::Info)?)
    }

    fn alloc(
        &self,
        store: &Store,
        count: u8,
    ) -> Result<heapless::Vec<(MessageIds, Message), { ALLOC_MAX as usize }>, InterruptError> {
        let request = protocol::Alloc {
            count,
            kind: store.kind(),
            contiguity: Contiguity::Any,
            cpus: self.cpus,
        };
        let (reply, handles) = ask_with(self.server, &request, &[])?;
        let handles: Handles = handles;
        let made: heapless::Vec<_, { ALLOC_MAX as usize }> =
            reply.messages.into_iter().zip(handles.into_iter().map(Message::from)).collect();
        if made.len() == usize::from(count) {
            return Ok(made);
        }
        for (ids, _) in &made {
            let _ = ask(self.server, &protocol::Free { id: ids.id });
        }
        Err(MISSING)
    }

    const fn adopt(&self, claim: SlotClaim, ids: &MessageIds, message: Message) -> Interrupt {
        let pair = Pair { address: ids.address, data: ids.data };
        let (id, server) = (ids.id, self.server);
        Interrupt {
            server,
            id,
            pair,
            key: 0,
            is_bound: false,
            route: None,
            is_open: false,
            message,
            claim,
        }
    }
}

/// A reply with another number of messages than were asked for.
const MISSING: InterruptError = InterruptError::Malformed(DecodeError::WrongLength);

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
    // In the order of release: the handle is closed, then the slot is free.
    message: Message,
    claim: SlotClaim,
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
        if let Err(error) = self.unmask() {
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
        let masked = self.mask();
        self.is_open = false;
        if self.route.is_some() {
            ask(self.server, &protocol::Deactivate { id: self.id })?;
            self.route = None;
        }
        Ok(masked?)
    }

    /// Masks the slot at the device.
    ///
    /// # Errors
    /// The store's.
    pub fn mask(&self) -> Result<(), StoreError> {
        self.store().batch(|store| store.mask(self.slot()))
    }

    /// Unmasks the slot at the device. For an active interrupt; before [`Interrupt::activate`]
    /// the remapper stops what the device sends.
    ///
    /// # Errors
    /// The store's.
    pub fn unmask(&self) -> Result<(), StoreError> {
        self.store().batch(|store| store.unmask(self.slot()))
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
        ask(self.server, &protocol::Block { id: self.id })?;
        Ok(())
    }

    /// The reverse of [`Interrupt::block`].
    ///
    /// # Errors
    /// The server's.
    pub fn unblock(&self) -> Result<(), InterruptError> {
        ask(self.server, &protocol::Unblock { id: self.id })?;
        Ok(())
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
