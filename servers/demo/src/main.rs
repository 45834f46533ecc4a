//! The demonstration's clerk: takes the drivers' reports, prints the table, judges.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use demo_core::Collector;
use demo_core::roster::Arguments;
use demo_core::standing::Seen;
use init_control::{NotStarted, SYSTEM_BADGE};
use libsys::ipc::{Event, Request, Server, ask};
use libsys::object::{Port, Timer, now_ns};
use libsys::proto::report::Held;
use libsys::proto::{Frame, Nothing, Reply, inspect, report};
use libsys::startup::{Environment, endpoint};
use libsys::{Error, Handle, Startup, log, println};

#[allow(unsafe_code, reason = "`entry!` exports the program's symbols")]
mod program {
    libsys::entry!(super::main);
}

const NANOSECONDS: u64 = 1_000_000_000;
const GOOD: u64 = 0;
const BAD: u64 = 1;

fn main(env: &'static Startup) -> u64 {
    let arguments = match Arguments::parse(env.args()) {
        Ok(arguments) => arguments,
        Err(word) => {
            log!("argument '{word}' makes no sense");
            return BAD;
        }
    };
    let mut collector = Collector::new(arguments.drivers);
    if let Err(error) = collect(env, arguments.timeout_s, &mut collector) {
        collector.object(format!("the clerk can not listen: {error}"));
    }
    if let Some(inspector) = env.handle("inspect").filter(|_| !collector.has_seen())
        && let Err(why) = look(inspector)
    {
        collector.object(format!("the inspector saw nothing: {why}"));
    }
    let good = collector.finish(|line| println!("{line}"));
    libsys::print::flush();
    if good { GOOD } else { BAD }
}

/// Listens until every driver is done, or time is up.
fn collect(env: &Startup, timeout_s: u64, collector: &mut Collector) -> Result<(), Error> {
    let listening = env.handle("receive:report").ok_or(Error::BadHandle)?;
    let port = Port::new()?;
    endpoint(env, "receive:report").ok_or(Error::BadHandle)?.bind(&port)?;
    let timer = Timer::new(&port, 0)?;
    timer.set(now_ns().saturating_add(timeout_s.saturating_mul(NANOSECONDS)))?;

    let inspector = env.handle("inspect");
    let mut server = Server::new(listening);
    let mut event = server.receive()?;
    loop {
        // The port has one source, the timer.
        let Event::Call(call) = event else {
            collector.object(format!("time is up after {timeout_s} s"));
            return Ok(());
        };
        let (frame, has_looked) = answer(&server, call, collector, inspector, &timer);
        if has_looked {
            // Writing down what was seen takes as long as there are messages.
            timer.set(now_ns().saturating_add(timeout_s.saturating_mul(NANOSECONDS)))?;
        }
        if collector.missing().is_empty() {
            // A driver that died of its own last word must not spoil a run that is over.
            let _ = server.reply(&frame, &[]);
            return Ok(());
        }
        event = server.reply_receive(&frame, &[])?;
    }
}

/// The reply to a call, and whether everything was looked at meanwhile.
fn answer(
    server: &Server,
    call: Request,
    collector: &mut Collector,
    inspector: Option<Handle>,
    timer: &Timer,
) -> (Frame, bool) {
    if call.badge == SYSTEM_BADGE
        && call.label == NotStarted::LABEL
        && let Some(request) = NotStarted::decode(server.words())
    {
        collector.absent(request.name());
        return (Nothing.frame(), false);
    }
    let request = report::Request::decode(call.label, server.words(), call.handles);
    let result = match request {
        Ok(report::Request::Hold(hold)) => {
            let mut has_looked = false;
            let held = match inspector {
                // Nobody looks, so nobody need stand still.
                None => Held::GoOn,
                Some(inspector) => collector.hold(call.badge, hold, || {
                    has_looked = true;
                    // Nobody is late because of it: the time starts anew afterwards.
                    timer.cancel().map_err(|error| format!("{error}"))?;
                    look(inspector)
                }),
            };
            return (held.frame(), has_looked);
        }
        Ok(request) => collector.take(call.badge, request, |text| println!("{text}")),
        Err(error) => {
            collector.object(format!("badge {:#x} sent no report: {error:?}", call.badge));
            Err(report::Error::Malformed)
        }
    };
    let frame = match result {
        Ok(()) => Nothing.frame(),
        Err(error) => Frame::refusal(error),
    };
    (frame, false)
}

/// Has the inspector read and write down everything, and gives what it saw of one store.
fn look(inspector: Handle) -> Result<Seen, String> {
    let taken = ask(inspector, &inspect::Snapshot).map_err(|error| format!("{error}"))?;
    if !taken.is_steady {
        return Err("something changed while all drivers stood still".into());
    }
    Ok(Box::new(move |standing| {
        let (client, kind) = (standing.requester.into(), standing.kind);
        ask(inspector, &inspect::Count { client, kind }).map_err(|error| format!("{error}"))
    }))
}
