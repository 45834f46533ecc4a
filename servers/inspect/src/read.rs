//! Reading an interrupt server's rows, until they are of one moment.

use alloc::vec::Vec;
use core::fmt;
use inspect_core::{Problem, Tree};
use libsys::ipc::{AskError, ask};
use libsys::object::{Port, now_ns};
use libsys::proto::inspect;
use libsys::proto::interrupt::{Cursor, Describe, Error, Row, ServerRow};
use libsys::{Handle, Startup};

/// Walks through the rows before what changed meanwhile is shown as it is.
const ATTEMPTS: u32 = 10;
/// How long to wait between two of them: numbers in quarantine come back meanwhile.
const PAUSE_NS: u64 = 5_000_000;
/// What grants of interrupt servers start with on the startup page.
const GRANT: &str = "inspect:";

/// An interrupt server that the inspector may ask.
#[derive(Clone, Copy)]
pub struct Source {
    /// Name of its endpoint.
    pub name: &'static str,
    endpoint: Handle,
}

/// What was read of one.
pub struct Seen {
    /// Name of its endpoint.
    pub name: &'static str,
    /// Its rows, in order.
    pub tree: Tree,
    /// Nothing changed while they were read.
    pub is_steady: bool,
}

/// Why nothing was read.
pub enum Failure {
    /// The server did not answer.
    Ask(AskError<Error>),
    /// Its rows are no tree.
    Rows(Problem),
}

impl Failure {
    /// For who wanted to know.
    pub const fn error(&self) -> inspect::Error {
        match self {
            Failure::Ask(_) => inspect::Error::Unreachable,
            Failure::Rows(_) => inspect::Error::Contradiction,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Ask(error) => error.fmt(f),
            Failure::Rows(problem) => problem.fmt(f),
        }
    }
}

impl Source {
    /// Every server that the startup page has a grant for.
    pub fn all(env: &'static Startup) -> Vec<Source> {
        let of = |entry: &'static libsys::abi::startup::Entry| {
            let name = entry.name().strip_prefix(GRANT)?;
            Some(Source { name, endpoint: entry.handle })
        };
        env.entries().iter().filter_map(of).collect()
    }

    /// Reads all its rows: again and again until nothing changes meanwhile, but not for ever.
    pub fn read(&self) -> Result<Seen, Failure> {
        // Never ready: this only waits.
        let bed = Port::new().ok();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let before = self.changes()?;
            let rows = self.walk()?;
            let is_steady = self.changes()? == before;
            let tree = Tree::build(&rows);
            // Rows of different moments may contradict each other.
            match (is_steady, tree) {
                (true, tree) => {
                    let tree = tree.map_err(Failure::Rows)?;
                    return Ok(Seen { name: self.name, tree, is_steady });
                }
                (false, Ok(tree)) if attempt >= ATTEMPTS => {
                    return Ok(Seen { name: self.name, tree, is_steady });
                }
                (false, Err(problem)) if attempt >= ATTEMPTS => return Err(Failure::Rows(problem)),
                (false, _) => {}
            }
            if let Some(bed) = &bed {
                let _ = bed.wait_until(now_ns().saturating_add(PAUSE_NS));
            }
        }
    }

    fn walk(&self) -> Result<Vec<Row>, Failure> {
        let (mut rows, mut next) = (Vec::new(), Some(Cursor::START));
        while let Some(cursor) = next {
            let reply = ask(self.endpoint, &Describe { cursor }).map_err(Failure::Ask)?;
            if let Some(Row::Server(server)) = reply.rows().first() {
                // A few more than messages: clients and vectors.
                rows.reserve_exact(server.messages_used as usize + 64);
            }
            rows.extend_from_slice(reply.rows());
            next = reply.next;
        }
        Ok(rows)
    }

    /// The server's count of what may have changed something.
    fn changes(&self) -> Result<u64, Failure> {
        let reply = ask(self.endpoint, &Describe { cursor: Cursor::START });
        match reply.map_err(Failure::Ask)?.rows().first() {
            Some(Row::Server(ServerRow { changes, .. })) => Ok(*changes),
            _ => Err(Failure::Rows(Problem::NoServer)),
        }
    }
}
