//! The domain tree, row by row, for a client about itself and for the inspector about all.

use alloc::collections::BTreeMap;

use init_control::SetOwner;
use interrupt_core::its::DeviceId;
use interrupt_core::wire::{LineId, Mode, Standing, WireNode, WireState, WireStep};
use interrupt_core::{
    BackEnd, ClientId, ClientNode, EventSpace, MessageNode, MessageState, Node, Place, RequesterId,
    ServerNode, Source, Step,
};
use libsys::sys;
use tocsin_abi::{Handle, MessageStatus};
use tocsin_proto::ProgramName;
use tocsin_proto::interrupt::{
    self, Arrives, Binding, ClientRow, Counters, Cursor, Description, DeviceKind, Error, Event,
    LineState, MessageId, MessageRow, OwnerState, RemapperKind, Row, RowState, ServerRow, SpaceRow,
    WireMode, WireOwner, WireRow,
};

use crate::serve::Interrupts;
use crate::{answer, wires};

/// Places that one request looks at: whoever walks through an empty table must not keep the
/// others waiting, and every row costs two system calls besides.
const LOOKS: u32 = 512;

/// Who drives which device, as `init` says.
#[derive(Default)]
pub struct Owners(BTreeMap<ClientId, (ProgramName, Option<DeviceKind>)>);

impl Owners {
    /// What `init` says of a client; `None` when no client has this number.
    pub fn set(&mut self, set: &SetOwner) -> Option<()> {
        let client = ClientId::from_bits(set.client)?;
        let kind = set.kind.map(|(vendor, device)| DeviceKind { vendor, device });
        self.0.insert(client, (set.name, kind));
        Some(())
    }
}

impl<B: BackEnd> Interrupts<B> {
    /// Rows from `cursor` on: of everybody, or of one client's own, because no driver learns of
    /// another's messages (invariant 1).
    pub fn describe(&self, only: Option<ClientId>, cursor: Cursor) -> Description {
        let mut description = Description::default();
        let mut place = Place::from_bits(cursor.0);
        let mut looks = LOOKS;
        while description.has_room() {
            if let Some(number) = place.number_beyond() {
                return self.describe_wires(only, number, looks, description);
            }
            let node = match self.core.survey(only, place, &mut looks) {
                Step::End => {
                    place = Place::beyond(0);
                    continue;
                }
                Step::Later(next) => {
                    place = next;
                    break;
                }
                Step::Node(node, next) => {
                    place = next;
                    node
                }
            };
            let row = match node {
                Node::Server(node) => Row::Server(self.server_row(&node)),
                Node::Space(space) => Row::Space(space_row(&space)),
                Node::Client(node) => Row::Client(self.client_row(&node)),
                Node::Message(node) => Row::Message(self.message_row(&node)),
            };
            let had_room = description.push(row);
            debug_assert!(had_room, "the loop asked");
        }
        description.next = Some(Cursor(place.bits()));
        description
    }

    /// The rest of a reply: wires from this place on. The last rows of all.
    fn describe_wires(
        &self,
        only: Option<ClientId>,
        mut place: u32,
        mut looks: u32,
        mut description: Description,
    ) -> Description {
        while description.has_room() {
            match self.wires.survey(&self.core, only, place, &mut looks) {
                WireStep::End => return description,
                WireStep::Later(next) => {
                    place = next;
                    break;
                }
                WireStep::Wire(node, next) => {
                    place = next;
                    let had_room = description.push(Row::Wire(self.wire_row(&node)));
                    debug_assert!(had_room, "the loop asked");
                }
            }
        }
        description.next = Some(Cursor(Place::beyond(place).bits()));
        description
    }

    fn wire_row(&self, node: &WireNode<Handle>) -> WireRow {
        let owner =
            node.owner.filter(|_| node.state.is_some()).map(|(client, standing)| WireOwner {
                client: client.bits(),
                name: self.owners.0.get(&client).map(|it| it.0).unwrap_or_default(),
                state: match standing {
                    Standing::Good => OwnerState::Good,
                    Standing::Late => OwnerState::Late,
                    Standing::Dropped => OwnerState::Dropped,
                },
            });
        WireRow {
            id: MessageId(node.id),
            line: interrupt::LineId(node.line.number()),
            wiring: wires::wiring_row(node.wiring),
            mode: match node.mode {
                Mode::Exclusive => WireMode::Exclusive,
                Mode::Shared => WireMode::Shared,
            },
            state: match node.state {
                Some(WireState::Open) => LineState::Open,
                Some(WireState::Told) => LineState::Held,
                Some(WireState::HeldOff) => LineState::HeldOff,
                None => LineState::Closing,
            },
            direct: node.direct,
            owner,
            message: node.message.map(|id| MessageId(id.bits())),
            event: Event { cpu: node.event.cpu.index() as u8, vector: node.event.vector.bits() },
            counters: node.handle.and_then(counters),
            binding: node.handle.and_then(binding),
        }
    }

    /// One message of a client, as it is now.
    pub fn look(
        &mut self,
        client: ClientId,
        id: interrupt_core::MessageId,
    ) -> Result<Description, Error> {
        self.core.look(client, id).map_err(answer::error)?;
        let info = self.core.info(client, id).map_err(answer::error)?;
        let node = MessageNode { info, dead: false, moving: false, waiting: 0, handle: None };
        let mut description = Description::default();
        description.push(Row::Message(self.message_row(&node)));
        Ok(description)
    }

    /// A message's row. In a child it is the parent's, but for the name.
    fn message_row(&self, node: &MessageNode<Handle>) -> MessageRow {
        let own = message_row(node, self.wires.line_of(node.info.id));
        let name = node.info.entry.filter(|_| !node.dead).and_then(|it| self.core.name_above(it));
        let above = self.upstream.as_ref().zip(name);
        match above.and_then(|(upstream, (client, id))| upstream.row(client, id)) {
            Some(above) => MessageRow { id: own.id, owner: own.owner, ..above },
            None => own,
        }
    }

    fn server_row(&self, node: &ServerNode) -> ServerRow {
        let entries = node.capabilities.entries;
        ServerRow {
            remapper: self.remapper,
            isolated: node.capabilities.isolated,
            allow_unisolated: node.allow_unisolated,
            cpus: node.cpus,
            entries_total: entries,
            // Without a table there is nothing to be used up.
            entries_used: node.entries_used.min(entries),
            messages_total: node.messages.0,
            messages_used: node.messages.1,
            quarantined: node.quarantined.try_into().unwrap_or(u32::MAX),
            undo_failures: node.statistics.undo_failures.try_into().unwrap_or(u32::MAX),
            faults: node.statistics.faults,
            flushes_late: node.statistics.flushes_late,
            changes: self.changes,
            wires: self.wires.count(),
        }
    }

    fn client_row(&self, node: &ClientNode) -> ClientRow {
        let policy = node.policy;
        let (owner, kind) = self.owners.0.get(&node.client).copied().unwrap_or_default();
        let is_amdvi = self.remapper == RemapperKind::AmdVi;
        let is_its = self.remapper == RemapperKind::Its;
        ClientRow {
            client: node.client.bits(),
            owner,
            kind,
            quota: policy.quota,
            held: node.held,
            faults: self.core.faults_of(node.client).0,
            arrives: match policy.source {
                None => Arrives::Own,
                Some(Source::Function(id) | Source::Pins(id)) => Arrives::Function(id.bits()),
                Some(Source::Device(id)) => Arrives::Device(id.bits()),
                Some(Source::Buses { first, last }) => Arrives::Buses { first, last },
            },
            past_remapper: policy.past_remapper,
            dma_arrives: policy.dma_source.filter(|_| is_amdvi).map(RequesterId::bits),
            device: policy.devices.own.filter(|_| is_its).map(DeviceId::bits),
            dma_device: policy.devices.dma.filter(|_| is_its).map(DeviceId::bits),
        }
    }
}

fn space_row(space: &EventSpace) -> SpaceRow {
    SpaceRow {
        // At most 64 CPUs.
        cpu: space.cpu.map(|cpu| cpu.index() as u8),
        total: space.count.total.into(),
        free: space.count.free.into(),
        quarantined: space.count.quarantined.into(),
    }
}

/// The store of a line's message is its chip, and the line's number the slot.
fn message_row(node: &MessageNode<Handle>, line: Option<LineId>) -> MessageRow {
    let info = &node.info;
    let state = match info.state {
        _ if node.dead => RowState::Quarantined,
        MessageState::Reserved => RowState::Reserved,
        MessageState::Active => RowState::Active,
        MessageState::Blocked => RowState::Blocked,
    };
    MessageRow {
        id: MessageId(info.id.bits()),
        owner: info.client.bits(),
        kind: answer::store_kind(info.kind),
        slot: line.map(LineId::number),
        state,
        storm: info.storm,
        moving: node.moving,
        address: info.pair.address,
        data: info.pair.data,
        entry: info.name.map(|entry| entry.number),
        device: info.name.and_then(|entry| entry.device).map(DeviceId::bits),
        event: info
            .event
            .map(|event| Event { cpu: event.cpu.index() as u8, vector: event.vector.bits() }),
        cpus: info.cpus.bits(),
        waiting: node.waiting,
        faults: info.faults,
        counters: node.handle.and_then(counters),
        binding: node.handle.and_then(binding),
    }
}

fn counters(message: Handle) -> Option<Counters> {
    let [first @ .., _] = sys::message_read(message).ok()?.values;
    let status = MessageStatus::from_values(first);
    Some(Counters {
        delivered: status.delivered,
        coalesced: status.coalesced,
        blocked: status.blocked,
        last_cpu: status.cpu,
    })
}

fn binding(message: Handle) -> Option<Binding> {
    let [port, process, key, ..] = sys::message_binding(message).ok()?.values;
    Some(Binding { port: port as u32, process: process as u32, key })
}
