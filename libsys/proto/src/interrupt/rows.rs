//! Rows of the domain tree, as `Describe` answers them.
//!
//! A row's first word has its kind in bits 0 to 7 and its length in words in bits 8 to 15;
//! the kind decides the rest, the length is there so that nothing can be read apart in two
//! ways. What a row does not have is zero: each row has one form only, and
//! [`Row::get`] refuses every other.
//!
//! To add a kind of row: a struct with `put` and `get`, its number in [`Row`], and its place
//! in the tests. Numbers are never reused.

mod client;
mod message;
mod server;
#[cfg(test)]
mod tests;
mod wire;

pub use client::{Arrives, ClientRow, DeviceKind};
pub use message::{Binding, Counters, Event, MessageRow, RowState};
pub use server::{ServerRow, SpaceRow};
pub use wire::{LineState, OwnerState, WireOwner, WireRow};

use crate::wire::{Bits, Reader, no_handles};
use crate::{DecodeError, Reply, Words};
use tocsin_abi::limits::IPC_WORDS;

/// How far a reader of the tree has come. Only [`Cursor::START`] and what came with a
/// [`Description`] mean anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor(pub u64);

impl Cursor {
    /// Before the first row.
    pub const START: Cursor = Cursor(0);
}

/// One node of the domain tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Row {
    /// The server: its remapper, and what it counts.
    Server(ServerRow),
    /// Vectors that are counted together.
    Space(SpaceRow),
    /// Who holds messages.
    Client(ClientRow),
    /// A message.
    Message(MessageRow),
    /// A line that somebody has, or had.
    Wire(WireRow),
}

const SERVER: u8 = 1;
const SPACE: u8 = 2;
const CLIENT: u8 = 3;
const MESSAGE: u8 = 4;
const WIRE: u8 = 5;

/// The longest row.
const ROW_WORDS: usize = WireRow::WORDS;

impl Row {
    /// Appends the words.
    pub(crate) fn put(&self, words: &mut Words) {
        match self {
            Row::Server(row) => row.put(header(SERVER, ServerRow::WORDS), words),
            Row::Space(row) => row.put(header(SPACE, SpaceRow::WORDS), words),
            Row::Client(row) => row.put(header(CLIENT, ClientRow::WORDS), words),
            Row::Message(row) => row.put(header(MESSAGE, MessageRow::WORDS), words),
            Row::Wire(row) => row.put(header(WIRE, WireRow::WORDS), words),
        }
    }

    /// How many words it has.
    #[must_use]
    pub const fn words(&self) -> usize {
        match self {
            Row::Server(_) => ServerRow::WORDS,
            Row::Space(_) => SpaceRow::WORDS,
            Row::Client(_) => ClientRow::WORDS,
            Row::Message(_) => MessageRow::WORDS,
            Row::Wire(_) => WireRow::WORDS,
        }
    }

    pub(crate) fn get(reader: &mut Reader<'_>) -> Result<Row, DecodeError> {
        let start = reader.rest();
        let mut bits = reader.bits()?;
        let row = match (bits.byte(), usize::from(bits.byte())) {
            (SERVER, ServerRow::WORDS) => Row::Server(ServerRow::get(bits, reader)?),
            (SPACE, SpaceRow::WORDS) => Row::Space(SpaceRow::get(bits, reader)?),
            (CLIENT, ClientRow::WORDS) => Row::Client(ClientRow::get(bits, reader)?),
            (MESSAGE, MessageRow::WORDS) => Row::Message(MessageRow::get(bits, reader)?),
            (WIRE, WireRow::WORDS) => Row::Wire(WireRow::get(bits, reader)?),
            _ => return Err(DecodeError::BadValue),
        };
        // Whatever a field's reader let pass: a row has one form.
        let mut again = Words::new();
        row.put(&mut again);
        if start.get(..again.len()) == Some(&again[..]) {
            Ok(row)
        } else {
            Err(DecodeError::BadValue)
        }
    }
}

const fn header(kind: u8, words: usize) -> u64 {
    kind as u64 | (words as u64) << 8
}

/// Two numbers of 32 bits as a word.
const fn both(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

/// A word as two numbers of 32 bits.
fn halves(reader: &mut Reader<'_>) -> Result<(u32, u32), DecodeError> {
    let mut bits: Bits = reader.bits()?;
    Ok((bits.long(), bits.long()))
}

/// Reply to `Describe`: rows, and where the next ones are. There may be no rows although
/// there are more: the server looks at so many places in one call and no further.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Description {
    /// What to ask for next; `None` after the last row.
    pub next: Option<Cursor>,
    rows: heapless::Vec<Row, { Description::ROWS }>,
}

impl Description {
    /// Rows of one reply at most.
    const ROWS: usize = 8;

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether any row fits in addition.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let used: usize = self.rows.iter().map(Row::words).sum();
        !self.rows.is_full() && 1 + used + ROW_WORDS <= IPC_WORDS
    }

    /// Adds a row, and says whether there was room for it.
    pub fn push(&mut self, row: Row) -> bool {
        self.has_room() && self.rows.push(row).is_ok()
    }
}

impl Reply for Description {
    fn put(&self, words: &mut Words) {
        // No walk goes on at its start.
        words.put(self.next.map_or(0, |cursor| cursor.0));
        self.rows.iter().for_each(|row| row.put(words));
    }

    fn get(reader: &mut Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        no_handles(handles)?;
        let next = Some(Cursor(reader.word()?)).filter(|cursor| *cursor != Cursor::START);
        let mut description = Description { next, ..Description::default() };
        while reader.left() != 0 {
            let row = Row::get(reader)?;
            description.rows.push(row).map_err(|_| DecodeError::WrongLength)?;
        }
        Ok(description)
    }
}
