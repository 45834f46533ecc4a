//! The parent's messages as entries.

use super::{Above, Connection, FaultsAbove, Given, Refusal, Seen, Step};
use crate::numbers::CpuVectors;
use crate::{
    AllocRequest, BackEnd, Binding, Capabilities, ClientId, CpuEvent, CpuSet, Drained, EntryIndex,
    EntryName, EventLease, EventSpace, Flushed, HardwareError, MessageState, NoVectors, Pair,
    RemapEntry, RequesterId, ReserveError, Sender, Unrouted, Written,
};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

/// Messages that one request can bring: as many as a PCI MSI capability has at most.
const BLOCK: usize = 32;
/// log2 of it.
const LARGEST_ORDER: u8 = 5;

/// What a child knows of its parent when it starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParentSetup {
    /// Whether the parent's remapper checks who sent a message.
    pub isolated: bool,
    /// Messages that the parent gives at most: the subsystem's quota.
    pub messages: u16,
    /// CPU events of the machine, free and in all, as the parent last said.
    pub vectors: (u16, u16),
}

/// A parent, as a back end.
pub struct Parent<C: Connection> {
    link: Rc<RefCell<Link<C>>>,
    setup: ParentSetup,
}

/// The connection, and what came over it.
pub(super) struct Link<C: Connection> {
    connection: C,
    places: Vec<Place<C::Handle>>,
    free: Vec<u16>,
    /// Places that nobody has any more, whose message the parent would not end.
    owed: Vec<u16>,
}

struct Place<H> {
    client: ClientId,
    id: u64,
    /// Until it is handed on.
    handle: Option<H>,
    /// The parent has it still, as far as is known.
    is_above: bool,
    state: MessageState,
    event: Option<CpuEvent>,
    name: Option<u32>,
}

impl<H> Place<H> {
    /// What an answer means for what is known.
    fn learn(&mut self, step: Step, seen: Option<Seen>) {
        self.state = match step {
            Step::Activate | Step::Unblock => MessageState::Active,
            Step::Block => MessageState::Blocked,
            Step::Deactivate | Step::Free => MessageState::Reserved,
            Step::SetAffinity(_) | Step::Look => seen.and_then(|it| it.state).unwrap_or(self.state),
        };
        if self.state == MessageState::Reserved {
            self.event = None;
        }
        if let Some(seen) = seen {
            self.event = seen.event;
            self.name = seen.entry.or(self.name);
        }
    }
}

/// One of the parent's messages.
#[must_use = "the parent's message is lost until the subsystem ends"]
#[derive(PartialEq, Eq, Debug)]
pub struct ParentEntry {
    place: EntryIndex,
    pair: Pair,
}

/// Messages of one answer.
#[must_use = "the parent's messages are lost until the subsystem ends"]
#[derive(Debug)]
pub struct ParentBlock {
    entries: [Option<ParentEntry>; BLOCK],
    taken: usize,
}

/// A CPU event that the parent has given a message.
#[must_use = "what the parent has given is not known any more"]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParentEvent(CpuEvent);

impl EventLease for ParentEvent {
    fn event(&self) -> CpuEvent {
        self.0
    }
}

impl RemapEntry for ParentEntry {
    fn index(&self) -> EntryIndex {
        self.place
    }
}

impl Iterator for ParentBlock {
    type Item = ParentEntry;

    fn next(&mut self) -> Option<ParentEntry> {
        let entry = self.entries.get_mut(self.taken)?.take();
        self.taken += 1;
        entry
    }
}

impl<C: Connection> Link<C> {
    /// The handle that came with an entry, until it is handed on.
    pub(super) fn handle(&self, entry: EntryIndex) -> Option<C::Handle> {
        self.places.get(entry.index())?.handle
    }

    /// Nothing of it is kept.
    fn close(&mut self, entry: EntryIndex) {
        if let Some(handle) = self.places.get_mut(entry.index()).and_then(|it| it.handle.take()) {
            self.connection.close(handle);
        }
    }

    fn keep(&mut self, client: ClientId, given: Given<C::Handle>) -> Option<ParentEntry> {
        let place = self.free.pop()?;
        let Given { id, pair, handle } = given;
        let state = MessageState::Reserved;
        let kept = Place {
            client,
            id,
            handle: Some(handle),
            is_above: true,
            state,
            event: None,
            name: None,
        };
        *self.places.get_mut(usize::from(place))? = kept;
        Some(ParentEntry { place: EntryIndex::new(place), pair })
    }

    /// Has the parent end a message; `Ok` as well when it knew of none. A handle that is still
    /// here goes first: if the parent will not, the kernel calls the message an orphan.
    fn end(&mut self, place: EntryIndex) -> Result<(), Refusal> {
        self.close(place);
        let Some(kept) = self.places.get_mut(place.index()) else { return Ok(()) };
        if kept.is_above {
            match self.connection.step(kept.client, kept.id, Step::Free) {
                Ok(_) | Err(Refusal::Gone) => kept.is_above = false,
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(())
    }

    /// What was owed, tried again.
    fn pay(&mut self) {
        for _ in 0..self.owed.len() {
            let Some(place) = self.owed.pop() else { return };
            let paid = self.end(EntryIndex::new(place)).is_ok();
            if paid {
                self.free.push(place);
            } else {
                self.owed.push(place);
                return;
            }
        }
    }
}

impl<C: Connection> Parent<C> {
    /// Over a connection. `None` for no messages at all, or when memory is short.
    pub fn new(connection: C, setup: ParentSetup) -> Option<Self> {
        let count = usize::from(setup.messages);
        let (mut places, mut free, mut owed) = (Vec::new(), Vec::new(), Vec::new());
        places.try_reserve_exact(count).ok()?;
        free.try_reserve_exact(count).ok()?;
        owed.try_reserve_exact(count).ok()?;
        let nobody = ClientId::device(RequesterId::from_bits(0));
        places.resize_with(count, || Place {
            client: nobody,
            id: 0,
            handle: None,
            is_above: false,
            state: MessageState::Reserved,
            event: None,
            name: None,
        });
        free.extend((0..setup.messages).rev());
        let link = Rc::new(RefCell::new(Link { connection, places, free, owed }));
        (count > 0).then_some(Self { link, setup })
    }

    pub(super) fn link(&self) -> Rc<RefCell<Link<C>>> {
        self.link.clone()
    }

    /// The connection, for what is its own.
    pub fn with_connection<T>(&mut self, act: impl FnOnce(&mut C) -> T) -> T {
        act(&mut self.link.borrow_mut().connection)
    }

    /// What the parent has to give has changed.
    pub fn set_vectors(&mut self, free: u16, total: u16) {
        self.setup.vectors = (free.min(total), total);
    }
}

impl<C: Connection> BackEnd for Parent<C> {
    type Entry = ParentEntry;
    type Block = ParentBlock;
    type Lease = ParentEvent;
    type Retired = ParentEvent;

    const BINDING: Binding = Binding::Parent;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "parent",
            isolated: self.setup.isolated,
            entries: self.setup.messages.into(),
            largest_order: LARGEST_ORDER,
        }
    }

    /// The parent knows which there are.
    fn cpus(&self) -> CpuSet {
        CpuSet::ALL
    }

    /// The parent says whether there is.
    fn check_room(&self, _count: u32) -> Result<(), ReserveError> {
        Ok(())
    }

    fn reserve(&mut self, _sender: &Sender, _order: u8) -> Result<ParentBlock, ReserveError> {
        // Without what the client asks for, the parent can not be asked either.
        Err(ReserveError::NotSupported)
    }

    fn reserve_for(
        &mut self,
        client: ClientId,
        request: &AllocRequest,
        _sender: &Sender,
        order: u8,
    ) -> Result<ParentBlock, ReserveError> {
        let mut link = self.link.borrow_mut();
        link.pay();
        let count = 1_usize << order;
        if count > BLOCK {
            return Err(ReserveError::NoContiguous);
        }
        if link.free.len() < count {
            return Err(ReserveError::NoEntries);
        }
        let mut given = [const { None }; BLOCK];
        let asked = &mut given[..count];
        link.connection.alloc(client, request, asked).map_err(ReserveError::Parent)?;
        let mut block = ParentBlock { entries: [const { None }; BLOCK], taken: 0 };
        for (entry, given) in block.entries.iter_mut().zip(given.into_iter().flatten()) {
            *entry = link.keep(client, given);
        }
        Ok(block)
    }

    fn compose(&self, entry: &ParentEntry, _event: Option<CpuEvent>) -> Pair {
        entry.pair
    }

    /// Events come with the parent's answers.
    fn take(&mut self, _entry: &ParentEntry, _cpus: CpuSet) -> Result<ParentEvent, NoVectors> {
        Err(NoVectors)
    }

    fn cancel(&mut self, _lease: ParentEvent) {}

    fn retire(&mut self, lease: ParentEvent) -> ParentEvent {
        lease
    }

    fn reclaim(&mut self, _retired: ParentEvent, _proof: &Drained) {}

    fn route(&mut self, _entry: &ParentEntry, _event: CpuEvent) -> Written {
        Written::Visible
    }

    fn block(&mut self, entry: &ParentEntry) -> Unrouted {
        Unrouted::new(entry.place)
    }

    fn unroute(&mut self, entry: &ParentEntry) -> Unrouted {
        Unrouted::new(entry.place)
    }

    /// Only what has ended here is flushed: it ends above.
    fn flush(&mut self, unrouted: Unrouted) -> Result<Flushed, (Unrouted, HardwareError)> {
        match self.link.borrow_mut().end(unrouted.index()) {
            Ok(()) => Ok(unrouted.flushed()),
            Err(refusal) => Err((unrouted, HardwareError::Parent(refusal))),
        }
    }

    fn forward(&mut self, entry: &ParentEntry, step: Step) -> Result<Above<ParentEvent>, Refusal> {
        let mut link = self.link.borrow_mut();
        let Link { connection, places, .. } = &mut *link;
        let place = places.get_mut(entry.place.index()).ok_or(Refusal::Gone)?;
        match connection.step(place.client, place.id, step) {
            Ok(seen) => place.learn(step, seen),
            Err(refusal) => {
                place.is_above &= refusal != Refusal::Gone;
                return Err(refusal);
            }
        }
        place.is_above = step != Step::Free;
        let state = place.is_above.then_some(place.state);
        Ok(Above { state, event: place.event.map(ParentEvent) })
    }

    fn handed_on(&mut self, entry: &ParentEntry) {
        self.link.borrow_mut().close(entry.place);
    }

    fn name_above(&self, entry: EntryIndex) -> Option<(ClientId, u64)> {
        let link = self.link.borrow();
        link.places.get(entry.index()).map(|place| (place.client, place.id))
    }

    fn faults_above(&mut self, client: ClientId) -> Option<Result<FaultsAbove, Refusal>> {
        Some(self.link.borrow_mut().connection.faults(client))
    }

    fn release(&mut self, entry: ParentEntry, _drained: Drained) {
        let mut link = self.link.borrow_mut();
        let ended = link.end(entry.place).is_ok();
        let place = entry.place.bits();
        if ended {
            link.free.push(place);
        } else {
            link.owed.push(place);
        }
    }

    /// Faults are read above.
    fn accepts(&self, _entry: &ParentEntry, _requester: RequesterId) -> bool {
        false
    }

    fn name(&self, entry: &ParentEntry) -> Option<EntryName> {
        let number = self.link.borrow().places.get(entry.place.index())?.name?;
        Some(EntryName { number, device: None })
    }

    fn entries_used(&self) -> u32 {
        u32::from(self.setup.messages) - self.link.borrow().free.len() as u32
    }

    fn space(&self, number: u8) -> Option<EventSpace> {
        let (free, total) = self.setup.vectors;
        let count = CpuVectors { free, quarantined: 0, total };
        (number == 0 && total > 0).then_some(EventSpace { cpu: None, count })
    }

    fn leases(&self) -> usize {
        self.setup.messages.into()
    }
}
