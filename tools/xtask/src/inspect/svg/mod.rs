//! The domain tree as one self-contained SVG: remapper → device → store → messages → CPU →
//! port, from left to right. Lines are a source of their own below the devices: IOAPIC or GIC →
//! line with its owners → CPU, where no message stands in between.
//!
//! Every message is a cell, coloured by its state, with all that is known of it as its title
//! (a viewer shows it under the pointer); boxes and lines carry sums. A device that is to be
//! expanded has a table with a row for each message below the drawing, and its cells are links
//! to their rows.

mod cells;
mod draw;
mod flow;
mod layout;
mod table;
mod wires;

#[cfg(test)]
mod tests;

use super::parse::Snapshot;
use draw::{Draw, State};
use inspect_core::names::{ClientName, Source};
use inspect_core::text::Expand;
use inspect_core::{Client, Store, Sums};
use layout::{DEVICES, EDGE, GAP, Layout, REMAPPER, STORES, WIDTH};

/// Height of the title and the legend.
const HEAD: f64 = 78.0;
/// Characters of a line in a store's box.
const LINE: usize = 33;

/// The drawing of all snapshots, one below the other.
pub fn drawing(snapshots: &[Snapshot], title: &str, expand: Expand) -> String {
    let mut draw = Draw::default();
    legend(&mut draw, title);
    let mut top = HEAD;
    for snapshot in snapshots {
        top = server(&mut draw, snapshot, top, expand);
    }
    if snapshots.is_empty() {
        draw.text(EDGE, top, "strong", "No interrupt server has described itself.");
        top += 30.0;
    }
    draw.finish(WIDTH, top)
}

/// Title, and what the colours mean.
fn legend(draw: &mut Draw, title: &str) {
    draw.text(EDGE, 30.0, "title", title);
    let mut x = EDGE;
    for state in State::ALL {
        draw.rect(x, 46.0, 11.0, 11.0, state.class(), None);
        draw.text(x + 16.0, 56.0, "small", state.name());
        x += 34.0 + 7.0 * state.name().len() as f64;
    }
    let note = "a cell is a message, in the order of its store; its details are under the pointer";
    draw.text(x + 10.0, 56.0, "dim", note);
}

/// One server from `top` on; returns where it ends.
fn server(draw: &mut Draw, snapshot: &Snapshot, top: f64, expand: Expand) -> f64 {
    let tree = &snapshot.tree;
    let layout = Layout::of(tree, top);
    flow::lines(draw, tree, &layout);
    remapper(draw, snapshot, &layout);
    for (client, place) in tree.clients.iter().zip(&layout.clients) {
        device(draw, client, place.y, place.height);
        for (store, place) in client.stores.iter().zip(&place.stores) {
            store_box(draw, store, place.y);
            let links = expand.shows(client);
            cells::grid(draw, &snapshot.server, store, place, links);
        }
    }
    wires::draw(draw, tree, &layout);
    flow::boxes(draw, tree, &layout);
    let mut bottom = layout.bottom + GAP;
    for client in tree.clients.iter().filter(|client| expand.shows(client)) {
        bottom = table::table(draw, &snapshot.server, client, bottom) + GAP;
    }
    bottom
}

fn remapper(draw: &mut Draw, snapshot: &Snapshot, layout: &Layout) {
    let row = &snapshot.tree.server;
    let (x, w) = (REMAPPER.x, REMAPPER.w);
    let mut lines = vec![format!("remapper {}", row.remapper.name())];
    if row.entries_total > 0 {
        lines.push(format!("{} of {} entries", row.entries_used, row.entries_total));
    }
    lines.push(format!("{} of {} messages", row.messages_used, row.messages_total));
    lines.push(format!("{} in quarantine", row.quarantined));
    lines.push(format!("{} faults", row.faults));
    if row.flushes_late > 0 {
        lines.push(format!("{} flushes late", row.flushes_late));
    }
    for space in snapshot.tree.spaces.iter().filter(|space| space.cpu.is_none()) {
        lines.push(format!("{} of {} LPIs free", space.free, space.total));
    }
    if !snapshot.steady {
        lines.push("changed while read".into());
    }
    let height = 52.0 + 15.0 * lines.len() as f64;
    let y = layout.middle - height / 2.0;
    draw.rect(x, y, w, height, "box", None);
    draw.text(x + 10.0, y + 19.0, "strong", &format!("server `{}`", snapshot.server));
    for (line, text) in lines.iter().enumerate() {
        draw.text(x + 10.0, y + 37.0 + 15.0 * line as f64, "small", text);
    }
    let (class, text) = match (row.isolated, row.allow_unisolated) {
        (true, _) => ("good", "source ids checked"),
        (false, true) => ("bad", "NOT ISOLATED, IMS allowed"),
        (false, false) => ("bad", "not isolated"),
    };
    draw.text(x + 10.0, y + height - 16.0, class, text);
    bar(draw, x, y + height - 8.0, w, &snapshot.tree.sums());
}

fn device(draw: &mut Draw, client: &Client, y: f64, height: f64) {
    let (x, w, row) = (DEVICES.x, DEVICES.w, &client.row);
    draw.rect(x, y, w, height, "box", None);
    let kind = row.kind.map(|kind| format!("  {:04x}:{:04x}", kind.vendor, kind.device));
    let name = format!("{}{}", ClientName(row.client), kind.unwrap_or_default());
    draw.text(x + 10.0, y + 19.0, "strong", &name);
    let driver = match row.owner.as_str() {
        "" => "driver not known".into(),
        owner => format!("driver {owner}"),
    };
    let mut lines = vec![driver, format!("{} of {} messages", row.held, row.quota)];
    // A source with quirks is longer than the box is wide.
    let source = format!("source {}", Source(row));
    lines.extend(source.split(", ").map(String::from));
    if row.faults > 0 {
        lines.push(format!("{} writes stopped", row.faults));
    }
    for (line, text) in lines.iter().enumerate() {
        draw.text(x + 10.0, y + 36.0 + 14.0 * line as f64, "small", text);
    }
    bar(draw, x, y + height - 8.0, w, &client.sums());
}

fn store_box(draw: &mut Draw, store: &Store, y: f64) {
    let (x, w) = (STORES.x, STORES.w);
    let sums = store.sums();
    draw.rect(x, y, w, layout::STORE_HEIGHT, "box", None);
    draw.text(x + 10.0, y + 19.0, "strong", store.kind.name());
    let states = State::ALL.into_iter().filter_map(|state| {
        let count = state.count(&sums);
        (count > 0).then(|| format!("{count} {}", state.class()))
    });
    let mut texts = wrapped(states);
    texts.push(format!("{} packets, {} coalesced", sums.delivered, sums.coalesced));
    if sums.dropped + sums.faults > 0 {
        texts.push(format!("{} while blocked, {} stopped", sums.dropped, sums.faults));
    }
    for (line, text) in texts.iter().enumerate() {
        draw.text(x + 10.0, y + 36.0 + 14.0 * line as f64, "small", text);
    }
    bar(draw, x, y + layout::STORE_HEIGHT - 8.0, w, &sums);
}

/// Words with commas between them, in lines as long as a box is wide.
fn wrapped(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < LINE => *line += &format!(", {word}"),
            _ => lines.push(word),
        }
    }
    lines
}

/// How many messages are in which state, as lengths.
fn bar(draw: &mut Draw, x: f64, y: f64, width: f64, sums: &Sums) {
    let all = sums.messages().max(1) as f64;
    let mut at = x;
    for state in State::ALL {
        let part = width * state.count(sums) as f64 / all;
        if part > 0.0 {
            draw.rect(at, y, part, 8.0, state.class(), None);
        }
        at += part;
    }
}
