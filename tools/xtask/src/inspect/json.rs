//! A snapshot as JSON, for other tools. The schema is in tools/README.md; a field is never
//! renamed, and what is absent is `null`. Numbers of 64 bits that are names and not counts are
//! text in hexadecimal.

mod wires;

use super::parse::Snapshot;
use inspect_core::names::{ClientName, Source, state};
use inspect_core::{Client, Store, Sums};
use serde::Serialize;
use tocsin_proto::interrupt::{Binding, Counters, MessageRow, RowState, SpaceRow};
use wires::LineOut;

/// What the document says of itself.
pub const SCHEMA: &str = "tocsin-inspect/1";

/// Where a snapshot was taken.
#[derive(Clone, Serialize)]
pub struct Origin {
    pub scenario: String,
    pub machine: String,
    pub arch: String,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    origin: Option<&'a Origin>,
    servers: Vec<ServerOut<'a>>,
}

#[derive(Serialize)]
struct ServerOut<'a> {
    name: &'a str,
    steady: bool,
    remapper: RemapperOut,
    sums: SumsOut,
    vectors: Vec<SpaceOut>,
    clients: Vec<ClientOut<'a>>,
    lines: Vec<LineOut<'a>>,
}

#[derive(Serialize)]
struct RemapperOut {
    kind: &'static str,
    isolated: bool,
    allow_unisolated: bool,
    cpus: u8,
    entries_total: u32,
    entries_used: u32,
    messages_total: u32,
    messages_used: u32,
    quarantined: u32,
    undo_failures: u32,
    faults: u64,
    flushes_late: u64,
}

#[derive(Serialize)]
struct SumsOut {
    messages: u64,
    reserved: u64,
    active: u64,
    blocked: u64,
    quarantined: u64,
    storms: u64,
    bound: u64,
    delivered: u64,
    coalesced: u64,
    dropped: u64,
    faults: u64,
}

#[derive(Serialize)]
struct SpaceOut {
    cpu: Option<u8>,
    total: u32,
    free: u32,
    quarantined: u32,
}

#[derive(Serialize)]
struct ClientOut<'a> {
    client: u32,
    name: String,
    driver: Option<&'a str>,
    vendor: Option<u16>,
    device: Option<u16>,
    source: String,
    past_remapper: bool,
    quota: u32,
    held: u32,
    faults: u64,
    sums: SumsOut,
    stores: Vec<StoreOut>,
}

#[derive(Serialize)]
struct StoreOut {
    kind: &'static str,
    sums: SumsOut,
    messages: Vec<MessageOut>,
}

#[derive(Serialize)]
struct MessageOut {
    id: String,
    slot: Option<u32>,
    state: &'static str,
    storm: bool,
    moving: bool,
    address: String,
    data: u32,
    entry: Option<u32>,
    device_id: Option<u32>,
    cpu: Option<u8>,
    vector: Option<u16>,
    cpus: String,
    waiting: u16,
    faults: u32,
    counters: Option<CountersOut>,
    binding: Option<BindingOut>,
}

#[derive(Serialize)]
struct CountersOut {
    delivered: u64,
    coalesced: u64,
    blocked: u64,
    last_cpu: u8,
}

#[derive(Serialize)]
struct BindingOut {
    port: u32,
    process: u32,
    key: String,
}

/// The document.
pub fn document(snapshots: &[Snapshot], origin: Option<&Origin>) -> serde_json::Result<String> {
    let servers = snapshots.iter().map(ServerOut::of).collect();
    let mut text = serde_json::to_string_pretty(&Document { schema: SCHEMA, origin, servers })?;
    text.push('\n');
    Ok(text)
}

fn hex(number: u64) -> String {
    format!("{number:#x}")
}

impl<'a> ServerOut<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let tree = &snapshot.tree;
        let row = &tree.server;
        Self {
            name: &snapshot.server,
            steady: snapshot.steady,
            remapper: RemapperOut {
                kind: row.remapper.name(),
                isolated: row.isolated,
                allow_unisolated: row.allow_unisolated,
                cpus: row.cpus,
                entries_total: row.entries_total,
                entries_used: row.entries_used,
                messages_total: row.messages_total,
                messages_used: row.messages_used,
                quarantined: row.quarantined,
                undo_failures: row.undo_failures,
                faults: row.faults,
                flushes_late: row.flushes_late,
            },
            sums: tree.sums().into(),
            vectors: tree.spaces.iter().map(SpaceOut::of).collect(),
            clients: tree.clients.iter().map(ClientOut::of).collect(),
            lines: tree.lines().filter_map(LineOut::of).collect(),
        }
    }
}

impl From<Sums> for SumsOut {
    fn from(sums: Sums) -> Self {
        Self {
            messages: sums.messages(),
            reserved: sums.state(RowState::Reserved),
            active: sums.state(RowState::Active),
            blocked: sums.state(RowState::Blocked),
            quarantined: sums.state(RowState::Quarantined),
            storms: sums.storms,
            bound: sums.bound,
            delivered: sums.delivered,
            coalesced: sums.coalesced,
            dropped: sums.dropped,
            faults: sums.faults,
        }
    }
}

impl SpaceOut {
    const fn of(space: &SpaceRow) -> Self {
        let SpaceRow { cpu, total, free, quarantined } = *space;
        Self { cpu, total, free, quarantined }
    }
}

impl<'a> ClientOut<'a> {
    fn of(client: &'a Client) -> Self {
        let row = &client.row;
        Self {
            client: row.client,
            name: ClientName(row.client).to_string(),
            driver: Some(row.owner.as_str()).filter(|owner| !owner.is_empty()),
            vendor: row.kind.map(|kind| kind.vendor),
            device: row.kind.map(|kind| kind.device),
            source: Source(row).to_string(),
            past_remapper: row.past_remapper,
            quota: row.quota,
            held: row.held,
            faults: row.faults,
            sums: client.sums().into(),
            stores: client.stores.iter().map(StoreOut::of).collect(),
        }
    }
}

impl StoreOut {
    fn of(store: &Store) -> Self {
        let messages = store.messages.iter().map(MessageOut::of).collect();
        Self { kind: store.kind.name(), sums: store.sums().into(), messages }
    }
}

impl MessageOut {
    fn of(row: &MessageRow) -> Self {
        Self {
            id: hex(row.id.0),
            slot: row.slot,
            state: state(row.state),
            storm: row.storm,
            moving: row.moving,
            address: hex(row.address),
            data: row.data,
            entry: row.entry,
            device_id: row.device,
            cpu: row.event.map(|event| event.cpu),
            vector: row.event.map(|event| event.vector),
            cpus: hex(row.cpus),
            waiting: row.waiting,
            faults: row.faults,
            counters: row.counters.map(CountersOut::of),
            binding: row.binding.map(BindingOut::of),
        }
    }
}

impl CountersOut {
    const fn of(counters: Counters) -> Self {
        let Counters { delivered, coalesced, blocked, last_cpu } = counters;
        Self { delivered, coalesced, blocked, last_cpu }
    }
}

impl BindingOut {
    fn of(binding: Binding) -> Self {
        Self { port: binding.port, process: binding.process, key: hex(binding.key) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inspect_core::{Tree, samples};
    use proptest::prelude::*;
    use serde_json::Value;
    use std::collections::BTreeSet;
    use tocsin_proto::interrupt::Row;

    fn snapshot(rows: &[Row]) -> Snapshot {
        let tree = Tree::build(rows).expect("whole");
        Snapshot { server: "interrupt".into(), steady: true, tree }
    }

    /// The document of a small machine with lines, byte for byte. A change here is a change of the schema.
    #[test]
    fn a_small_machine_is_this_document() {
        let origin =
            Origin { scenario: "inspect".into(), machine: "q35".into(), arch: "x86_64".into() };
        let text = document(&[snapshot(&samples::wired())], Some(&origin)).expect("plain data");
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/golden/inspect.json");
        assert_eq!(text, std::fs::read_to_string(golden).expect("it is committed"));
    }

    fn messages(document: &Value) -> Vec<&Value> {
        let mut found = Vec::new();
        for server in document["servers"].as_array().expect("a list") {
            for client in server["clients"].as_array().expect("a list") {
                for store in client["stores"].as_array().expect("a list") {
                    found.extend(store["messages"].as_array().expect("a list"));
                }
            }
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn every_row_is_there_once(queue in 0u32..2000) {
            let text = document(&[snapshot(&samples::large(queue))], None).expect("plain data");
            let read: Value = serde_json::from_str(&text).expect("JSON");
            let found = messages(&read);
            let ids: BTreeSet<&str> = found.iter().filter_map(|it| it["id"].as_str()).collect();
            prop_assert_eq!(found.len(), (queue + 257) as usize);
            prop_assert_eq!(ids.len(), found.len());
            let sums = &read["servers"][0]["sums"];
            prop_assert_eq!(sums["messages"].as_u64(), Some(u64::from(queue + 257)));
            let clients = read["servers"][0]["clients"].as_array().expect("a list");
            let counted = clients.iter().filter_map(|it| it["sums"]["messages"].as_u64());
            prop_assert_eq!(counted.sum::<u64>(), u64::from(queue + 257));
        }
    }
}
