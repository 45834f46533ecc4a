//! Lines and their owners.

use super::{BindingOut, CountersOut, hex};
use inspect_core::names::{ClientName, line_source, line_state, owner_state, wire_mode};
use serde::Serialize;
use tocsin_proto::interrupt::{Polarity, Trigger, WireOwner, WireRow};

#[derive(Serialize)]
pub struct LineOut<'a> {
    source: &'static str,
    line: u32,
    trigger: &'static str,
    polarity: &'static str,
    mode: &'static str,
    state: &'static str,
    direct: bool,
    message: Option<String>,
    cpu: u8,
    vector: u16,
    owners: Vec<OwnerOut<'a>>,
}

#[derive(Serialize)]
struct OwnerOut<'a> {
    id: String,
    client: u32,
    name: String,
    driver: Option<&'a str>,
    state: &'static str,
    standing: &'static str,
    counters: Option<CountersOut>,
    binding: Option<BindingOut>,
}

impl<'a> LineOut<'a> {
    pub fn of(rows: &'a [WireRow]) -> Option<Self> {
        let row = rows.first()?;
        // Held for one of its owners is held.
        let state = rows.iter().map(|row| row.state).max()?;
        Some(Self {
            source: line_source(row),
            line: row.line.0,
            trigger: match row.wiring.trigger {
                Trigger::Edge => "edge",
                Trigger::Level => "level",
            },
            polarity: match row.wiring.polarity {
                Polarity::High => "high",
                Polarity::Low => "low",
            },
            mode: wire_mode(row.mode),
            state: line_state(state),
            direct: row.direct,
            message: row.message.map(|id| hex(id.0)),
            cpu: row.event.cpu,
            vector: row.event.vector,
            owners: rows
                .iter()
                .filter_map(|row| Some(OwnerOut::of(row, row.owner.as_ref()?)))
                .collect(),
        })
    }
}

impl<'a> OwnerOut<'a> {
    fn of(row: &WireRow, owner: &'a WireOwner) -> Self {
        Self {
            id: hex(row.id.0),
            client: owner.client,
            name: ClientName(owner.client).to_string(),
            driver: Some(owner.name.as_str()).filter(|name| !name.is_empty()),
            state: line_state(row.state),
            standing: owner_state(owner.state),
            counters: row.counters.map(CountersOut::of),
            binding: row.binding.map(BindingOut::of),
        }
    }
}
