//! The interrupt server: `interrupt-core` on this machine.
#![no_std]
#![no_main]

extern crate alloc;

mod answer;
mod arch;
mod find;
mod kernel;
mod policy;
mod pulse;
mod reply;
mod serve;
mod unit;

use alloc::vec::Vec;

use interrupt_core::vtd::ExtendedMode;
use interrupt_core::{ApicId, Config, Core, NoRemapper, Remapper, Vector, VectorRange, Vectored};
use kernel::Kernel;
use libsys::object::{Endpoint, Port};
use libsys::startup::Environment;
use libsys::{println, startup, sys};
use policy::Policy;
use pulse::Pulse;
use reply::serve;
use serve::Interrupts;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle};
use tocsin_proto::interrupt::RemapperKind;

libsys::entry!(main);

/// Message records: all messages of all clients.
const MESSAGES: u32 = 20_480;
/// Client records.
const CLIENTS: u16 = 1024;
/// Highest APIC id that 8 bits can hold; 255 means everyone.
const LAST_SHORT_ID: u32 = 254;

const EXIT_NOT_GIVEN: u64 = 2;
const EXIT_REFUSED: u64 = 3;

fn main(env: &'static Startup) -> u64 {
    let endpoint = startup::endpoint(env, "receive:interrupt");
    let (Some(endpoint), Some(control)) = (endpoint, env.handle("message-control")) else {
        println!("interrupt: needs the grants `receive:interrupt` and `message-control`");
        return EXIT_NOT_GIVEN;
    };
    match run(env, &endpoint, control) {
        Ok(()) => 0,
        Err(error) => {
            println!("interrupt: can not start: {error}");
            EXIT_REFUSED
        }
    }
}

fn run(env: &Startup, endpoint: &Endpoint, control: Handle) -> Result<(), Error> {
    let space = VectorSpace::read(control)?;
    let port = Port::new()?;
    endpoint.bind(&port)?;
    sys::control_bind(control, port.handle())?;
    let pulse = Pulse::new(&port)?;
    let policy = Policy::new(env);
    let kernel = Kernel::new(control, policy.storm);
    match find::unit(env, space.extended_mode()) {
        Ok(unit) => start(unit, RemapperKind::VtD, &space, kernel, policy, pulse, endpoint),
        Err(why) => {
            let ims = if policy.allow_unisolated {
                "the manifest allows IMS all the same (allow_unisolated)"
            } else {
                "MSI only, IMS is refused"
            };
            println!("interrupt: no remapper: {why}; {ims}");
            let none = NoRemapper::new();
            start(none, RemapperKind::None, &space, kernel, policy, pulse, endpoint)
        }
    }
}

/// The CPUs and the vectors that the kernel leaves to devices.
struct VectorSpace {
    cpus: Vec<ApicId>,
    vectors: VectorRange,
}

impl VectorSpace {
    fn read(control: Handle) -> Result<Self, Error> {
        let [count, first, last, ..] = sys::control_info(control, 0)?.values;
        let mut cpus = Vec::new();
        for cpu in 0..count {
            let [_, _, _, apic, ..] = sys::control_info(control, cpu)?.values;
            cpus.push(ApicId::from_bits(apic as u32));
        }
        let vector = |number: u64| u8::try_from(number).ok().and_then(Vector::new);
        let range = vector(first).zip(vector(last));
        let vectors = range.and_then(|(first, last)| VectorRange::new(first, last));
        Ok(Self { cpus, vectors: vectors.ok_or(Error::BadVector)? })
    }

    /// 32-bit ids only where a CPU needs one: with 8-bit ids every unit works.
    fn extended_mode(&self) -> ExtendedMode {
        if self.cpus.iter().any(|cpu| cpu.bits() > LAST_SHORT_ID) {
            ExtendedMode::Required
        } else {
            ExtendedMode::Off
        }
    }
}

fn start<R: Remapper>(
    remapper: R,
    kind: RemapperKind,
    space: &VectorSpace,
    kernel: Kernel,
    policy: Policy,
    pulse: Pulse,
    endpoint: &Endpoint,
) -> Result<(), Error> {
    let config = Config {
        messages: MESSAGES,
        clients: CLIENTS,
        default_policy: policy.default,
        allow_unisolated: policy.allow_unisolated,
    };
    let refused = |why: &dyn core::fmt::Debug| {
        println!("interrupt: {why:?}");
        Error::NotSupported
    };
    let back_end = Vectored::new(remapper, &space.cpus, space.vectors).map_err(|e| refused(&e))?;
    let core = Core::new(back_end, kernel, &config).map_err(|e| refused(&e))?;
    println!("interrupt: {} vectors on each of {} CPUs", space.vectors.count(), space.cpus.len());
    Err(serve(endpoint.handle(), &mut Interrupts::new(core, kind, policy, pulse)))
}
