//! From the loader to `init`.
//!
//! The loader speaks the Limine boot protocol: real Limine, or the direct boot stub. The
//! kernel takes from it a memory map, the modules, and the ACPI root pointer or the device
//! tree, and then depends on nothing that it set up.

mod arenas;
mod cpus;
mod firmware;
mod init;
mod loader;
mod memory;

use core::fmt::Write;

use kernel_core::objects::ProcessId;
use kernel_core::{Cx, Id};

use crate::arch;
use crate::fatal::fatal;
use crate::irq;
use crate::mm;
use crate::state;
use crate::sync;

/// The first process: the first that the arena gives out.
pub const INIT: ProcessId = ProcessId::new(1);

/// Word of the command line with which user mode may count cycles. Programs can watch each
/// other by it more closely than by the clock, so it is for measuring.
const OPEN_COUNTER: &str = "cycle-counter";

/// The context of start-up: one CPU, nobody else.
const ALONE: Cx = Cx { cpu: 0, exclusive: true, thread: Id::NONE, process: Id::NONE };

/// The first Rust code, on the loader's stack.
pub fn start() -> ! {
    arch::early_init();
    mm::set_direct_offset(loader::direct_offset());
    // First of all: where there is no console without the firmware's word, nothing can be
    // said before.
    let firmware = firmware::read();
    loader::check();
    let reserved = memory::init(&firmware);
    if loader::cmdline().split(' ').any(|word| word == OPEN_COUNTER) {
        arch::open_cycle_counter();
    }
    arch::init_boot_cpu(&firmware);
    state::install(arenas::kernel());
    let kernel = state::get();
    let count = arch::start_cpus(&firmware, reserved.start_up, run_other, |what| {
        let _ = writeln!(kernel.log(ALONE), "kernel: {what}");
    });
    kernel.cpu_count.set(count);
    sync::set_cpu_count(count);
    let _ = writeln!(
        kernel.log(ALONE),
        "Tocsin: {} CPU{}, {} MiB free, loader {}{}",
        count,
        if count == 1 { "" } else { "s" },
        kernel_core::Platform::free_bytes(&kernel.platform) >> 20,
        loader::name(),
        arch::cpu_features(),
    );
    if let Err(reason) = init::start(reserved.device_tree) {
        fatal(format_args!("{reason}"));
    }
    cpus::release_others();
    irq::run(0)
}

/// Where another CPU goes once it is up.
fn run_other(index: usize) -> ! {
    cpus::wait_for_release();
    irq::run(index)
}
