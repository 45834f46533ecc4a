//! What the controller is made to do, and what must come of it.
//!
//! Each interrupter has a slot of the MSI capability. The controller makes their pairs from the
//! first one's, so their messages are one block; it has no mask bits, so the remapper is each
//! slot's mask.

use alloc::vec::Vec;

use demo_core::{Arrival, Ledger, Raised, Rig, drill};
use demo_driver::{
    Expected, Reporter, RigError, Stop, activate, close_books, hear, move_to, silence_pin, standing,
};
use libsys::interrupt::{Activated, Interrupt, Interrupts};
use libsys::object::Port;
use libsys::pci::Device as PciDevice;
use libsys::proto::pci::Enables;
use libsys::proto::report::Done;
use libsys::startup::Environment;
use libsys::store::Store;
use libsys::{Error, Startup};

use crate::controller::Controller;
use crate::error::DeviceError;
use crate::refusal;

/// How often each slot is fired alone on each of its CPUs.
const ROUNDS: u64 = 2;

/// The controller and its port; an interrupter's number is its key.
struct XhciRig<'a> {
    controller: &'a Controller,
    port: &'a Port,
}

impl Rig for XhciRig<'_> {
    type Error = RigError<DeviceError>;

    fn fire(&mut self, key: u64) -> Result<Raised, Self::Error> {
        self.controller.raise(key as u16);
        self.controller.check().map_err(RigError::Device)?;
        Ok(Raised::Written)
    }

    fn next(&mut self, patience_ns: u64) -> Result<Option<Arrival>, Self::Error> {
        hear(self.port, patience_ns).map_err(RigError::Port)
    }
}

/// Runs the demonstration.
pub fn run(env: &Startup, reporter: &Reporter) -> Result<Done, Stop<DeviceError>> {
    let pci = PciDevice::new(env.handle("pci").ok_or(Error::BadHandle)?);
    let identity = pci.describe()?;
    silence_pin(pci)?;
    let bar = pci.map_bar(0)?;
    pci.enable(Enables::MEMORY_AND_MASTER)?;
    let store = Store::pci_msi(pci)?;
    // At most 32.
    let all_slots = store.capacity().unwrap_or(0) as u16;
    let port = Port::new()?;
    let server = env.handle("interrupt").ok_or(Error::BadHandle)?;
    let interrupts = Interrupts::new(server, port.handle());
    refusal::bad_counts(&interrupts, &store)?;

    let mut slots = match Expected::from_args(env)? {
        Expected::Messages => interrupts.add_block(&store, all_slots.into(), 0)?,
        Expected::Refusal => {
            refusal::no_block(&interrupts, &store)?;
            reporter.line(format_args!("block of {all_slots} refused: NoContiguous"))?;
            // What one pair can do is no worse for it.
            alloc::vec![interrupts.add(&store, 0, 0)?]
        }
    };
    let count = slots.len() as u16;
    let memory = pci.dma(Controller::memory_bytes(count))?;
    let controller = Controller::start(bar, memory, count).map_err(Stop::Device)?;
    let mut routes = Vec::new();
    for interrupt in &mut slots {
        routes.push(activate(interrupt, &port)?);
    }

    let mut ledger = Ledger::new(slots.len());
    let keys = || 0..u64::from(count);
    let mut rig = XhciRig { controller: &controller, port: &port };
    if slots.len() > 1 {
        // Every message goes round the CPUs, each on another at any time.
        for round in 0..env.cpus {
            place(&mut slots, &mut routes, &port, round, env.cpus)?;
            for _ in 0..ROUNDS {
                drill::singles(&mut rig, &mut ledger, keys())?;
            }
            check_places(&slots, round, env.cpus)?;
        }
    }
    masked(&mut rig, &mut ledger, &slots)?;
    reporter.stand(&[standing(&identity, store.kind(), &ledger)])?;
    drill::bursts(&mut rig, &mut ledger, keys())?;
    for interrupt in &mut slots {
        interrupt.deactivate()?;
    }
    drill::settle(&mut rig, &mut ledger)?;
    drill::close(&mut ledger, keys())?;

    reporter.line(format_args!(
        "{count} of {all_slots} MSI slots in one block, one an interrupter: each raised alone on \
         each of {} CPUs, and in bursts of {}; masked at the remapper, the others went on, and it \
         was told when it was unmasked",
        env.cpus,
        drill::BURST,
    ))?;
    let done = close_books(reporter, &identity, store.kind(), &slots, &routes, &mut ledger)?;
    controller.reset().map_err(Stop::Device)?;
    for interrupt in slots {
        interrupt.release()?;
    }
    Ok(done)
}

/// The CPU of a slot in a round.
const fn cpu_of(slot: u32, round: u32, cpus: u32) -> u32 {
    (slot + round) % cpus
}

/// Moves each message to its CPU, in the remapper: the capability keeps its one pair.
fn place(
    slots: &mut [Interrupt],
    routes: &mut [Activated],
    port: &Port,
    round: u32,
    cpus: u32,
) -> Result<(), Stop<DeviceError>> {
    for (interrupt, route) in slots.iter_mut().zip(routes) {
        let cpu = cpu_of(interrupt.slot(), round, cpus);
        *route = move_to(interrupt, port, 1 << cpu)?;
    }
    Ok(())
}

/// The kernel says which CPU took the last event.
fn check_places(slots: &[Interrupt], round: u32, cpus: u32) -> Result<(), Stop<DeviceError>> {
    for interrupt in slots {
        if u32::from(interrupt.status()?.cpu) != cpu_of(interrupt.slot(), round, cpus) {
            return Err(Stop::Unexpected("an event was taken by another CPU than the chosen one"));
        }
    }
    Ok(())
}

/// Masks each slot and fires it: nothing comes, while the next slot goes on; unmasked, one
/// packet says that something was stopped.
fn masked(
    rig: &mut XhciRig<'_>,
    ledger: &mut Ledger,
    slots: &[Interrupt],
) -> Result<(), Stop<DeviceError>> {
    for (key, interrupt) in (0..).zip(slots) {
        interrupt.mask()?;
        drill::blocked(rig, ledger, [key].into_iter())?;
        let next = (key + 1) % slots.len() as u64;
        if next != key {
            drill::singles(rig, ledger, [next].into_iter())?;
        }
        interrupt.unmask()?;
        drill::resumed(rig, ledger, key)?;
    }
    Ok(drill::settle(rig, ledger)?)
}
