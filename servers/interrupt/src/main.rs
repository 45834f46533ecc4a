//! The interrupt server: `interrupt-core` on this machine.
#![no_std]
#![no_main]

extern crate alloc;

mod answer;
mod arch;
mod faults;
mod find;
mod inspect;
mod kernel;
mod late;
mod machine;
mod memory;
mod parent;
mod policy;
mod pulse;
mod reply;
mod serve;
mod subsystem;
mod wires;

use find::Found;
use interrupt_core::gicd::GicLines;
use interrupt_core::ioapic::EntryForm;
use interrupt_core::{BackEnd, Config, Core, Events, NoRemapper, Remapper, Unequipped, Vectored};
use kernel::Kernel;
use libsys::object::{Endpoint, Port};
use libsys::startup::Environment;
use libsys::{println, startup, sys};
use machine::Machine;
use parent::Upstream;
use policy::Policy;
use pulse::Pulse;
use reply::serve;
use serve::Interrupts;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle};
use tocsin_proto::interrupt::RemapperKind;
use wires::Lines;

libsys::entry!(main);

/// Message records: all messages of all clients. More LPIs than these are of no use.
const MESSAGES: u32 = 20_480;
/// Client records.
const CLIENTS: u16 = 1024;
/// The same of a child.
const CHILD_CLIENTS: u16 = 64;

const EXIT_NOT_GIVEN: u64 = 2;
const EXIT_REFUSED: u64 = 3;

fn main(env: &'static Startup) -> u64 {
    let receive = env.entries().iter().find(|entry| entry.name().starts_with("receive:"));
    let endpoint = receive.and_then(|entry| startup::endpoint(env, entry.name()));
    let (parent, control) = (env.handle("parent"), env.handle("message-control"));
    let done = match (endpoint, parent, control) {
        (Some(endpoint), Some(parent), _) => run_child(env, &endpoint, parent),
        (Some(endpoint), None, Some(control)) => run(env, &endpoint, control),
        _ => {
            println!(
                "interrupt: needs a grant `receive:<name>`, and `message-control` or `parent:<name>`"
            );
            return EXIT_NOT_GIVEN;
        }
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            println!("interrupt: can not start: {error}");
            EXIT_REFUSED
        }
    }
}

fn run(env: &Startup, endpoint: &Endpoint, control: Handle) -> Result<(), Error> {
    let machine = Machine::read(control)?;
    let port = Port::new()?;
    endpoint.bind(&port)?;
    sys::control_bind(control, port.handle())?;
    let pulse = Pulse::new(&port)?;
    let policy = Policy::new(env);
    let found = find::remapper(env, &machine, MESSAGES, policy.allow_unisolated);
    let lines = if machine.shares_events {
        Lines::Gic(GicLines::new(find::spis(env, &machine)))
    } else {
        let form = match &found {
            Ok(Found::Vtd(_)) => EntryForm::VtD,
            Ok(Found::AmdVi(_)) => EntryForm::AmdVi,
            _ => EntryForm::Compatibility,
        };
        // Whether anybody wants a line or not: what firmware left open would raise somebody
        // else's vectors.
        Lines::IoApics(find::io_apics(env, form))
    };
    let kernel = Kernel::new(control, port.handle(), policy.storm);
    let service = Service { kernel, policy, pulse, lines, endpoint, port: &port };
    match found {
        Ok(Found::Vtd(unit)) => service.run_vectored(unit, RemapperKind::VtD, &machine),
        Ok(Found::AmdVi(unit)) => service.run_vectored(unit, RemapperKind::AmdVi, &machine),
        Ok(Found::Its(unit)) => {
            let back_end = Events::new(unit, machine.cpus()).ok_or(Error::NoMemory)?;
            service.run(back_end, RemapperKind::Its)
        }
        Ok(Found::DirectLpi(unit)) => service.run(unit, RemapperKind::DirectLpi),
        Ok(Found::Mbi(unit)) => service.run(unit, RemapperKind::Mbi),
        Err(why) => service.run_without(&why, &machine),
    }
}

/// As a child of another interrupt server: with no authority over the machine.
fn run_child(env: &Startup, endpoint: &Endpoint, parent: Handle) -> Result<(), Error> {
    // `init` signals the port that it gave when something has ended above.
    let port = match env.handle("port") {
        Some(given) => Port::own(given),
        None => Port::new()?,
    };
    endpoint.bind(&port)?;
    let upstream = Upstream::new(parent);
    let info = upstream.info().map_err(|refusal| refused(&refusal))?;
    let back_end = upstream.back_end(&info).ok_or(Error::NoMemory)?;
    let kernel = Kernel::of_child(back_end.handles(), port.handle());
    let isolated = if info.isolated { "isolated" } else { "not isolated" };
    println!(
        "interrupt: below another interrupt server: {} messages at most, {isolated}",
        info.entries.total
    );
    let config = Config {
        messages: parent::records(&info).min(MESSAGES),
        clients: CHILD_CLIENTS,
        default_policy: Policy::of_child(info.entries.total).default,
        // The parent says what may be had.
        allow_unisolated: true,
    };
    let core = Core::new(back_end, kernel, &config).map_err(|error| refused(&error))?;
    let policy = Policy::of_child(info.entries.total);
    let (pulse, kind) = (Pulse::new(&port)?, RemapperKind::Parent);
    let own = endpoint.handle();
    let mut interrupts = Interrupts::new(core, Lines::None, kind, policy, pulse, own);
    interrupts.upstream = Some(upstream);
    Err(serve(own, &mut interrupts))
}

/// All that the server needs beside a back end.
struct Service<'a> {
    kernel: Kernel,
    policy: Policy,
    pulse: Pulse,
    lines: Lines,
    endpoint: &'a Endpoint,
    port: &'a Port,
}

impl Service<'_> {
    /// Without a remapper, and one line that says why and what follows.
    fn run_without(self, why: &str, machine: &Machine) -> Result<(), Error> {
        if machine.shares_events {
            println!("interrupt: no remapper: {why}; MSI and IMS are refused");
            return self.run(Unequipped::new(machine.cpus()), RemapperKind::None);
        }
        let ims = if self.policy.allow_unisolated {
            "the manifest allows IMS all the same (allow_unisolated)"
        } else {
            "MSI only, IMS is refused"
        };
        println!("interrupt: no remapper: {why}; {ims}");
        self.run_vectored(NoRemapper::new(), RemapperKind::None, machine)
    }

    /// Where each CPU has vectors of its own.
    fn run_vectored<R: Remapper>(
        self,
        remapper: R,
        kind: RemapperKind,
        machine: &Machine,
    ) -> Result<(), Error> {
        let vectors = machine.vectors().ok_or(Error::BadVector)?;
        let back_end = Vectored::new(remapper, &machine.apics(), vectors);
        let back_end = back_end.map_err(|error| refused(&error))?;
        println!("interrupt: {} vectors on each of {} CPUs", vectors.count(), machine.cpus());
        self.run(back_end, kind)
    }

    fn run<B: BackEnd>(self, back_end: B, kind: RemapperKind) -> Result<(), Error> {
        let config = Config {
            messages: MESSAGES,
            clients: CLIENTS,
            default_policy: self.policy.default,
            allow_unisolated: self.policy.allow_unisolated,
        };
        let core = Core::new(back_end, self.kernel, &config).map_err(|error| refused(&error))?;
        let provoke = self.policy.provoke_fault;
        let own = self.endpoint.handle();
        let mut interrupts = Interrupts::new(core, self.lines, kind, self.policy, self.pulse, own);
        interrupts.hear_of_faults(self.port, provoke);
        Err(serve(self.endpoint.handle(), &mut interrupts))
    }
}

fn refused(why: &dyn core::fmt::Debug) -> Error {
    println!("interrupt: {why:?}");
    Error::NotSupported
}
