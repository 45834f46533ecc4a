//! This server as a child of another interrupt server: the way there, and how it starts.
//!
//! One endpoint leads to the parent as the subsystem, and one for each device, asked for when
//! the device's driver speaks for the first time. No call goes the other way: a parent never
//! waits for its child.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::RefCell;

use interrupt_core::parent::{
    Connection, FaultsAbove, Given, Parent, ParentSetup, Refusal, Seen, Step,
};
use interrupt_core::{
    AllocRequest, ClientId, Contiguity, CpuEvent, CpuIndex, EventNumber, MessageState, Pair,
};
use libsys::ipc::{self, AskError, Handles};
use libsys::object::Endpoint;
use libsys::sys;
use tocsin_abi::{Error, Handle};
use tocsin_proto::interrupt::{
    self, Activate, Activated, Alloc, Allocated, BLOCK_MAX, Block, Collect, Deactivate, Faults,
    Free, Info, Information, Look, MessageId, MessageRow, OpenDevice, Row, RowState, SetAffinity,
    Unblock,
};
use tocsin_proto::{ErrorCode, Operation};

use crate::answer;

/// The way to the parent. Clones are the same way.
#[derive(Clone)]
pub struct Upstream(Rc<RefCell<Ways>>);

struct Ways {
    subsystem: Handle,
    devices: BTreeMap<ClientId, Endpoint>,
}

type Answer<O> = Result<(<O as Operation>::Reply, Handles), Refusal>;

fn refusal(error: AskError<interrupt::Error>) -> Refusal {
    match error {
        AskError::Refused(interrupt::Error::BadId) => Refusal::Gone,
        AskError::Refused(error) => Refusal::Code(error.code()),
        AskError::Kernel(Error::NoMemory | Error::NoHandles) => {
            Refusal::Code(interrupt::Error::NoMemory.code())
        }
        AskError::Kernel(_) | AskError::Malformed(_) => Refusal::LOST,
    }
}

impl Ways {
    /// The endpoint that speaks for a device.
    fn device(&mut self, client: ClientId) -> Result<Handle, Refusal> {
        if let Some(known) = self.devices.get(&client) {
            return Ok(known.handle());
        }
        let request = OpenDevice { client: client.bits() };
        let (_, mut handles) = ipc::ask_with(self.subsystem, &request, &[]).map_err(refusal)?;
        let endpoint = Endpoint::from(handles.pop().ok_or(Refusal::LOST)?);
        let handle = endpoint.handle();
        self.devices.insert(client, endpoint);
        Ok(handle)
    }

    /// Asks as a device's driver. An endpoint that the parent has taken back, because another
    /// driver got the device in between, is asked for once more.
    fn ask<O>(&mut self, client: ClientId, request: &O) -> Answer<O>
    where
        O: Operation<Error = interrupt::Error>,
    {
        let way = self.device(client)?;
        match ipc::ask_with(way, request, &[]) {
            Err(AskError::Kernel(Error::BadHandle)) => {
                self.devices.remove(&client);
                let way = self.device(client)?;
                ipc::ask_with(way, request, &[]).map_err(refusal)
            }
            answer => answer.map_err(refusal),
        }
    }

    fn say<O>(&mut self, client: ClientId, request: &O) -> Result<O::Reply, Refusal>
    where
        O: Operation<Error = interrupt::Error>,
    {
        self.ask(client, request).map(|(reply, _)| reply)
    }

    fn row(&mut self, client: ClientId, id: u64) -> Result<MessageRow, Refusal> {
        let description = self.say(client, &Look { id: MessageId(id) })?;
        match description.rows() {
            [Row::Message(row)] => Ok(*row),
            _ => Err(Refusal::LOST),
        }
    }

    fn step(&mut self, client: ClientId, id: u64, step: Step) -> Result<Option<Seen>, Refusal> {
        let message = MessageId(id);
        match step {
            Step::Activate => {
                self.say(client, &Activate { id: message }).map(|it| Some(activated(it)))
            }
            Step::SetAffinity(cpus) => {
                let request = SetAffinity { id: message, cpus: cpus.bits() };
                self.say(client, &request).map(|it| Some(activated(it)))
            }
            Step::Deactivate => self.say(client, &Deactivate { id: message }).map(|_| None),
            Step::Block => self.say(client, &Block { id: message }).map(|_| None),
            Step::Unblock => self.say(client, &Unblock { id: message }).map(|_| None),
            Step::Free => self.say(client, &Free { id: message }).map(|_| None),
            Step::Look => self.row(client, id).map(|row| Some(seen(&row))),
        }
    }
}

fn event(cpu: u8, vector: u16) -> Option<CpuEvent> {
    let vector = EventNumber::of_parent(vector);
    CpuIndex::new(cpu).map(|cpu| CpuEvent { cpu, vector })
}

fn activated(it: Activated) -> Seen {
    Seen { state: None, event: event(it.cpu, it.vector), entry: it.entry }
}

fn seen(row: &MessageRow) -> Seen {
    let state = match row.state {
        RowState::Active => MessageState::Active,
        RowState::Blocked => MessageState::Blocked,
        RowState::Reserved | RowState::Quarantined => MessageState::Reserved,
    };
    let event = row.event.and_then(|it| event(it.cpu, it.vector));
    Seen { state: Some(state), event, entry: row.entry }
}

impl Upstream {
    /// By the endpoint that was granted as `parent`.
    pub fn new(subsystem: Handle) -> Self {
        Self(Rc::new(RefCell::new(Ways { subsystem, devices: BTreeMap::new() })))
    }

    /// What the parent gives this subsystem at most, and has.
    pub fn info(&self) -> Result<Information, Refusal> {
        ipc::ask(self.0.borrow().subsystem, &Info).map_err(refusal)
    }

    /// A message's row, as the parent has it.
    pub fn row(&self, client: ClientId, id: u64) -> Option<MessageRow> {
        self.0.borrow_mut().row(client, id).ok()
    }

    /// The back end over it.
    pub fn back_end(&self, info: &Information) -> Option<Parent<Upstream>> {
        let vectors = (short(info.vectors.free), short(info.vectors.total));
        let setup =
            ParentSetup { isolated: info.isolated, messages: short(records(info)), vectors };
        Parent::new(self.clone(), setup)
    }
}

/// Records for what the parent gives at most, and for one request more: that it is too much is
/// for the parent to say.
pub fn records(info: &Information) -> u32 {
    info.entries.total.saturating_add(BLOCK_MAX.into())
}

fn short(number: u32) -> u16 {
    number.try_into().unwrap_or(u16::MAX)
}

/// Takes over what one reply brought.
fn take(
    reply: &Allocated,
    handles: Handles,
    out: &mut [Option<Given<Handle>>],
) -> Result<usize, Refusal> {
    let places = out.iter_mut().zip(&reply.messages).zip(handles);
    let mut taken = 0;
    for ((place, message), handle) in places {
        let pair = Pair { address: message.address, data: message.data };
        *place = Some(Given { id: message.id.0, pair, handle: handle.leak() });
        taken += 1;
    }
    if taken == reply.messages.len() { Ok(taken) } else { Err(Refusal::LOST) }
}

impl Connection for Upstream {
    type Handle = Handle;
    type Error = Error;

    const NO_CONTROL: Error = Error::NotSupported;

    fn alloc(
        &mut self,
        client: ClientId,
        request: &AllocRequest,
        out: &mut [Option<Given<Handle>>],
    ) -> Result<(), Refusal> {
        let contiguity = match request.contiguity {
            Contiguity::Single => interrupt::Contiguity::Any,
            Contiguity::Contiguous => interrupt::Contiguity::Consecutive,
        };
        let count = out.len().try_into().map_err(|_| Refusal::LOST)?;
        let kind = answer::store_kind(request.kind);
        let alloc = Alloc { count, kind, contiguity, cpus: request.cpus.bits() };
        let mut ways = self.0.borrow_mut();
        let (reply, handles) = ways.ask(client, &alloc)?;
        let first = reply.messages.first().map(|it| it.id).ok_or(Refusal::LOST)?;
        let mut taken = take(&reply, handles, out)?;
        while taken < out.len() {
            let more = ways.ask(client, &Collect { first });
            let more = more.and_then(|(reply, handles)| take(&reply, handles, &mut out[taken..]));
            match more {
                Ok(0) | Err(_) => {
                    drop(ways);
                    self.give_back(client, out);
                    return Err(more.err().unwrap_or(Refusal::LOST));
                }
                Ok(more) => taken += more,
            }
        }
        Ok(())
    }

    fn step(&mut self, client: ClientId, id: u64, step: Step) -> Result<Option<Seen>, Refusal> {
        let mut ways = self.0.borrow_mut();
        match ways.device(client) {
            // It is not of this subsystem any more, and has no messages for it.
            Err(Refusal::Code(code)) if code == interrupt::Error::NotYours.code() => {
                Err(Refusal::Gone)
            }
            Err(refusal) => Err(refusal),
            Ok(_) => ways.step(client, id, step),
        }
    }

    fn faults(&mut self, client: ClientId) -> Result<FaultsAbove, Refusal> {
        let counted = self.0.borrow_mut().say(client, &Faults)?;
        Ok(FaultsAbove { faults: counted.faults, own: counted.own })
    }

    fn close(&mut self, handle: Handle) {
        // One that was revoked is closed already.
        let _ = sys::handle_close(handle);
    }
}

impl Upstream {
    /// Ends what has come of a block whose rest did not: nobody has heard of it.
    #[cold]
    fn give_back(&mut self, client: ClientId, out: &mut [Option<Given<Handle>>]) {
        for given in out.iter_mut().filter_map(Option::take) {
            // Without a handle, it ends as an orphan if not so.
            let _ = self.step(client, given.id, Step::Free);
            self.close(given.handle);
        }
    }
}
