//! What the controller is made to do, and what must come of it.
//!
//! Each I/O queue has a slot of the MSI-X table and so a message of its own. Firing a slot is
//! a flush in its queue: the controller completes it at once and raises the message.

use alloc::vec::Vec;

use demo_core::{Arrival, Ledger, Raised, Rig, drill};
use demo_driver::{Reporter, RigError, Stop, activate, close_books, hear, silence_pin, standing};
use libsys::interrupt::{Interrupt, Interrupts};
use libsys::object::Port;
use libsys::pci::Device as PciDevice;
use libsys::proto::pci::Enables;
use libsys::proto::report::Done;
use libsys::startup::Environment;
use libsys::store::Store;
use libsys::{Error, Startup};
use nvme_core::Command;

use crate::controller::Controller;
use crate::error::DeviceError;
use crate::queue::{BYTES, Queue};

/// I/O queues, each with a slot.
const QUEUES: u16 = 16;
/// Slot of queue `n` (from 1) is `n`; slot 0 is the admin queues', which are looked at and
/// raise nothing that anybody hears.
const FIRST_SLOT: u32 = 1;
/// How often each slot is fired alone.
const ROUNDS: u64 = 3;
/// The controller and its queues by key.
struct NvmeRig<'a> {
    controller: &'a Controller,
    port: &'a Port,
    queues: &'a mut [Queue],
    /// The slots are masked: completions wait in the pending bits.
    is_masked: bool,
}

impl Rig for NvmeRig<'_> {
    type Error = RigError<DeviceError>;

    fn fire(&mut self, key: u64) -> Result<Raised, Self::Error> {
        let queue = &mut self.queues[key as usize];
        self.controller.flush(queue);
        // The message follows the completion; whoever has seen this one can wait for it.
        self.controller.reap_all(queue, 1).map_err(RigError::Device)?;
        Ok(if self.is_masked { Raised::Masked } else { Raised::Written })
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
    let memory = pci.dma(u64::from(QUEUES + 1) * BYTES)?;
    // The table is on before the controller is, and slots are filled while it runs.
    let store = Store::msix_table(pci)?;
    let mut controller = Controller::start(bar, memory).map_err(Stop::Device)?;
    let pairs = QUEUES;
    controller.admin(Command::SetQueueCount { pairs }).map_err(Stop::Device)?;

    let port = Port::new()?;
    let server = env.handle("interrupt").ok_or(Error::BadHandle)?;
    let interrupts = Interrupts::new(server, port.handle());
    let (mut slots, mut queues, mut routes) = (Vec::new(), Vec::new(), Vec::new());
    for (key, number) in (1..=QUEUES).enumerate() {
        let slot = FIRST_SLOT + key as u32;
        let mut interrupt = interrupts.add(&store, slot, key as u64)?;
        let base = u64::from(number) * BYTES;
        queues.push(controller.create(number, base, slot as u16).map_err(Stop::Device)?);
        routes.push(activate(&mut interrupt, &port)?);
        slots.push(interrupt);
    }

    let mut ledger = Ledger::new(slots.len());
    let keys = || 0..u64::from(QUEUES);
    let mut rig =
        NvmeRig { controller: &controller, port: &port, queues: &mut queues, is_masked: false };
    for _ in 0..ROUNDS {
        drill::singles(&mut rig, &mut ledger, keys())?;
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
        "{QUEUES} of {} MSI-X slots, one a queue and filled while the controller ran: each \
         raised alone {ROUNDS} times and in bursts of {}; masked, its pending bit was set and \
         nothing came until it was unmasked",
        store.capacity().unwrap_or(0),
        drill::BURST,
    ))?;
    let done = close_books(reporter, &identity, store.kind(), &slots, &routes, &mut ledger)?;
    for queue in &queues {
        controller.delete(queue).map_err(Stop::Device)?;
    }
    controller.stop().map_err(Stop::Device)?;
    for interrupt in slots {
        interrupt.release()?;
    }
    Ok(done)
}

/// Masks each slot and fires it: its pending bit is set and nothing comes; unmasked, the
/// device sends what waited, once.
fn masked(
    rig: &mut NvmeRig<'_>,
    ledger: &mut Ledger,
    slots: &[Interrupt],
) -> Result<(), Stop<DeviceError>> {
    for (key, interrupt) in (0..).zip(slots) {
        let pending = || interrupt.store().is_pending(interrupt.slot());
        interrupt.mask()?;
        if pending()? != Some(false) {
            return Err(Stop::Unexpected("a pending bit is set before its event"));
        }
        rig.is_masked = true;
        drill::masked(rig, [key].into_iter())?;
        rig.is_masked = false;
        if pending()? != Some(true) {
            return Err(Stop::Unexpected("a masked slot's event is not pending"));
        }
        interrupt.unmask()?;
        // One packet for what waited.
        drill::resumed(rig, ledger, key)?;
    }
    Ok(drill::settle(rig, ledger)?)
}
