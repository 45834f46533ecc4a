//! Rows put in order, and refused unless they are whole.
//!
//! An inspector that shows less than there is, or counts something twice, is worse than none:
//! everything that the rows say twice is compared.

mod problem;
#[cfg(test)]
mod tests;
mod wires;

pub use problem::Problem;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use tocsin_proto::StoreKind;
use tocsin_proto::interrupt::{
    ClientRow, MessageRow, RemapperKind, Row, ServerRow, SpaceRow, WireRow,
};

use crate::sums::Sums;

/// The messages of one client in stores of one kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Store {
    /// What kind of store.
    pub kind: StoreKind,
    /// Its messages, by slot; those whose slot nobody has told behind them, by id.
    pub messages: Vec<MessageRow>,
}

/// A client and what it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Client {
    /// What is known of it.
    pub row: ClientRow,
    /// Its stores, in the order of their kinds.
    pub stores: Vec<Store>,
}

/// An interrupt server and everything below it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tree {
    /// The server.
    pub server: ServerRow,
    /// Its vectors, in the order of their CPUs.
    pub spaces: Vec<SpaceRow>,
    /// Its clients, in the order of their numbers.
    pub clients: Vec<Client>,
    /// Lines, by number, with a row for each owner.
    pub wires: Vec<WireRow>,
}

impl Store {
    /// What its messages add up to.
    #[must_use]
    pub fn sums(&self) -> Sums {
        Sums::of(&self.messages)
    }
}

impl Client {
    /// What its messages add up to.
    #[must_use]
    pub fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        self.stores.iter().for_each(|store| sums += store.sums());
        sums
    }
}

impl Tree {
    /// The tree of these rows.
    ///
    /// # Errors
    /// What contradicts itself, or is missing.
    pub fn build(rows: &[Row]) -> Result<Tree, Problem> {
        let mut server = None;
        let (mut spaces, mut wires) = (Vec::new(), Vec::new());
        let mut clients: BTreeMap<u32, ClientRow> = BTreeMap::new();
        let mut stores: BTreeMap<(u32, u8), Vec<MessageRow>> = BTreeMap::new();
        for row in rows {
            match *row {
                Row::Server(row) if server.is_none() => server = Some(row),
                Row::Server(_) => return Err(Problem::SecondServer),
                Row::Space(row) => spaces.push(row),
                Row::Wire(row) => wires.push(row),
                Row::Client(row) => {
                    if clients.insert(row.client, row).is_some() {
                        return Err(Problem::SecondClient(row.client));
                    }
                }
                Row::Message(row) => {
                    stores.entry((row.owner, row.kind as u8)).or_default().push(row);
                }
            }
        }
        let server = server.ok_or(Problem::NoServer)?;
        wires.sort_unstable_by_key(|row: &WireRow| (row.line.0, row.id.0));
        spaces.sort_by_key(|space: &SpaceRow| space.cpu);
        let mut clients: Vec<Client> =
            clients.into_values().map(|row| Client { row, stores: Vec::new() }).collect();
        for ((owner, _), mut messages) in stores {
            let place = clients.binary_search_by_key(&owner, |client| client.row.client);
            let place = place.map_err(|_| Problem::NobodysMessage { owner })?;
            messages.sort_unstable_by_key(|row| (row.slot.is_none(), row.slot, row.id.0));
            // No store is made without a message.
            let Some(first) = messages.first() else { continue };
            clients[place].stores.push(Store { kind: first.kind, messages });
        }
        let tree = Tree { server, spaces, clients, wires };
        tree.check()?;
        Ok(tree)
    }

    /// Its rows again, each client's before its messages', lines last.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        let clients = self.clients.iter().flat_map(|client| {
            let messages = client.stores.iter().flat_map(|store| &store.messages);
            core::iter::once(Row::Client(client.row)).chain(messages.copied().map(Row::Message))
        });
        let spaces = self.spaces.iter().copied().map(Row::Space);
        let wires = self.wires.iter().copied().map(Row::Wire);
        core::iter::once(Row::Server(self.server)).chain(spaces).chain(clients).chain(wires)
    }

    /// All messages.
    pub fn messages(&self) -> impl Iterator<Item = &MessageRow> {
        self.clients.iter().flat_map(|client| &client.stores).flat_map(|store| &store.messages)
    }

    /// What all messages add up to.
    #[must_use]
    pub fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        self.clients.iter().for_each(|client| sums += client.sums());
        sums
    }

    /// Whether each CPU has vectors of its own; otherwise numbers are the whole machine's.
    #[must_use]
    pub fn has_cpu_spaces(&self) -> bool {
        self.spaces.iter().any(|space| space.cpu.is_some())
    }

    /// Compares what the rows say twice.
    fn check(&self) -> Result<(), Problem> {
        let counted = self.sums().messages();
        if u64::from(self.server.messages_used) != counted {
            return Err(Problem::Messages { said: self.server.messages_used, counted });
        }
        for client in &self.clients {
            let (said, counted) = (client.row.held, client.sums().messages());
            if u64::from(said) != counted {
                return Err(Problem::Held { client: client.row.client, said, counted });
            }
        }
        self.check_numbers()?;
        self.check_vectors()?;
        self.check_wires()
    }

    /// No two messages have the same id, entry or event.
    fn check_numbers(&self) -> Result<(), Problem> {
        let (mut ids, mut entries, mut events) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        // A table for each device, or one for all.
        let is_amdvi = self.server.remapper == RemapperKind::AmdVi;
        for row in self.messages() {
            if !ids.insert(row.id.0) {
                return Err(Problem::SecondMessage(row.id));
            }
            if let Some(entry) = row.entry
                && !is_amdvi
                && !entries.insert((row.device, entry))
            {
                return Err(Problem::SharedEntry { id: row.id, entry });
            }
            if let Some(event) = row.event {
                let cpu = if self.has_cpu_spaces() { event.cpu } else { 0 };
                if !events.insert((cpu, event.vector)) {
                    return Err(Problem::SharedEvent { id: row.id, event });
                }
            }
        }
        Ok(())
    }

    /// No CPU has more messages than vectors are taken. It may have fewer: the server's own
    /// messages have no rows.
    fn check_vectors(&self) -> Result<(), Problem> {
        for space in self.spaces.iter().filter(|space| space.cpu.is_some()) {
            let taken = space.total - space.free - space.quarantined;
            let events = self.messages().filter_map(|row| row.event);
            let counted = events.filter(|event| Some(event.cpu) == space.cpu).count();
            if counted > taken as usize {
                return Err(Problem::Vectors { cpu: space.cpu.unwrap_or(0), taken, counted });
            }
        }
        Ok(())
    }
}
