//! Why rows are no tree.

use core::fmt;
use tocsin_proto::interrupt::{Event, MessageId};

use crate::names::{ClientName, EventName};

/// What contradicts itself, or is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// No row for the server.
    NoServer,
    /// Two rows for it.
    SecondServer,
    /// Two rows for one client.
    SecondClient(u32),
    /// Two rows for one message.
    SecondMessage(MessageId),
    /// A message whose client has no row.
    NobodysMessage {
        /// The client.
        owner: u32,
    },
    /// The server has another number of messages than rows came.
    Messages {
        /// What it says.
        said: u32,
        /// The rows.
        counted: u64,
    },
    /// A client holds another number of messages than it has rows.
    Held {
        /// The client.
        client: u32,
        /// What its row says.
        said: u32,
        /// Its messages' rows.
        counted: u64,
    },
    /// Two messages have one remapper entry.
    SharedEntry {
        /// The second.
        id: MessageId,
        /// The entry.
        entry: u32,
    },
    /// Two messages have one CPU event.
    SharedEvent {
        /// The second.
        id: MessageId,
        /// The event.
        event: Event,
    },
    /// A CPU has more messages than vectors that are taken.
    Vectors {
        /// The CPU.
        cpu: u8,
        /// Vectors taken.
        taken: u32,
        /// Messages.
        counted: usize,
    },
    /// The server has another number of wires than rows came.
    Wires {
        /// What it says.
        said: u32,
        /// The rows.
        counted: usize,
    },
    /// Two rows for one wire.
    SecondWire(MessageId),
    /// A line's message has no row, or one that says something else.
    WireMessage {
        /// The line.
        line: u32,
        /// Its message.
        id: MessageId,
    },
    /// The rows of this line's owners contradict each other.
    Line(u32),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NoServer => f.write_str("there is no row for the server"),
            Problem::SecondServer => f.write_str("there are two rows for the server"),
            Problem::SecondClient(client) => {
                write!(f, "there are two rows for client {}", ClientName(*client))
            }
            Problem::SecondMessage(id) => write!(f, "there are two rows for message {:#x}", id.0),
            Problem::NobodysMessage { owner } => {
                write!(f, "client {} has messages and no row", ClientName(*owner))
            }
            Problem::Messages { said, counted } => {
                write!(f, "the server has {said} messages, and {counted} rows came")
            }
            Problem::Held { client, said, counted } => {
                let client = ClientName(*client);
                write!(f, "client {client} holds {said} messages, and {counted} rows came")
            }
            Problem::SharedEntry { id, entry } => {
                write!(f, "message {:#x} has entry {entry}, which another one has too", id.0)
            }
            Problem::SharedEvent { id, event } => {
                let event = EventName(*event);
                write!(f, "message {:#x} has {event}, which another one has too", id.0)
            }
            Problem::Wires { said, counted } => {
                write!(f, "the server has {said} wires, and {counted} rows came")
            }
            Problem::SecondWire(id) => write!(f, "there are two rows for wire {:#x}", id.0),
            Problem::WireMessage { line, id } => {
                write!(f, "line {line} is message {:#x}, whose row does not say so", id.0)
            }
            Problem::Line(line) => write!(f, "the owners of line {line} contradict each other"),
            Problem::Vectors { cpu, taken, counted } => {
                write!(f, "{counted} messages are on CPU {cpu}, where {taken} vectors are taken")
            }
        }
    }
}

impl core::error::Error for Problem {}
