//! Lines: each source of them (IOAPIC, GIC) beside its lines, and these with their owners.

use super::draw::Draw;
use super::layout::{CELLS, CPU_HEIGHT, CPUS, DEVICES, GAP, Layout, REMAPPER, STORES};
use inspect_core::Tree;
use inspect_core::names::{EventName, OwnerName, line_source, line_state, owner_state};
use tocsin_proto::interrupt::{LineState, OwnerState, WireRow};

/// Height of a line's name, of each owner, and the room between lines.
const NAME: f64 = 26.0;
const OWNER: f64 = 14.0;
const BETWEEN: f64 = 8.0;
/// Height of a source's box.
const SOURCE: f64 = 44.0;

/// The lines of each source, in order.
fn sources(tree: &Tree) -> Vec<(&'static str, Vec<&[WireRow]>)> {
    let mut sources: Vec<(&'static str, Vec<&[WireRow]>)> = Vec::new();
    for rows in tree.lines() {
        let name = line_source(&rows[0]);
        match sources.iter_mut().find(|(other, _)| *other == name) {
            Some((_, lines)) => lines.push(rows),
            None => sources.push((name, vec![rows])),
        }
    }
    sources
}

fn tall(rows: &[WireRow]) -> f64 {
    NAME + OWNER * rows.len() as f64
}

/// How far down they reach from `top` on.
pub fn bottom(tree: &Tree, top: f64) -> f64 {
    let height = |lines: &[&[WireRow]]| {
        let all: f64 = lines.iter().map(|rows| tall(rows) + BETWEEN).sum();
        all.max(SOURCE) + GAP
    };
    sources(tree).iter().fold(top, |y, (_, lines)| y + height(lines))
}

/// Draws them from where the layout has room for them.
pub fn draw(draw: &mut Draw, tree: &Tree, layout: &Layout) {
    let mut top = layout.wires;
    for (name, lines) in sources(tree) {
        let middle = top + SOURCE / 2.0;
        draw.link((REMAPPER.x + REMAPPER.w, layout.middle), (DEVICES.x, middle), "tree", 1.5);
        let mut y = top;
        for rows in &lines {
            let center = y + tall(rows) / 2.0;
            draw.link((DEVICES.x + DEVICES.w, middle), (STORES.x, center), "tree", 1.5);
            // What a chip makes a message of goes on from that message's cell.
            let cpu = layout.cpus.get(&Some(rows[0].event.cpu)).filter(|_| rows[0].direct);
            if let Some(cpu) = cpu {
                let from = (CELLS.x + CELLS.w, center);
                draw.link(from, (CPUS.x, cpu + CPU_HEIGHT / 2.0), "flow", 1.0);
            }
            line(draw, rows, y);
            y += tall(rows) + BETWEEN;
        }
        draw.rect(DEVICES.x, top, DEVICES.w, SOURCE, "box", None);
        draw.text(DEVICES.x + 10.0, top + 19.0, "strong", name);
        let plural = if lines.len() == 1 { "" } else { "s" };
        let count = format!("{} line{plural}", lines.len());
        draw.text(DEVICES.x + 10.0, top + 35.0, "small", &count);
        top = y.max(top + SOURCE) + GAP;
    }
}

fn line(draw: &mut Draw, rows: &[WireRow], y: f64) {
    let row = &rows[0];
    let (x, w) = (STORES.x, CELLS.x + CELLS.w - STORES.x);
    draw.rect(x, y, w, tall(rows), "box", None);
    let message = row.message.map(|id| format!(", message {:#x}", id.0)).unwrap_or_default();
    let mode = inspect_core::names::wire_mode(row.mode);
    let event = EventName(row.event);
    let name = format!("{}: {}, {mode}, {event}{message}", row.line, row.wiring);
    draw.text(x + 10.0, y + 17.0, "strong", &name);
    for (number, row) in rows.iter().enumerate() {
        let y = y + NAME + OWNER * number as f64;
        draw.rect(x + 10.0, y - 1.0, 9.0, 9.0, class(row), Some(&owner(row)));
        draw.text(x + 26.0, y + 8.0, "small", &owner(row));
    }
}

/// The colours are those of messages in like states.
fn class(row: &WireRow) -> &'static str {
    let is_good = row.owner.is_none_or(|owner| owner.state == OwnerState::Good);
    match row.state {
        LineState::Closing => "quarantined",
        LineState::HeldOff => "storm",
        LineState::Held => "blocked",
        LineState::Open if is_good => "active",
        LineState::Open => "blocked",
    }
}

fn owner(row: &WireRow) -> String {
    let Some(owner) = row.owner else { return "closing, nobody's any more".into() };
    let mut text = format!("{}: {}", OwnerName(owner), line_state(row.state));
    if owner.state != OwnerState::Good {
        text += &format!(" ({})", owner_state(owner.state));
    }
    if let Some(it) = row.counters {
        text += &format!(", {} packets, {} coalesced", it.delivered, it.coalesced);
    }
    if let Some(it) = row.binding {
        text += &format!(", port {} of process {}, key {:#x}", it.port, it.process, it.key);
    }
    text
}
