//! A store's messages as cells.

use super::draw::{Draw, State};
use super::layout::{CELLS, StorePlace};
use super::table::row_id;
use inspect_core::Store;
use inspect_core::names::{EventName, state};
use tocsin_proto::interrupt::MessageRow;

/// Draws a cell for each message; with `links` each leads to its row in the table.
pub fn grid(draw: &mut Draw, server: &str, store: &Store, place: &StorePlace, links: bool) {
    let edge = place.cell - if place.cell > 4.0 { 1.0 } else { 0.4 };
    for (number, row) in store.messages.iter().enumerate() {
        let x = CELLS.x + (number % place.per_row) as f64 * place.cell;
        let y = place.y + (number / place.per_row) as f64 * place.cell;
        let title = details(store, row).join("\n");
        let class = format!("m {}", State::of(row).class());
        let cell = |draw: &mut Draw| draw.rect(x, y, edge, edge, &class, Some(&title));
        match links {
            true => draw.anchor(&row_id(server, row), cell),
            false => cell(draw),
        }
    }
}

/// What is known of a message, a line each.
fn details(store: &Store, row: &MessageRow) -> Vec<String> {
    let slot = row.slot.map_or("slot not told".into(), |slot| format!("slot {slot}"));
    let mut lines = vec![format!("{} {slot}: {}", store.kind, state(row.state))];
    lines.push(format!("message {:#x}, pair {:#x}/{:#x}", row.id.0, row.address, row.data));
    if let Some(entry) = row.entry {
        let of = row.device.map(|device| format!(" of DeviceID {device:#x}"));
        lines.push(format!("entry {entry}{}", of.unwrap_or_default()));
    }
    if let Some(event) = row.event {
        lines.push(EventName(event).to_string());
    }
    if let Some(binding) = row.binding {
        let (port, process, key) = (binding.port, binding.process, binding.key);
        lines.push(format!("port {port} of process {process}, key {key:#x}"));
    }
    if let Some(it) = row.counters {
        lines.push(format!(
            "delivered {}, coalesced {}, blocked {}, last on CPU {}",
            it.delivered, it.coalesced, it.blocked, it.last_cpu
        ));
    }
    lines
}
