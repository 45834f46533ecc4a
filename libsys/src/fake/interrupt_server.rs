//! A model of the interrupt server: the protocol over a table, no hardware.

use super::kernel::{self, Call, Return};
use super::trace;
use super::wires::Wires;
use crate::sys;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use tocsin_abi::{Handle, Rights, Trigger};
use tocsin_proto::interrupt::{
    ALLOC_MAX, Activated, Allocated, Contiguity, Description, DomainRow, Error, FaultCount,
    FaultWatch, Information, LineId, MessageId, MessageIds, RemapperKind, Request, Wiring,
};
use tocsin_proto::{Frame, Nothing, Reply, badge};

/// What the model has to give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Messages.
    pub entries: u32,
    /// Messages that are active at once.
    pub vectors: u32,
    /// IMS is allowed.
    pub is_isolated: bool,
}

#[derive(Debug)]
struct Entry {
    message: Handle,
    is_active: bool,
}

#[derive(Debug)]
struct State {
    limits: Limits,
    control: Handle,
    entries: BTreeMap<u64, Entry>,
    next: u64,
    wires: Wires,
    /// What is raised at a fault, and how many there were.
    watch: Option<Handle>,
    faults: u64,
    /// Messages of blocks that were not given out yet, by the block's first.
    withheld: BTreeMap<u64, Vec<MessageIds>>,
    /// Requests until one fails, and how.
    fail: Option<(u32, Error)>,
}

/// The model. Clones are the same server.
#[derive(Clone, Debug)]
pub struct FakeInterrupts(Rc<RefCell<State>>);

/// What clients get on a message.
pub(super) const RIGHTS: Rights = Rights::READ
    .union(Rights::BIND)
    .union(Rights::SIGNAL)
    .union(Rights::DUPLICATE)
    .union(Rights::TRANSFER)
    .union(Rights::REVOKE);

impl FakeInterrupts {
    /// A server with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> FakeInterrupts {
        let (control, entries) = (kernel::control(), BTreeMap::new());
        let withheld = BTreeMap::new();
        let state = State {
            limits,
            control,
            entries,
            next: 0,
            wires: Wires::default(),
            watch: None,
            faults: 0,
            withheld,
            fail: None,
        };
        FakeInterrupts(Rc::new(RefCell::new(state)))
    }

    /// An endpoint for the driver of this device.
    #[must_use]
    pub fn client(&self, requester: u16) -> Handle {
        let server = self.clone();
        kernel::endpoint(badge::of_device(requester), move |call| server.answer(&call))
    }

    /// Lets the request after `after` others fail with `error`, once.
    pub fn fail_after(&self, after: u32, error: Error) {
        self.0.borrow_mut().fail = Some((after, error));
    }

    /// The remapper has stopped a write of the device.
    pub fn fault(&self) {
        let mut state = self.0.borrow_mut();
        state.faults += 1;
        if let Some(watch) = state.watch {
            let _ = sys::message_signal(watch);
        }
    }

    /// Takes back [`FakeInterrupts::fail_after`] if it has not struck yet.
    pub fn no_more_failures(&self) {
        self.0.borrow_mut().fail = None;
    }

    /// Messages that exist.
    #[must_use]
    pub fn live(&self) -> usize {
        self.0.borrow().entries.len()
    }

    /// Messages that are active.
    #[must_use]
    pub fn active(&self) -> usize {
        self.0.borrow().entries.values().filter(|entry| entry.is_active).count()
    }

    /// Says how a line is wired. Nobody can open it before.
    pub fn wire(&self, line: LineId, wiring: Wiring) {
        self.0.borrow_mut().wires.wire(line, wiring);
    }

    /// A line comes, unless it is held. True when somebody was told.
    #[must_use]
    pub fn fire_line(&self, line: LineId) -> bool {
        self.0.borrow_mut().wires.fire(line)
    }

    /// Owners of a line that were told and have not answered.
    #[must_use]
    pub fn waiting(&self, line: LineId) -> usize {
        self.0.borrow().wires.waiting(line)
    }

    /// Wires that are open.
    #[must_use]
    pub fn open_wires(&self) -> usize {
        self.0.borrow().wires.count()
    }

    fn answer(&self, call: &Call) -> Return {
        let mut handles = Vec::new();
        let mut state = self.0.borrow_mut();
        let result = match badge::device_of(call.badge) {
            None => Err(Error::NotAClient),
            Some(_) => Request::decode(call.label, &call.words, call.handles.len())
                .map_err(Error::from)
                .and_then(|request| state.answer(&request, &mut handles)),
        };
        if result.is_err() {
            handles.clear();
        }
        Return { frame: result.unwrap_or_else(Frame::refusal), handles }
    }
}

impl State {
    fn answer(
        &mut self,
        request: &Request,
        handles: &mut Vec<(Handle, Rights)>,
    ) -> Result<Frame, Error> {
        trace(match request {
            Request::Alloc(alloc) => format!("alloc {}", alloc.count),
            Request::Activate(_) => "activate".into(),
            Request::Deactivate(_) => "deactivate".into(),
            Request::Free(_) => "free".into(),
            Request::WireOpen(ask) => format!("open {}", ask.line),
            Request::WireClose(_) => "close".into(),
            Request::WireAcknowledge(_) => "acknowledge".into(),
            other => format!("{other:?}"),
        });
        if let Some((left, error)) = self.fail.take() {
            if left == 0 {
                return Err(error);
            }
            self.fail = Some((left - 1, error));
        }
        match request {
            Request::Alloc(alloc) => {
                if alloc.kind.is_ims() && !self.limits.is_isolated {
                    return Err(Error::NotSupported);
                }
                if self.entries.len() + usize::from(alloc.count) > self.limits.entries as usize {
                    return Err(Error::NoEntries);
                }
                if alloc.contiguity == Contiguity::Consecutive {
                    return self.block(alloc.count, handles);
                }
                let mut reply = Allocated::default();
                for _ in 0..alloc.count {
                    let ids = self.make(None)?;
                    handles.push((self.entries[&ids.id.0].message, RIGHTS));
                    reply.messages.push(ids).map_err(|_| Error::BadArgument)?;
                }
                Ok(reply.frame())
            }
            Request::Collect(ask) => self.give(ask.first.0, handles),
            Request::Activate(ask) => self.activate(ask.id).map(|reply| reply.frame()),
            Request::SetAffinity(ask) => self.route(ask.id).map(|reply| reply.frame()),
            Request::Deactivate(ask) => {
                let entry = self.entry(ask.id)?;
                if !entry.is_active {
                    return Err(Error::BadState);
                }
                entry.is_active = false;
                sys::message_deactivate(entry.message).map_err(|_| Error::BadState)?;
                Ok(Nothing.frame())
            }
            Request::Free(ask) => {
                self.entry(ask.id)?;
                self.free(ask.id.0);
                for ids in self.withheld.remove(&ask.id.0).unwrap_or_default() {
                    self.free(ids.id.0);
                }
                Ok(Nothing.frame())
            }
            Request::Block(ask) => {
                sys::message_block(self.entry(ask.id)?.message).map_err(|_| Error::BadState)?;
                Ok(Nothing.frame())
            }
            Request::Unblock(ask) => {
                let message = self.entry(ask.id)?.message;
                sys::message_unblock(message).map_err(|_| Error::BadState)?;
                // What the remapper dropped, nobody knows: its owner is told to look.
                sys::message_signal(message).map_err(|_| Error::BadState)?;
                Ok(Nothing.frame())
            }
            // Rows are for inspectors and subsystems, and a driver is neither.
            Request::Describe(_) => Ok(Description::default().frame()),
            Request::Look(ask) => self.entry(ask.id).map(|_| Description::default().frame()),
            Request::OpenDevice(_) => Err(Error::NotAClient),
            Request::Info(_) => {
                let active = self.entries.values().filter(|entry| entry.is_active).count() as u32;
                let Limits { entries, vectors, is_isolated } = self.limits;
                let row = |total, used| DomainRow { total, free: total - used };
                let information = Information {
                    remapper: RemapperKind::VtD,
                    isolated: is_isolated,
                    entries: row(entries, self.entries.len() as u32),
                    vectors: row(vectors, active),
                };
                Ok(information.frame())
            }
            Request::Faults(_) => Ok(FaultCount { faults: self.faults, own: 0 }.frame()),
            Request::WireOpen(ask) => {
                let opened = self.wires.open(self.control, ask, handles)?;
                Ok(opened.frame())
            }
            Request::WireClose(ask) => self.wires.close(ask.id).map(|()| Nothing.frame()),
            Request::WireAcknowledge(ask) => {
                self.wires.acknowledge(ask.id).map(|()| Nothing.frame())
            }
            Request::WatchFaults(_) => {
                let made = sys::message_create(self.control, 0, 0, u64::MAX);
                let message = made.map_err(|_| Error::NoMemory)?.handle();
                if let Some(before) = self.watch.replace(message) {
                    let _ = sys::handle_revoke(before);
                    let _ = sys::handle_close(before);
                }
                handles.push((message, RIGHTS.difference(Rights::SIGNAL)));
                Ok(FaultWatch.frame())
            }
        }
    }

    fn free(&mut self, id: u64) {
        if let Some(entry) = self.entries.remove(&id) {
            // Free deactivates; the message's last handle is the client's now.
            let _ = sys::message_deactivate(entry.message);
            let _ = sys::handle_close(entry.message);
        }
    }

    /// A whole block, and its beginning in the reply.
    fn block(&mut self, count: u8, handles: &mut Vec<(Handle, Rights)>) -> Result<Frame, Error> {
        if !self.limits.is_isolated {
            return Err(Error::NoContiguous);
        }
        let mut all = Vec::new();
        for number in 0..count {
            let pair = (0xfee0_0010 | (self.next + 1) << 5, 0);
            let (address, first) =
                all.first().map_or(pair, |it: &MessageIds| (it.address, it.data));
            all.push(self.make(Some((address, first + u32::from(number))))?);
        }
        let first = all[0].id.0;
        self.withheld.insert(first, all);
        self.give(first, handles)
    }

    fn give(&mut self, first: u64, handles: &mut Vec<(Handle, Rights)>) -> Result<Frame, Error> {
        let mut all = self.withheld.remove(&first).ok_or(Error::BadState)?;
        let rest = all.split_off(all.len().min(ALLOC_MAX.into()));
        if !rest.is_empty() {
            self.withheld.insert(first, rest);
        }
        handles.extend(all.iter().map(|ids| (self.entries[&ids.id.0].message, RIGHTS)));
        Ok(Allocated { messages: all.into_iter().collect() }.frame())
    }

    fn make(&mut self, pair: Option<(u64, u32)>) -> Result<MessageIds, Error> {
        self.next += 1;
        let (address, data) = pair.unwrap_or((0xfee0_0010 | self.next << 5, self.next as u32));
        let made = sys::message_create(self.control, address, data.into(), self.next);
        let message = made.map_err(|_| Error::NoMemory)?.handle();
        self.entries.insert(self.next, Entry { message, is_active: false });
        Ok(MessageIds { id: MessageId(self.next), address, data })
    }

    fn entry(&mut self, id: MessageId) -> Result<&mut Entry, Error> {
        self.entries.get_mut(&id.0).ok_or(Error::BadId)
    }

    fn activate(&mut self, id: MessageId) -> Result<Activated, Error> {
        let active = self.entries.values().filter(|entry| entry.is_active).count();
        let vectors = self.limits.vectors as usize;
        let entry = self.entry(id)?;
        if entry.is_active {
            return Err(Error::BadState);
        }
        if active >= vectors {
            return Err(Error::NoVectors);
        }
        entry.is_active = true;
        sys::message_activate(entry.message, 0, 0x40, Trigger::Edge as u64)
            .map_err(|_| Error::BadState)?;
        self.route(id)
    }

    fn route(&mut self, id: MessageId) -> Result<Activated, Error> {
        if !self.entry(id)?.is_active {
            return Err(Error::BadState);
        }
        Ok(Activated { vector: 0x40, cpu: 0, entry: Some(id.0 as u32) })
    }
}
