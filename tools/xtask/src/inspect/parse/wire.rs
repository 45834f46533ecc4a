//! A line's row.

use super::{binding, counters, find, hex};
use anyhow::{Context, Result, bail, ensure};
use inspect_core::names;
use serde::Deserialize;
use tocsin_proto::ProgramName;
use tocsin_proto::interrupt::{Event, LineId, LineState, MessageId, WireOwner, WireRow, Wiring};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wire {
    id: String,
    line: u32,
    wiring: u8,
    mode: String,
    state: String,
    direct: bool,
    client: Option<u32>,
    owner: Option<String>,
    standing: Option<String>,
    message: Option<String>,
    cpu: u8,
    vector: u16,
    delivered: Option<u64>,
    coalesced: Option<u64>,
    blocked: Option<u64>,
    last_cpu: Option<u8>,
    port: Option<u32>,
    process: Option<u32>,
    key: Option<String>,
}

impl Wire {
    pub fn row(self) -> Result<WireRow> {
        let owner = match (self.client, self.owner, self.standing) {
            (None, None, None) => None,
            (Some(client), Some(name), Some(state)) => Some(WireOwner {
                client,
                name: ProgramName::new(&name).context("a name that is too long")?,
                state: find(names::OWNER_STATES, names::owner_state, &state)?,
            }),
            _ => bail!("half an owner"),
        };
        let state = find(names::LINE_STATES, names::line_state, &self.state)?;
        ensure!(owner.is_none() == (state == LineState::Closing), "an owner, or none, too many");
        let message = self.message.map(|id| hex(&id)).transpose()?.map(MessageId);
        ensure!(message.is_none() || !self.direct, "a direct line with a message");
        Ok(WireRow {
            id: MessageId(hex(&self.id)?),
            line: LineId(self.line),
            wiring: Wiring::from_bits(self.wiring).context("no such wiring")?,
            mode: find(names::WIRE_MODES, names::wire_mode, &self.mode)?,
            state,
            direct: self.direct,
            owner,
            message,
            event: Event { cpu: self.cpu, vector: self.vector },
            counters: counters((self.delivered, self.coalesced, self.blocked, self.last_cpu))?,
            binding: binding((self.port, self.process, self.key))?,
        })
    }
}
