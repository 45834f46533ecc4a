//! From a device's interrupt to the driver's first instruction, and back.
//!
//! The device is QEMU's `edu`: writing its register 0x60 raises its message. The write is
//! made by a process of low priority in an address space of its own, so the interrupt
//! arrives while somebody else runs, right after the write; the driver waits with a higher
//! priority. What the write itself and the measuring cost is counted beforehand with the
//! same code and a register (0x64) that raises nothing.

use libsys::interrupt::Interrupts;
use libsys::map::Mapping;
use libsys::pci::Device;
use libsys::store::Store;
use libsys::{Startup, sys};
use tocsin_abi::limits::FOREVER;
use tocsin_abi::{Handle, Rights};
use tocsin_proto::pci::{Enables, GetBar};

use crate::arch::counter;
use crate::peer::{Bench, LOW, granted, sleep};
use crate::samples::Samples;
use crate::shared::Shared;
use crate::{Outcome, ROUNDS, WARM_UP};

/// Raises an interrupt with the bits written.
const RAISE: u64 = 0x60;
/// Takes bits back; raises nothing.
const ACKNOWLEDGE: u64 = 0x64;

/// The process that is interrupted: raises, and counts until it runs again.
pub fn interrupted(env: &'static Startup) -> Outcome {
    let shared = Shared::of(granted(env, "shared")?).map_err(|_| "no shared memory")?;
    let how = Rights::READ | Rights::WRITE;
    let bar = granted(env, "bar")?;
    let registers = Mapping::new(bar, 0, 4096, how).map_err(|_| "no registers")?;
    let mut alone = Samples::new();
    for _ in 0..ROUNDS + WARM_UP {
        alone.add(round(&shared, &registers, ACKNOWLEDGE));
    }
    shared.set_overhead(alone.min());
    for number in 0..ROUNDS + WARM_UP {
        let count = round(&shared, &registers, RAISE);
        shared.keep(number, count);
    }
    sys::port_signal(granted(env, "done")?, 1).map_err(|_| "no answer")?;
    sleep()
}

/// One write to the device.
#[inline(never)]
fn round(shared: &Shared, registers: &Mapping, register: u64) -> u64 {
    let before = counter();
    shared.start(before);
    registers.write32(register, 1);
    counter() - before
}

/// The physical range behind the device's registers, to hand on.
fn registers(pci: Handle) -> Result<Handle, &'static str> {
    let (_, mut handles) =
        libsys::ipc::ask_with(pci, &GetBar { index: 0 }, &[]).map_err(|_| "no BAR")?;
    handles.pop().map(libsys::object::Capability::leak).ok_or("no BAR")
}

/// `irq_to_user` and `irq_cycle`.
pub fn irq(bench: &Bench) -> Outcome {
    let (to_user, cycle, overhead) = measure(bench)?;
    to_user.print("irq_to_user", overhead);
    cycle.print("irq_cycle", overhead);
    Ok(())
}

/// Measures one in this process and the other in the interrupted one; says what the
/// measuring costs, too.
pub fn measure(bench: &Bench) -> Result<(Samples, Samples, u64), &'static str> {
    let pci = granted(bench.env, "pci")?;
    let device = Device::new(pci);
    device.enable(Enables::MEMORY_AND_MASTER).map_err(|_| "the device can not be enabled")?;
    let new_port = || sys::port_create().map_err(|_| "no port").map(|made| made.handle());
    let (port, done) = (new_port()?, new_port()?);
    let store = Store::pci_msi(device).map_err(|_| "no MSI capability")?;
    let interrupts = Interrupts::new(granted(bench.env, "interrupt")?, port);
    let mut interrupt = interrupts.add(&store, 0, 7).map_err(|_| "no message")?;
    interrupt.activate().map_err(|_| "no vector")?;
    let shared = Shared::new().map_err(|_| "no shared memory")?;
    let bar = registers(pci)?;
    let how = Rights::READ | Rights::WRITE;
    let mut to_user = Samples::new();
    let peer = bench.peer(
        "interrupted",
        LOW,
        &[("shared", shared.memory(), how), ("bar", bar, how), ("done", done, Rights::SIGNAL)],
    )?;
    for _ in 0..ROUNDS + WARM_UP {
        let packet = sys::port_wait(port, 0, 1, FOREVER);
        let now = counter();
        to_user.add(now - shared.started());
        if packet.is_ok_and(|packet| packet.values[0] != 7) {
            return Err("somebody else's packet");
        }
    }
    sys::port_wait(done, 0, 1, FOREVER).map_err(|_| "no end")?;
    drop(peer);
    let status = interrupt.status().map_err(|_| "no counters")?;
    if status.delivered != (ROUNDS + WARM_UP) as u64 || status.coalesced != 0 {
        return Err("not every write made its own packet");
    }
    let mut cycle = Samples::new();
    shared.counts().for_each(|count| cycle.add(count));
    let _ = sys::handle_close(bar);
    Ok((to_user, cycle, shared.overhead()))
}
