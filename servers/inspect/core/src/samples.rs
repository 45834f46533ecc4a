//! Rows to test with: a small machine, and machines of any size.

use alloc::vec::Vec;
use tocsin_proto::interrupt::{
    Arrives, Binding, ClientRow, Counters, DeviceKind, Event, LineId, LineState, MessageId,
    MessageRow, OwnerState, Polarity, RemapperKind, Row, RowState, ServerRow, SpaceRow, Trigger,
    WireMode, WireOwner, WireRow, Wiring,
};
use tocsin_proto::{ProgramName, StoreKind};

/// A server with VT-d and so many messages.
#[must_use]
pub const fn server(messages: u32) -> ServerRow {
    ServerRow {
        remapper: RemapperKind::VtD,
        isolated: true,
        allow_unisolated: false,
        cpus: 2,
        entries_total: 65_536,
        entries_used: messages,
        messages_total: 20_480,
        messages_used: messages,
        quarantined: 0,
        undo_failures: 0,
        faults: 0,
        flushes_late: 0,
        changes: 9,
        wires: 0,
    }
}

/// A client that holds so many messages.
#[must_use]
pub fn client(client: u32, owner: &str, held: u32) -> ClientRow {
    let is_device = client <= 0xffff;
    ClientRow {
        client,
        owner: ProgramName::new(owner).unwrap_or_default(),
        kind: is_device.then_some(DeviceKind { vendor: 0x1000, device: 0x0012 }),
        quota: 4096,
        held,
        faults: 0,
        arrives: Arrives::Own,
        dma_arrives: None,
        past_remapper: false,
        device: None,
        dma_device: None,
    }
}

/// A message in a slot: active, and bound to a port under its slot's number.
#[must_use]
pub fn message(owner: u32, kind: StoreKind, slot: u32, number: u32) -> MessageRow {
    MessageRow {
        id: MessageId(number.into()),
        owner,
        kind,
        slot: Some(slot),
        state: RowState::Active,
        storm: false,
        moving: false,
        address: 0xfee0_0010,
        data: number,
        entry: Some(number),
        device: None,
        event: Some(Event { cpu: (number % 2) as u8, vector: (0x30 + number / 2) as u16 }),
        cpus: 3,
        waiting: 0,
        faults: 0,
        counters: Some(Counters { delivered: 4, coalesced: 1, blocked: 0, last_cpu: 0 }),
        binding: Some(Binding { port: 20 + owner % 8, process: owner % 8, key: slot.into() }),
    }
}

/// Two CPUs with 200 vectors each, of which so many are taken.
#[must_use]
pub fn spaces(taken: [u32; 2]) -> [Row; 2] {
    [0, 1].map(|cpu| {
        let free = 200 - taken[cpu];
        Row::Space(SpaceRow { cpu: Some(cpu as u8), total: 200, free, quarantined: 0 })
    })
}

/// `edu` with one message, `lsi` with four in two stores: of each state one, and a storm.
#[must_use]
pub fn small() -> Vec<Row> {
    let mut rows = alloc::vec![Row::Server(server(6))];
    rows.extend(spaces([2, 2]));
    rows.push(Row::Client(client(0x18, "edu", 1)));
    rows.push(Row::Client(client(0x20, "lsi", 5)));
    rows.push(Row::Message(message(0x18, StoreKind::PciMsi, 0, 0)));
    rows.push(Row::Message(message(0x20, StoreKind::DeviceArray, 0, 1)));
    let reserved = MessageRow {
        state: RowState::Reserved,
        event: None,
        ..message(0x20, StoreKind::DeviceArray, 1, 2)
    };
    let storm = MessageRow {
        state: RowState::Blocked,
        storm: true,
        ..message(0x20, StoreKind::QueueMemory, 7, 3)
    };
    let untold = MessageRow {
        slot: None,
        state: RowState::Blocked,
        binding: None,
        ..message(0x20, StoreKind::QueueMemory, 0, 4)
    };
    let dead = MessageRow {
        slot: None,
        state: RowState::Quarantined,
        event: None,
        counters: None,
        binding: None,
        waiting: 1,
        ..message(0x20, StoreKind::QueueMemory, 0, 5)
    };
    rows.extend([reserved, storm, untold, dead].map(Row::Message));
    rows
}

/// An owner's line: a CPU event itself, open, and bound under the line's number.
#[must_use]
pub fn wire(number: u32, line: u32, client: u32, owner: &str) -> WireRow {
    WireRow {
        id: MessageId(0x8000_0000 | u64::from(number)),
        line: LineId(line),
        wiring: Wiring { trigger: Trigger::Level, polarity: Polarity::High },
        mode: WireMode::Exclusive,
        state: LineState::Open,
        direct: true,
        owner: Some(WireOwner {
            client,
            name: ProgramName::new(owner).unwrap_or_default(),
            state: OwnerState::Good,
        }),
        message: None,
        event: Event { cpu: 1, vector: line as u16 },
        counters: Some(Counters { delivered: 4, coalesced: 1, blocked: 0, last_cpu: 0 }),
        binding: Some(Binding { port: 20 + client % 8, process: client % 8, key: line.into() }),
    }
}

/// As [`small`], with lines of each kind, as no one machine has them: one that is an IOAPIC's
/// message, one shared of which an owner is late, one that closes.
#[must_use]
pub fn wired() -> Vec<Row> {
    let mut rows = small();
    rows[0] = Row::Server(ServerRow { wires: 4, ..server(7) });
    let [one, other] = spaces([3, 2]);
    (rows[1], rows[2]) = (one, other);
    rows.push(Row::Client(ClientRow { quota: 24, ..client(0x2_f0f8, "", 1) }));
    let pin = MessageRow { binding: None, ..message(0x2_f0f8, StoreKind::Wire, 4, 6) };
    rows.push(Row::Message(pin));
    let console = WireRow {
        wiring: Wiring { trigger: Trigger::Edge, polarity: Polarity::High },
        direct: false,
        message: Some(pin.id),
        event: pin.event.unwrap_or(Event { cpu: 0, vector: 0 }),
        ..wire(0, 4, 0x1_0003, "console")
    };
    let shared = |row| WireRow { mode: WireMode::Shared, ..row };
    let held = WireRow { state: LineState::Held, ..shared(wire(1, 35, 0x18, "edu")) };
    let mut late = shared(wire(2, 35, 0x20, "lsi"));
    if let Some(owner) = &mut late.owner {
        owner.state = OwnerState::Late;
    }
    let closing = WireRow {
        state: LineState::Closing,
        owner: None,
        counters: None,
        binding: None,
        ..wire(3, 40, 0, "")
    };
    rows.extend([console, held, late, closing].map(Row::Wire));
    rows
}

/// One device with an array of 256 slots and a queue of so many, on a machine where 400
/// messages can be active at once.
#[must_use]
pub fn large(queue: u32) -> Vec<Row> {
    let count = 256 + queue;
    let mut rows = alloc::vec![Row::Server(server(count + 1))];
    rows.extend(spaces([200, 200]));
    rows.push(Row::Client(client(0x18, "edu", 1)));
    rows.push(Row::Client(client(0x20, "lsi", count)));
    for number in 0..=count {
        let mut row = match number {
            0 => message(0x18, StoreKind::PciMsi, 0, 0),
            1..257 => message(0x20, StoreKind::DeviceArray, number - 1, number),
            _ => message(0x20, StoreKind::QueueMemory, number - 257, number),
        };
        if number >= 400 {
            (row.state, row.event) = (RowState::Reserved, None);
        }
        rows.push(Row::Message(row));
    }
    rows
}
