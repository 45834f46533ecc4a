//! The protocol, answered by the core.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use init_control::late::{NextLate, WatchLines};
use init_control::{ClientGone, SYSTEM_BADGE, SetDevice, SetOwner, SetQuota, SetSource, SetWire};
use interrupt_core::parent::FaultsAbove;
use interrupt_core::wire::{WireId, Wires};
use interrupt_core::{BackEnd, ClientId, Core, Error as CoreError, MessageId};
use libsys::ipc::Request;
use libsys::object::{Endpoint, Port, now_ns};
use libsys::println;
use tocsin_abi::{Handle, Packet, PacketKind};
use tocsin_proto::interrupt::{
    ALLOC_MAX, Alloc, BLOCK_MAX, Contiguity, Error, FaultCount, Information, RemapperKind,
    Request as Asked,
};
use tocsin_proto::{Nothing, badge};

use crate::answer;
use crate::faults::{self, Faults};
use crate::inspect::Owners;
use crate::kernel::Kernel;
use crate::parent::Upstream;
use crate::policy::{BACK_OFF_NS, Policy};
use crate::pulse::Pulse;
use crate::reply::Reply;
use crate::wires::Lines;

/// Numbers in quarantine that are looked at after a request, and when the timer fires.
const ITEMS_PER_REQUEST: u32 = 2;
const ITEMS_PER_PULSE: u32 = 256;
/// Messages held back after a storm that are let through again by themselves.
const STORMS: usize = 64;

/// A message that was blocked because of its rate.
struct Held {
    id: MessageId,
    until_ns: u64,
}

/// The service.
pub struct Interrupts<B: BackEnd> {
    pub(crate) core: Core<B, Kernel>,
    pub(crate) remapper: RemapperKind,
    pub(crate) owners: Owners,
    /// Requests and packets that may have changed something.
    pub(crate) changes: u64,
    pub(crate) wires: Wires<Lines, Kernel>,
    /// Some line waits for a tick.
    pub(crate) wires_wait: bool,
    /// Says that an owner of a line is late, to whoever asked for it.
    pub(crate) alarm: Option<Handle>,
    policy: Policy,
    pulse: Pulse,
    faults: Faults,
    held: Vec<Held>,
    /// This server's endpoint, to mint from.
    pub(crate) endpoint: Handle,
    /// Endpoints that children have.
    pub(crate) lent: BTreeMap<ClientId, Endpoint>,
    /// The way to the parent, in a child.
    pub(crate) upstream: Option<Upstream>,
}

impl<B: BackEnd> Interrupts<B> {
    /// Over a core that has nothing yet.
    pub fn new(
        core: Core<B, Kernel>,
        lines: Lines,
        remapper: RemapperKind,
        policy: Policy,
        pulse: Pulse,
        endpoint: Handle,
    ) -> Self {
        Self {
            core,
            remapper,
            owners: Owners::default(),
            changes: 0,
            wires: Wires::new(lines),
            wires_wait: false,
            alarm: None,
            policy,
            pulse,
            faults: Faults::default(),
            held: Vec::new(),
            endpoint,
            lent: BTreeMap::new(),
            upstream: None,
        }
    }

    /// Lets the remapper tell of faults on the server's port.
    pub fn hear_of_faults(&mut self, port: &Port, provoke: bool) {
        self.faults.open(&mut self.core, port, provoke);
    }

    /// Does what a client asks and writes the reply.
    fn answer(&mut self, client: ClientId, asked: &Asked, reply: &mut Reply) -> Result<(), Error> {
        let id = |id: tocsin_proto::interrupt::MessageId| MessageId::from_bits(id.0);
        match asked {
            Asked::Alloc(alloc) if alloc.contiguity == Contiguity::Any => {
                return self.alloc(client, alloc, reply);
            }
            Asked::Alloc(alloc) => return self.alloc_block(client, alloc, reply),
            Asked::Collect(ask) => return self.collect(client, id(ask.first), reply),
            Asked::Activate(ask) => {
                let event = self.core.activate(client, id(ask.id)).map_err(answer::error)?;
                let entry = self.core.entry_name(client, id(ask.id)).map_err(answer::error)?;
                reply.ok(&answer::activated(event, entry));
                return Ok(());
            }
            Asked::Deactivate(ask) => self.core.deactivate(client, id(ask.id)),
            Asked::Free(ask) => self.core.free(client, id(ask.id)),
            Asked::Block(ask) => self.core.block(client, id(ask.id)),
            Asked::Unblock(ask) => self.core.unblock(client, id(ask.id)),
            Asked::SetAffinity(ask) => {
                if let Some(wire) = WireId::from_bits(ask.id.0) {
                    reply.ok(&self.wire_affinity(client, wire, ask.cpus)?);
                    return Ok(());
                }
                let (id, cpus) = (id(ask.id), answer::cpus(ask.cpus));
                // A reserved message has no event to answer with: nothing changes.
                let before = self.core.info(client, id).map_err(answer::error)?;
                before.event.ok_or(Error::BadState)?;
                self.core.set_affinity(client, id, cpus).map_err(answer::error)?;
                let info = self.core.info(client, id).map_err(answer::error)?;
                let event = info.event.ok_or(Error::BadState)?;
                reply.ok(&answer::activated(event, info.name));
                return Ok(());
            }
            Asked::WireOpen(ask) => return self.wire_open(client, ask, reply),
            Asked::WireClose(ask) => {
                self.wire_close(client, ask.id)?;
                reply.ok(&Nothing);
                return Ok(());
            }
            Asked::WireAcknowledge(ask) => {
                self.wire_acknowledge(client, ask.id)?;
                reply.ok(&Nothing);
                return Ok(());
            }
            Asked::Describe(ask) => {
                reply.ok(&self.describe(Some(client), ask.cursor));
                return Ok(());
            }
            Asked::Look(ask) => {
                reply.ok(&self.look(client, id(ask.id))?);
                return Ok(());
            }
            Asked::OpenDevice(_) => return Err(Error::NotAClient),
            Asked::Info(_) => {
                reply.ok(&self.information());
                return Ok(());
            }
            Asked::Faults(_) => {
                if let Some(above) = self.core.back_end_mut().faults_above(client) {
                    let FaultsAbove { faults, own } = above.map_err(answer::above)?;
                    reply.ok(&FaultCount { faults, own });
                    return Ok(());
                }
                self.faults.read(&mut self.core);
                let (faults, own) = self.core.faults_of(client);
                reply.ok(&FaultCount { faults, own });
                return Ok(());
            }
            // The message for it would have to come from above.
            Asked::WatchFaults(_) if self.upstream.is_some() => return Err(Error::NotSupported),
            Asked::WatchFaults(_) => {
                let (name, handle) = self.core.fault_notice(client).map_err(answer::error)?;
                reply.notice(name, handle);
                return Ok(());
            }
        }
        .map_err(answer::error)?;
        reply.ok(&Nothing);
        Ok(())
    }

    fn alloc(&mut self, client: ClientId, alloc: &Alloc, reply: &mut Reply) -> Result<(), Error> {
        let mut made = [None; ALLOC_MAX as usize];
        let count = usize::from(alloc.count).min(made.len());
        let request = answer::alloc(alloc)?;
        self.core.alloc(client, &request, &mut made[..count]).map_err(answer::error)?;
        reply.messages(made[..count].iter().flatten());
        Ok(())
    }

    /// Reserves a block. What does not fit into the reply waits to be collected.
    #[cold]
    fn alloc_block(
        &mut self,
        client: ClientId,
        alloc: &Alloc,
        reply: &mut Reply,
    ) -> Result<(), Error> {
        let request = answer::alloc(alloc)?;
        let mut made = [None; BLOCK_MAX as usize];
        let count = usize::from(alloc.count).min(made.len());
        let block = &mut made[..count];
        self.core.alloc(client, &request, block).map_err(answer::error)?;
        self.core.withhold(block, ALLOC_MAX.into());
        reply.messages(block.iter().flatten().take(ALLOC_MAX.into()));
        Ok(())
    }

    /// Gives the next messages of a block out.
    #[cold]
    fn collect(
        &mut self,
        client: ClientId,
        first: MessageId,
        reply: &mut Reply,
    ) -> Result<(), Error> {
        let mut given = [None; ALLOC_MAX as usize];
        self.core.collect(client, first, &mut given).map_err(answer::error)?;
        reply.messages(given.iter().flatten());
        Ok(())
    }

    /// Does what init and pci say of a client.
    fn system(&mut self, label: u32, words: &[u64]) -> Result<(), Error> {
        if let Some(done) = self.subsystem(label, words) {
            return done;
        }
        let known = match label {
            ClientGone::LABEL => {
                let gone = ClientGone::decode(words).ok_or(Error::Malformed)?;
                let client = ClientId::from_bits(gone.client).ok_or(Error::Malformed)?;
                self.client_gone(client);
                self.take_back(client);
                return Ok(());
            }
            SetOwner::LABEL => {
                let set = SetOwner::decode(words).ok_or(Error::Malformed)?;
                return self.owners.set(&set).ok_or(Error::Malformed);
            }
            SetWire::LABEL => {
                return self.set_wire(SetWire::decode(words).ok_or(Error::Malformed)?);
            }
            SetQuota::LABEL => {
                self.policy.set_quota(SetQuota::decode(words).ok_or(Error::Malformed)?)
            }
            SetSource::LABEL => {
                self.policy.set_source(SetSource::decode(words).ok_or(Error::Malformed)?)
            }
            SetDevice::LABEL => {
                let set = SetDevice::decode(words).ok_or(Error::Malformed)?;
                self.policy.set_device(set, self.remapper)
            }
            _ => return Err(Error::Malformed),
        };
        let (client, policy) = known.ok_or(Error::Malformed)?;
        self.core.register(client, policy).map_err(answer::error)
    }

    /// A message's rate is past its budget: it is off until its owner or time unblocks it.
    pub(crate) fn storm(&mut self, id: MessageId) {
        // Late packets about messages that are gone or stopped mean nothing any more.
        let Ok(owner) = self.core.storm(id) else { return };
        println!("interrupt: a message of {owner} is past its rate budget and held back");
        // Its last storm may have ended early, by its owner: that one's time is not this one's.
        self.held.retain(|each| each.id != id);
        if self.held.len() < STORMS {
            let until_ns = now_ns().saturating_add(BACK_OFF_NS);
            self.held.push(Held { id, until_ns });
        }
    }

    fn let_go(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let now = now_ns();
        let Self { core, held, .. } = self;
        held.retain_mut(|each| {
            if each.until_ns > now {
                return true;
            }
            // What its owner has unblocked, blocked or freed meanwhile is left alone.
            let late = matches!(core.storm_over(each.id), Err(CoreError::Hardware(_)));
            if late {
                each.until_ns = now.saturating_add(BACK_OFF_NS);
            }
            late
        });
    }

    /// Moves the quarantine on, and sees to it that somebody will again.
    #[inline]
    fn tidy(&mut self) {
        if self.core.quarantined() > 0 && self.core.tick(ITEMS_PER_REQUEST) > 0
            || !self.held.is_empty()
            || self.faults.waiting()
            || self.wires_wait
        {
            self.pulse.start();
        }
    }

    /// Answers a call.
    pub fn call(&mut self, request: Request, words: &[u64], reply: &mut Reply) {
        let client = badge::client_of(request.badge).and_then(ClientId::from_bits);
        let result = if let Some(client) = client {
            self.changes += 1;
            match Asked::decode(request.label, words, request.handles) {
                Ok(asked) => self.answer(client, &asked, reply),
                Err(error) => Err(error.into()),
            }
        } else if request.badge == SYSTEM_BADGE {
            self.changes += 1;
            match request.label {
                WatchLines::LABEL => self.watch_lines(reply),
                NextLate::LABEL => {
                    self.next_late(reply);
                    Ok(())
                }
                label => self.system(label, words).map(|()| reply.ok(&Nothing)),
            }
        } else if let Some(subsystem) = badge::subsystem_of(request.badge) {
            self.changes += 1;
            self.child(subsystem, request, words, reply)
        } else if request.badge == badge::INSPECT {
            // It leaves everything as it is, the quarantine too.
            return self.show(request, words, reply);
        } else {
            Err(Error::NotAClient)
        };
        if let Err(error) = result {
            reply.refuse(error);
        }
        self.tidy();
    }

    /// Answers the inspector, who may look at everything and ask for nothing else.
    #[cold]
    fn show(&mut self, request: Request, words: &[u64], reply: &mut Reply) {
        match Asked::decode(request.label, words, request.handles) {
            Ok(Asked::Describe(ask)) => reply.ok(&self.describe(None, ask.cursor)),
            Ok(Asked::Info(_)) => reply.ok(&self.information()),
            Ok(_) => reply.refuse(Error::NotAClient),
            Err(error) => reply.refuse(error.into()),
        }
    }

    /// The sums of the domain tree. A child's are what its parent gives it.
    pub(crate) fn information(&self) -> Information {
        let mut own = answer::information(self.core.describe(), self.remapper);
        if let Some(above) = self.upstream.as_ref().and_then(|upstream| upstream.info().ok()) {
            own.isolated = above.isolated;
            own.entries = above.entries;
            own.vectors = above.vectors;
        }
        own
    }

    /// The client has the handles of these messages: a child keeps none.
    #[cold]
    pub fn handed_on(&mut self, names: &[u64]) {
        for name in names {
            self.core.handed_on(MessageId::from_bits(*name));
        }
    }

    /// Ends messages that their client could not be given.
    #[cold]
    pub fn not_delivered(&mut self, names: &[u64]) {
        for name in names {
            // Nobody has heard of it, so nobody can have freed it.
            self.orphaned(*name);
        }
        self.tidy();
    }

    /// Takes a packet of the kernel's or of the timer.
    pub fn packet(&mut self, packet: Packet) {
        self.changes += 1;
        match PacketKind::from_code(packet.kind) {
            Some(PacketKind::Orphaned) => {
                // Its driver died, or gave the handle back without a `free`.
                self.orphaned(packet.key);
            }
            Some(PacketKind::Message) if packet.key == faults::KEY => {
                self.faults.told(&mut self.core);
            }
            Some(PacketKind::Storm) if packet.key == faults::KEY => {
                self.faults.storm(&mut self.core);
            }
            // `init`, to a child: something has ended above.
            Some(PacketKind::Signal) => self.core.catch_up_all(),
            Some(PacketKind::Storm) => self.stormed(packet.key),
            Some(PacketKind::Message) => self.line_fired(packet.key),
            Some(PacketKind::Timer) => {
                let before = self.core.quarantined();
                let after = self.core.tick(ITEMS_PER_PULSE);
                self.let_go();
                self.tick_wires();
                self.faults.pulse(&mut self.core);
                let waits =
                    after > 0 || !self.held.is_empty() || self.faults.waiting() || self.wires_wait;
                self.pulse.fired(waits, after < before);
                return;
            }
            _ => return,
        }
        self.tidy();
    }
}
