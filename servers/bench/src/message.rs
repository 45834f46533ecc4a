//! One more message for a running driver, and what it costs in memory.

use libsys::interrupt::{InterruptError, Interrupts};
use libsys::ipc::ask_with;
use libsys::object::Capability;
use libsys::pci::Device;
use libsys::store::Store;
use libsys::{println, sys};
use tocsin_proto::StoreKind;
use tocsin_proto::interrupt::{ANY_CPU, Alloc, Contiguity, Error};

use crate::arch::counter;
use crate::calibrate::overhead;
use crate::irq;
use crate::peer::{Bench, granted};
use crate::samples::Samples;
use crate::{Outcome, ROUNDS, WARM_UP};

/// Nanoseconds to give the interrupt server when all its numbers are in quarantine.
const PAUSE_NS: u64 = 2_000_000;

/// Both figures.
pub fn message(bench: &Bench) -> Outcome {
    alloc_bind(bench)?;
    bytes(bench)
}

/// Reserves a message, writes its pair into the device's slot, binds it to the driver's
/// port, takes a vector and unmasks the slot: through the interrupt and the PCI server.
fn alloc_bind(bench: &Bench) -> Outcome {
    let port = sys::port_create().map_err(|_| "no port")?.handle();
    let device = Device::new(granted(bench.env, "pci")?);
    let store = Store::pci_msi(device).map_err(|_| "no MSI capability")?;
    let interrupts = Interrupts::new(granted(bench.env, "interrupt")?, port);
    let mut samples = Samples::new();
    let (mut round, mut waits) = (0, 0);
    while round < ROUNDS + WARM_UP {
        let before = counter();
        let made = interrupts.add(&store, 0, 1).and_then(|mut interrupt| {
            interrupt.activate()?;
            Ok(interrupt)
        });
        let count = counter() - before;
        match made {
            Ok(interrupt) => {
                samples.add(count);
                drop(interrupt);
                round += 1;
            }
            Err(InterruptError::Server(Error::NoVectors | Error::NoEntries)) if waits < 1000 => {
                waits += 1;
                let now = sys::clock_read().map_or(0, |values| values.result);
                let _ = sys::port_wait(port, 0, 1, now + PAUSE_NS);
            }
            Err(_) => return Err("a message was refused"),
        }
    }
    println!("bench: message_alloc_bind: waited {waits} times for the quarantine");
    samples.print("message_alloc_bind", overhead());
    let _ = sys::handle_close(port);
    Ok(())
}

/// What the kernel says that a message costs it, while there are more and more of them.
fn bytes(bench: &Bench) -> Outcome {
    let interrupt = granted(bench.env, "interrupt")?;
    let log = granted(bench.env, "log")?;
    let stats = || sys::debug_stats(log).map_err(|_| "no counts").map(|got| got.values);
    let before = stats()?[1];
    let mut kept = alloc::vec::Vec::with_capacity(ROUNDS + WARM_UP);
    let mut samples = Samples::new();
    for _ in 0..ROUNDS + WARM_UP {
        let request =
            Alloc { count: 1, kind: StoreKind::PciMsi, contiguity: Contiguity::Any, cpus: ANY_CPU };
        let (_, mut handles) =
            ask_with(interrupt, &request, &[]).map_err(|_| "a message was refused")?;
        kept.extend(handles.pop().map(Capability::leak));
        samples.add(stats()?[3]);
    }
    if stats()?[1] - before != (ROUNDS + WARM_UP) as u64 {
        return Err("the kernel does not count as many messages as were made");
    }
    samples.print("kernel_bytes_per_message", 0);
    // The interrupt path must not know how many there are.
    let (to_user, _, overhead) = irq::measure(bench)?;
    let net = to_user.min() - overhead;
    println!("bench: irq_to_user with {} more messages alive: {net}", kept.len());
    for handle in kept {
        let _ = sys::handle_close(handle);
    }
    Ok(())
}
