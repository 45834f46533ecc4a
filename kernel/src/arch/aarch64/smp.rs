//! Starting the other CPUs: firmware does it (PSCI), the trampoline takes them here.

use core::fmt;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use aarch64_cpu::registers::{MPIDR_EL1, Readable};
use tocsin_abi::limits::{MAX_CPUS, PAGE_BYTES};
use tocsin_firmware::arm::{Affinity, Platform};

use super::trampoline::{self, Switch};
use super::{Firmware, clock, gic, identity, init_this_cpu, paging, percpu, psci, write_back};
use crate::fatal::fatal;

/// How long a CPU may take from firmware's word that it starts to its arrival.
const ARRIVAL_MS: u64 = 10_000;

/// The CPU that starts now.
static STARTING: AtomicUsize = AtomicUsize::new(0);
/// The counter before it was started.
static STARTED_AT: AtomicU64 = AtomicU64::new(0);
/// Which have arrived.
static ARRIVED: [AtomicBool; MAX_CPUS] = [const { AtomicBool::new(false) }; MAX_CPUS];
static RUN: AtomicU64 = AtomicU64::new(0);

/// What the CPU that starts now loads.
static mut SWITCH: MaybeUninit<Switch> = MaybeUninit::uninit();

/// This CPU's affinity.
pub fn own_affinity() -> Affinity {
    Affinity::from_mpidr(MPIDR_EL1.get())
}

/// Starts the CPUs that the firmware knows, and lets them run `run(index)`. Returns how many
/// CPUs there are; `say` is told of those that do not come.
pub fn start_cpus(
    firmware: &Firmware,
    _start_up: u64,
    run: fn(usize) -> !,
    mut say: impl FnMut(fmt::Arguments<'_>),
) -> usize {
    RUN.store(run as *const () as u64, Ordering::Release);
    let platform = &firmware.platform;
    if platform.cpu_count > MAX_CPUS {
        say(format_args!("there are {} CPUs, of which {MAX_CPUS} are used", platform.cpu_count));
    }
    let own = own_affinity();
    let mut others = platform.cpus.iter().filter(|cpu| cpu.enabled && cpu.affinity != own);
    if platform.conduit.is_none() {
        if others.next().is_some() {
            say(format_args!("firmware has no PSCI to start other CPUs with: going on with one"));
        }
        return 1;
    }
    if !identity::map_code(code_page()) {
        fatal(format_args!("the kernel's own setting of the MMU has no ordinary memory"));
    }
    let mut count = 1;
    for cpu in others {
        if count == MAX_CPUS {
            break;
        }
        match start(platform, cpu.affinity, count) {
            Ok(()) => count += 1,
            Err(why) => say(format_args!("CPU {} did not start: {why}", cpu.affinity)),
        }
    }
    identity::clear();
    percpu::leave_space();
    count
}

/// Physical address of the trampoline's page.
pub fn code_page() -> u64 {
    identity::physical(&raw const trampoline::tocsin_trampoline) & !(PAGE_BYTES - 1)
}

/// Why a CPU does not come.
enum Reason {
    Gic(&'static str),
    Firmware(smccc::psci::Error),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Gic(why) => f.write_str(why),
            Reason::Firmware(error) => write!(f, "firmware says: {error}"),
        }
    }
}

fn start(platform: &Platform, cpu: Affinity, index: usize) -> Result<(), Reason> {
    gic::assign(platform, index, cpu).map_err(Reason::Gic)?;
    let next = arrive as *const () as u64;
    let switch =
        Switch::new(identity::root(), paging::kernel_root(), percpu::boot_stack_of(index), next);
    let place = &raw mut SWITCH;
    // SAFETY: CPUs are started one after the other: nobody reads it now.
    unsafe { (*place).write(switch) };
    write_back(place.cast(), size_of::<Switch>());
    STARTING.store(index, Ordering::Release);
    STARTED_AT.store(clock::now(), Ordering::Release);
    let entry = identity::physical(&raw const trampoline::tocsin_started);
    match psci::cpu_on(cpu, entry, identity::physical(place.cast())) {
        Some(Ok(())) => {}
        Some(Err(error)) => return Err(Reason::Firmware(error)),
        None => return Err(Reason::Gic("there is no PSCI")),
    }
    // It has our stack now, so there is nothing to do but wait for it.
    if !clock::wait_ms(ARRIVAL_MS, || ARRIVED[index].load(Ordering::Acquire)) {
        fatal(format_args!("CPU {cpu} was started by firmware and did not arrive"));
    }
    Ok(())
}

/// First Rust code of a started CPU, on its own stack.
extern "C" fn arrive() -> ! {
    let index = STARTING.load(Ordering::Acquire);
    init_this_cpu(index);
    if clock::now() < STARTED_AT.load(Ordering::Acquire) {
        fatal(format_args!(
            "CPU {} has another time than the first: firmware has not set the virtual \
             counter's offset the same on all (CNTVOFF_EL2)",
            own_affinity()
        ));
    }
    let run = RUN.load(Ordering::Acquire) as *const ();
    // SAFETY: `start_cpus` stored a function of this type.
    let run = unsafe { core::mem::transmute::<*const (), fn(usize) -> !>(run) };
    ARRIVED[index].store(true, Ordering::Release);
    run(index)
}
