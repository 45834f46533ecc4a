//! A device's messages one by one, in columns below the drawing.

use super::draw::{Draw, State};
use super::layout::{EDGE, WIDTH};
use inspect_core::Client;
use inspect_core::names::{ClientName, EventName, state};
use tocsin_proto::interrupt::MessageRow;

/// Height of a row, and width of a column of them.
const ROW: f64 = 12.0;
const COLUMN: f64 = 545.0;
/// Columns side by side.
const COLUMNS: usize = 3;

/// The id of a message's row.
pub fn row_id(server: &str, row: &MessageRow) -> String {
    let plain: String = server.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("m-{plain}-{:x}", row.id.0)
}

/// Draws the table from `top` on; returns where it ends.
pub fn table(draw: &mut Draw, server: &str, client: &Client, top: f64) -> f64 {
    let mut y = top;
    for store in &client.stores {
        let count = store.messages.len();
        let name = ClientName(client.row.client);
        draw.text(EDGE, y + 12.0, "strong", &format!("{name} {}: all {count}", store.kind));
        y += 20.0;
        let lines = count.div_ceil(COLUMNS);
        draw.rect(EDGE, y, WIDTH - 2.0 * EDGE, lines as f64 * ROW + 8.0, "frame", None);
        for (number, row) in store.messages.iter().enumerate() {
            let x = EDGE + 8.0 + (number / lines) as f64 * COLUMN;
            let at = y + 4.0 + (number % lines) as f64 * ROW;
            draw.target(&row_id(server, row), |draw| {
                draw.rect(x, at + 1.5, 9.0, 9.0, State::of(row).class(), None);
                draw.text(x + 14.0, at + 9.5, "mono", &line(row));
            });
        }
        y += lines as f64 * ROW + 24.0;
    }
    y
}

/// One message. The columns are as wide as most numbers are.
fn line(row: &MessageRow) -> String {
    let some = |number: Option<u32>| number.map_or("-".into(), |number| number.to_string());
    let event = row.event.map_or("-".into(), |event| EventName(event).to_string());
    let port = row.binding.map_or("-".into(), |it| format!("{}/{:#x}", it.port, it.key));
    let counters = row.counters.map_or("-".into(), |it| {
        format!("{}+{} blocked {}", it.delivered, it.coalesced, it.blocked)
    });
    let line = format!(
        "slot {:>5} {:<11} entry {:>5} {event:<11} port/key {port:<9} got {counters}",
        some(row.slot),
        state(row.state),
        some(row.entry),
    );
    // Viewers make one space of many.
    line.replace(' ', "\u{a0}")
}
