//! The inspector: reads the domain trees of the interrupt servers and writes them down, when
//! somebody says that it is time.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

extern crate alloc;

mod read;

use alloc::vec::Vec;
use inspect_core::{line, text};
use libsys::ipc::{Answer, Handles, Request, Service, serve};
use libsys::proto::inspect::{Counted, Error, Request as Asked, Taken};
use libsys::proto::interrupt::RowState;
use libsys::startup::Environment;
use libsys::{Startup, log, println};
use read::{Seen, Source};

#[allow(unsafe_code, reason = "`entry!` exports the program's symbols")]
mod program {
    libsys::entry!(super::main);
}

const EXIT_NOT_GIVEN: u64 = 2;
const EXIT_GONE: u64 = 3;

/// How it writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Text for people: a line for many messages.
    Text,
    /// The argument `rows`: a line for each row, for a tool.
    Rows,
}

struct Inspector {
    sources: Vec<Source>,
    form: Form,
    seen: Vec<Seen>,
}

fn main(env: &'static Startup) -> u64 {
    let sources = Source::all(env);
    let Some(listening) = env.handle("receive:inspect").filter(|_| !sources.is_empty()) else {
        log!("needs the grants `receive:inspect` and `inspect:<interrupt server>`");
        return EXIT_NOT_GIVEN;
    };
    let form = if env.has_arg("rows") { Form::Rows } else { Form::Text };
    let why = serve(listening, &mut Inspector { sources, form, seen: Vec::new() });
    log!("can not listen any more: {why}");
    EXIT_GONE
}

impl Service for Inspector {
    fn call(&mut self, request: Request, words: &[u64], _handles: &mut Handles) -> Answer {
        match Asked::decode(request.label, words, request.handles) {
            Ok(Asked::Snapshot(_)) => Answer::from_result(self.snapshot()),
            Ok(Asked::Count(ask)) if self.seen.is_empty() => {
                let _ = ask;
                Answer::refused(Error::NoSnapshot)
            }
            Ok(Asked::Count(ask)) => Answer::ok(&self.count(ask.client, ask.kind as u8)),
            Err(error) => Answer::refused(Error::from(error)),
        }
    }
}

impl Inspector {
    /// Reads all first and writes afterwards: writing takes long, and what is read should be
    /// of one moment.
    fn snapshot(&mut self) -> Result<Taken, Error> {
        self.seen.clear();
        for source in &self.sources {
            match source.read() {
                Ok(seen) => self.seen.push(seen),
                Err(why) => {
                    self.seen.clear();
                    self.complain(source.name, &why);
                    return Err(why.error());
                }
            }
        }
        self.seen.iter().for_each(|seen| self.write(seen));
        Ok(Taken {
            servers: self.seen.len() as u32,
            messages: self.seen.iter().map(|seen| seen.tree.sums().messages()).sum(),
            is_steady: self.seen.iter().all(|seen| seen.is_steady),
        })
    }

    fn write(&self, seen: &Seen) {
        match self.form {
            Form::Rows => {
                write_line(|f| line::begin(seen.name, f));
                let mut count = 0;
                for row in seen.tree.rows() {
                    write_line(|f| line::row(&row, f));
                    count += 1;
                }
                write_line(|f| line::end(count, seen.is_steady, f));
            }
            Form::Text => {
                let name = seen.name;
                let moment = match seen.is_steady {
                    true => "at one moment",
                    false => "while something changed",
                };
                println!("inspect: what server `{name}` has given out, {moment}:");
                text::print(&seen.tree, text::Expand::Nothing, |line| println!("{line}"));
            }
        }
    }

    fn complain(&self, name: &str, why: &read::Failure) {
        match self.form {
            Form::Rows => {
                write_line(|f| line::error(&alloc::format!("server {name}: {why}"), f));
            }
            Form::Text => log!("server {name}: {why}"),
        }
    }

    /// What the first server that knows of such messages says. One whose remapper is another
    /// server holds them at that one as well, for the same device.
    fn count(&self, client: u32, kind: u8) -> Counted {
        let stores = self.seen.iter().flat_map(|seen| &seen.tree.clients);
        let stores = stores.filter(|it| it.row.client == client).flat_map(|it| &it.stores);
        let sums = stores.filter(|store| store.kind as u8 == kind).map(|store| store.sums()).next();
        sums.map_or(Counted::default(), |sums| Counted {
            messages: sums.messages(),
            active: sums.state(RowState::Active),
            bound: sums.bound,
            delivered: sums.delivered,
            coalesced: sums.coalesced,
        })
    }
}

/// A line that is written into a string first, so that it travels in as few pieces as it can.
fn write_line(write: impl FnOnce(&mut alloc::string::String) -> core::fmt::Result) {
    let mut line = alloc::string::String::with_capacity(512);
    // Writing into a string can not fail.
    let _ = write(&mut line);
    println!("{line}");
}
