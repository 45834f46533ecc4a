//! Lines: what their rows say twice.

use super::{Problem, Tree};
use alloc::collections::{BTreeMap, BTreeSet};
use tocsin_proto::StoreKind;
use tocsin_proto::interrupt::{LineState, WireMode, WireRow};

impl Tree {
    /// The rows of each line, an owner each.
    pub fn lines(&self) -> impl Iterator<Item = &[WireRow]> {
        self.wires.chunk_by(|one, other| one.line == other.line)
    }

    pub(super) fn check_wires(&self) -> Result<(), Problem> {
        let (said, counted) = (self.server.wires, self.wires.len());
        if said as usize != counted {
            return Err(Problem::Wires { said, counted });
        }
        let mut ids = BTreeSet::new();
        if let Some(second) = self.wires.iter().find(|row| !ids.insert(row.id.0)) {
            return Err(Problem::SecondWire(second.id));
        }
        let messages: BTreeMap<u64, _> = self.messages().map(|row| (row.id.0, row)).collect();
        for row in &self.wires {
            // Its message is in its chip's store, at the line's place.
            let Some(id) = row.message else { continue };
            let message = messages.get(&id.0).filter(|it| it.kind == StoreKind::Wire);
            let is_its = message.is_some_and(|it| {
                it.slot == Some(row.line.0) && it.event.is_none_or(|event| event == row.event)
            });
            if !is_its {
                return Err(Problem::WireMessage { line: row.line.0, id });
            }
        }
        match self.lines().find(|rows| !is_one_line(rows)) {
            Some(rows) => Err(Problem::Line(rows[0].line.0)),
            None => Ok(()),
        }
    }
}

/// Whether these can be the owners of one line.
fn is_one_line(rows: &[WireRow]) -> bool {
    let Some(first) = rows.first() else { return true };
    let alone = rows.len() == 1;
    let is_held_off = |row: &WireRow| row.state == LineState::HeldOff;
    let mut owners = BTreeSet::new();
    rows.iter().all(|row| {
        let fits = (row.wiring, row.mode, row.direct, row.message, row.event)
            == (first.wiring, first.mode, first.direct, first.message, first.event);
        let may_share = row.mode == WireMode::Shared && row.state != LineState::Closing;
        fits && is_held_off(row) == is_held_off(first)
            && (alone || may_share)
            && row.owner.is_none_or(|owner| owners.insert(owner.client))
    })
}
