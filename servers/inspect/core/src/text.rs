//! The tree as text: a line for each level, and one for all messages of a store that are in
//! the same state and go to the same port.

#[cfg(test)]
mod tests;
mod wires;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use tocsin_proto::interrupt::{MessageRow, RowState};

use crate::names::{ClientName, EventName, Source, line_source, state};
use crate::ranges::Ranges;
use crate::sums::Sums;
use crate::tree::{Client, Store, Tree};

/// Which clients' messages are shown one by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expand<'a> {
    /// Nobody's.
    Nothing,
    /// Those of the clients that one of these words names: `00:04.0`, or a driver's name.
    Named(&'a [String]),
    /// Everybody's.
    Everything,
}

impl Expand<'_> {
    /// Whether this client's messages are shown one by one.
    #[must_use]
    pub fn shows(self, client: &Client) -> bool {
        match self {
            Expand::Nothing => false,
            Expand::Everything => true,
            Expand::Named(names) => names.iter().any(|name| is_named(client, name)),
        }
    }
}

/// Whether a word names this client: by its device, or by its driver.
#[must_use]
pub fn is_named(client: &Client, name: &str) -> bool {
    let mut place = String::new();
    // Writing into a string can not fail.
    let _ = write!(place, "{}", ClientName(client.row.client));
    !name.is_empty() && (place == name || client.row.owner.as_str() == name)
}

/// Writes the tree, one call of `print` per line.
pub fn print(tree: &Tree, expand: Expand<'_>, mut print: impl FnMut(&str)) {
    let mut line = String::new();
    let mut each = |write: &dyn Fn(&mut String) -> fmt::Result| {
        line.clear();
        // Writing into a string can not fail.
        let _ = write(&mut line);
        print(&line);
    };
    each(&|line| server(tree, line));
    each(&|line| vectors(tree, line));
    for client in &tree.clients {
        each(&|line| client_line(client, line));
        for store in &client.stores {
            each(&|line| store_line(store, line));
            if expand.shows(client) {
                store.messages.iter().for_each(|row| each(&|line| message_line(row, line)));
            } else {
                groups(store).iter().for_each(|group| each(&|line| group_line(group, line)));
            }
        }
    }
    let mut source = "";
    for rows in tree.lines() {
        let of = line_source(&rows[0]);
        if of != source {
            source = of;
            each(&|line| write!(line, "  {of}:"));
        }
        each(&|line| wires::line(rows, line));
        rows.iter().for_each(|row| {
            if let Some(owner) = row.owner {
                each(&|line| wires::owner(row, owner, line));
            }
        });
    }
}

fn server(tree: &Tree, f: &mut String) -> fmt::Result {
    let row = &tree.server;
    write!(f, "remapper {}, ", row.remapper.name())?;
    f.write_str(match (row.isolated, row.allow_unisolated) {
        (true, _) => "source ids checked",
        (false, true) => "NOT isolated, and IMS is allowed all the same",
        (false, false) => "not isolated",
    })?;
    if row.entries_total > 0 {
        write!(f, ": {} of {} entries used", row.entries_used, row.entries_total)?;
    }
    let sums = tree.sums();
    write!(f, "; {}: {}", Messages(sums.messages()), States(&sums))?;
    write!(f, "; {} numbers in quarantine", row.quarantined)?;
    for (count, what) in [
        (row.faults, "faults"),
        (row.flushes_late, "flushes late"),
        (row.undo_failures.into(), "undo failures"),
    ] {
        if count > 0 {
            write!(f, ", {count} {what}")?;
        }
    }
    Ok(())
}

fn vectors(tree: &Tree, f: &mut String) -> fmt::Result {
    f.write_str("  vectors:")?;
    for (place, space) in tree.spaces.iter().enumerate() {
        f.write_str(if place == 0 { " " } else { ", " })?;
        match space.cpu {
            Some(cpu) => write!(f, "CPU {cpu} ")?,
            None => f.write_str("all CPUs ")?,
        }
        write!(f, "{} of {} free", space.free, space.total)?;
        if space.quarantined > 0 {
            write!(f, " ({} in quarantine)", space.quarantined)?;
        }
    }
    if tree.spaces.is_empty() { f.write_str(" none") } else { Ok(()) }
}

fn client_line(client: &Client, f: &mut String) -> fmt::Result {
    let row = &client.row;
    write!(f, "  {}", ClientName(row.client))?;
    if let Some(kind) = row.kind {
        write!(f, " {:04x}:{:04x}", kind.vendor, kind.device)?;
    }
    match row.owner.as_str() {
        "" => f.write_str(", driver not known")?,
        owner => write!(f, ", driver {owner}")?,
    }
    write!(f, ": {} of {} messages, source {}", row.held, row.quota, Source(row))?;
    if row.faults > 0 {
        write!(f, ", {} writes stopped", row.faults)?;
    }
    Ok(())
}

fn store_line(store: &Store, f: &mut String) -> fmt::Result {
    let sums = store.sums();
    let count = Messages(sums.messages());
    write!(f, "    {}: {count}: {}", store.kind, States(&sums))?;
    write!(f, "; delivered {}, coalesced {}", sums.delivered, sums.coalesced)?;
    for (count, what) in [
        (sums.dropped, "while blocked"),
        (sums.faults, "stopped by the remapper"),
        (sums.storms, "held back for a storm"),
    ] {
        if count > 0 {
            write!(f, ", {count} {what}")?;
        }
    }
    Ok(())
}

/// Messages that share a line: same state, same port.
struct Group<'a> {
    first: &'a MessageRow,
    messages: Vec<&'a MessageRow>,
}

impl<'a> Group<'a> {
    fn of(messages: Vec<&'a MessageRow>) -> Option<Group<'a>> {
        let first = *messages.first()?;
        Some(Group { first, messages })
    }
}

fn groups(store: &Store) -> Vec<Group<'_>> {
    type Key = (RowState, bool, Option<(u32, u32)>);
    let mut groups: BTreeMap<Key, Vec<&MessageRow>> = BTreeMap::new();
    for row in &store.messages {
        let port = row.binding.map(|binding| (binding.port, binding.process));
        groups.entry((row.state, row.storm, port)).or_default().push(row);
    }
    groups.into_values().filter_map(Group::of).collect()
}

const fn plural(name: &str) -> &str {
    match name.as_bytes() {
        b"slot" => "slots",
        b"entry" => "entries",
        _ => "keys",
    }
}

/// A set of numbers behind its name, if there are any.
fn set(f: &mut String, name: &str, numbers: impl Iterator<Item = u64>) -> fmt::Result {
    let ranges = Ranges::of(numbers);
    match (ranges.is_empty(), ranges.is_single()) {
        (true, _) => Ok(()),
        (_, true) => write!(f, ", {name} {ranges}"),
        _ => write!(f, ", {} {ranges}", plural(name)),
    }
}

fn group_line(group: &Group<'_>, f: &mut String) -> fmt::Result {
    let (first, rows) = (group.first, &group.messages);
    write!(f, "      {} {}", rows.len(), state(first.state))?;
    if first.storm {
        f.write_str(" (storm)")?;
    }
    set(f, "slot", rows.iter().filter_map(|row| row.slot.map(u64::from)))?;
    if rows.iter().any(|row| row.slot.is_none()) {
        f.write_str(", slots not told")?;
    }
    set(f, "entry", rows.iter().filter_map(|row| row.entry.map(u64::from)))?;
    let mut cpus: BTreeMap<u8, usize> = BTreeMap::new();
    rows.iter().filter_map(|row| row.event).for_each(|at| *cpus.entry(at.cpu).or_default() += 1);
    match (rows.as_slice(), first.event) {
        ([_], Some(event)) => write!(f, ", {}", EventName(event))?,
        _ => cpus.iter().try_for_each(|(cpu, count)| write!(f, ", {count} on CPU {cpu}"))?,
    }
    if let Some(binding) = first.binding {
        write!(f, " -> port {} of process {}", binding.port, binding.process)?;
        set(f, "key", rows.iter().filter_map(|row| row.binding.map(|binding| binding.key)))?;
    }
    Ok(())
}

fn message_line(row: &MessageRow, f: &mut String) -> fmt::Result {
    match row.slot {
        Some(slot) => write!(f, "      slot {slot}")?,
        None => f.write_str("      slot not told")?,
    }
    write!(f, ": {}", state(row.state))?;
    for (is_so, word) in [(row.storm, " (storm)"), (row.moving, " (moving)")] {
        f.write_str(if is_so { word } else { "" })?;
    }
    write!(f, ", pair {:#x}/{:#x}", row.address, row.data)?;
    if let Some(entry) = row.entry {
        write!(f, ", entry {entry}")?;
    }
    if let Some(device) = row.device {
        write!(f, " of DeviceID {device:#x}")?;
    }
    if let Some(event) = row.event {
        write!(f, ", {}", EventName(event))?;
    }
    if let Some(binding) = row.binding {
        write!(f, " -> port {} of process {}", binding.port, binding.process)?;
        write!(f, ", key {:#x}", binding.key)?;
    }
    if let Some(counters) = row.counters {
        write!(f, "; delivered {}, coalesced {}", counters.delivered, counters.coalesced)?;
        write!(f, ", blocked {}, last on CPU {}", counters.blocked, counters.last_cpu)?;
    }
    if row.faults > 0 {
        write!(f, ", {} writes stopped", row.faults)?;
    }
    Ok(())
}

/// A number of messages.
struct Messages(u64);

impl fmt::Display for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} message{plural}", self.0)
    }
}

/// How many messages are in which state.
struct States<'a>(&'a Sums);

impl fmt::Display for States<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for each in crate::names::STATES {
            let count = self.0.state(each);
            if count > 0 {
                write!(f, "{between}{count} {}", state(each))?;
                between = ", ";
            }
        }
        if between.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}
