//! Making interrupts: a device's access to the interrupt server.

use super::{Interrupt, InterruptError, Stops};
use crate::ipc::{ask, ask_with};
use crate::object::Message;
use crate::store::{Pair, SlotClaim, Store, StoreError, StoreKind};
use alloc::vec::Vec;
use core::cell::Cell;
use tocsin_abi::Handle;
use tocsin_proto::DecodeError;
use tocsin_proto::interrupt::{
    self as protocol, ALLOC_MAX, ANY_CPU, BLOCK_MAX, Contiguity, MessageIds,
};

/// A device's access to the interrupt server, and the port for what it raises. The handles
/// stay the program's; the port must live as long as the interrupts made here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interrupts {
    pub(super) server: Handle,
    pub(super) port: Handle,
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
        self.fill(store.claim(slot)?, Some(key))
    }

    /// As [`Interrupts::add`], in the lowest free slot.
    ///
    /// # Errors
    /// As [`Interrupts::add`]; `NoSlots` when the store is full.
    pub fn add_any(&self, store: &Store, key: u64) -> Result<Interrupt, InterruptError> {
        self.fill(store.claim_any()?, Some(key))
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
            let first = all.len();
            all.append(&mut self.reserve(claims?)?);
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

    /// Fills slots 0 to `count` of a store whose device counts its messages' data up from the
    /// first one's (PCI MSI with several messages): a block that is reserved as a whole, with
    /// keys that count up from `first_key`. All of them or none.
    ///
    /// # Errors
    /// `TooManySlots` for more than the store has; `BadArgument` for a count that is no power of
    /// two; `NoContiguous` where no such block can be had (an x86 machine without remapper);
    /// else as [`Interrupts::add`]. Everything is as before then.
    pub fn add_block(
        &self,
        store: &Store,
        count: u32,
        first_key: u64,
    ) -> Result<Vec<Interrupt>, InterruptError> {
        if store.capacity().is_some_and(|slots| count > slots) {
            return Err(StoreError::TooManySlots.into());
        }
        let can_be = |it: &u8| it.is_power_of_two() && *it <= BLOCK_MAX;
        let count = u8::try_from(count).ok().filter(can_be);
        let count = count.ok_or(InterruptError::Server(protocol::Error::BadArgument))?;
        let claims: Result<Vec<SlotClaim>, StoreError> =
            (0..count.into()).map(|slot| store.claim(slot)).collect();
        let mut all = self.reserve_block(store.kind(), count, claims?)?;
        store.batch(|store| {
            // All masked before the first is written: they share what is written.
            all.iter().try_for_each(|interrupt| store.mask(interrupt.slot()))?;
            all.iter().try_for_each(|interrupt| {
                let (slot, prepared) = interrupt.prepared();
                store.write(slot, prepared)
            })
        })?;
        for (key, interrupt) in (first_key..).zip(&mut all) {
            interrupt.bind(self.port, key)?;
        }
        Ok(all)
    }

    /// Reserves a block, and collects what did not fit into the first reply. What has not been
    /// collected when something fails ends with the first message, which is given back then.
    fn reserve_block(
        &self,
        kind: StoreKind,
        count: u8,
        claims: Vec<SlotClaim>,
    ) -> Result<Vec<Interrupt>, InterruptError> {
        let (contiguity, cpus) = (Contiguity::Consecutive, self.cpus);
        let request = protocol::Alloc { count, kind, contiguity, cpus };
        let (mut reply, mut handles) = ask_with(self.server, &request, &[])?;
        let mut all: Vec<Interrupt> = Vec::with_capacity(count.into());
        let mut claims = claims.into_iter();
        loop {
            if reply.messages.is_empty() || reply.messages.len() > claims.len() {
                return Err(self.undo(&reply.messages));
            }
            let messages = reply.messages.iter().zip(handles);
            let both = messages.zip(claims.by_ref());
            all.extend(both.map(|((ids, message), claim)| self.adopt(claim, ids, message.into())));
            let Some(first) = all.first().filter(|_| claims.len() > 0) else { return Ok(all) };
            let rest = protocol::Collect { first: first.id() };
            (reply, handles) = ask_with(self.server, &rest, &[])?;
        }
    }

    /// As [`Interrupts::add`], but not bound to this driver's port: for a slot whose message
    /// goes to a client ([`Interrupt::client_message`]), which binds it to its own.
    ///
    /// # Errors
    /// As [`Interrupts::add`].
    pub fn add_for_client(&self, store: &Store, slot: u32) -> Result<Interrupt, InterruptError> {
        self.fill(store.claim(slot)?, None)
    }

    /// What the interrupt server has to give.
    ///
    /// # Errors
    /// The server's.
    pub fn information(&self) -> Result<protocol::Information, InterruptError> {
        Ok(ask(self.server, &protocol::Info)?)
    }

    /// Puts a new message into a slot, and binds it where there is a key.
    fn fill(&self, claim: SlotClaim, key: Option<u64>) -> Result<Interrupt, InterruptError> {
        let request = protocol::AllocOne { kind: claim.store().kind(), cpus: self.cpus };
        let (ids, mut handles) = ask_with(self.server, &request, &[])?;
        let Some(message) = handles.pop() else { return Err(self.undo(&[ids])) };
        let mut interrupt = self.adopt(claim, &ids, message.into());
        let (slot, prepared) = interrupt.prepared();
        interrupt.store().batch(|store| {
            store.mask(slot)?;
            store.write(slot, prepared)
        })?;
        if let Some(key) = key {
            interrupt.bind(self.port, key)?;
        }
        Ok(interrupt)
    }

    /// Reserves a message for each claim.
    fn reserve(&self, claims: Vec<SlotClaim>) -> Result<Vec<Interrupt>, InterruptError> {
        let Some(first) = claims.first() else { return Ok(Vec::new()) };
        let request = protocol::Alloc {
            count: claims.len() as u8,
            kind: first.store().kind(),
            contiguity: Contiguity::Any,
            cpus: self.cpus,
        };
        let (reply, handles) = ask_with(self.server, &request, &[])?;
        if reply.messages.len() != claims.len() {
            return Err(self.undo(&reply.messages));
        }
        let messages = reply.messages.iter().zip(handles);
        let both = claims.into_iter().zip(messages);
        Ok(both.map(|(claim, (ids, message))| self.adopt(claim, ids, message.into())).collect())
    }

    /// Gives messages back whose reply was not what was asked for.
    #[cold]
    fn undo(&self, messages: &[MessageIds]) -> InterruptError {
        for ids in messages {
            let _ = ask(self.server, &protocol::Free { id: ids.id });
        }
        InterruptError::Malformed(DecodeError::WrongLength)
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
            stops: Cell::new(Stops::NONE),
            message,
            claim,
        }
    }
}
