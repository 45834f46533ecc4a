//! From the loader to `init`.
//!
//! The loader speaks the Limine boot protocol: real Limine, or the direct boot stub. The
//! kernel takes from it a memory map, the modules and the ACPI root pointer, and then
//! depends on nothing that it set up.

mod arenas;
mod cpus;
mod init;
mod loader;
mod memory;

use core::fmt::Write;

use kernel_core::objects::ProcessId;
use kernel_core::{Cx, Id};

use crate::arch;
use crate::fatal::fatal;
use crate::irq;
use crate::state;
use crate::sync;

/// The first process: the first that the arena gives out.
pub const INIT: ProcessId = ProcessId::new(1);

/// The context of start-up: one CPU, nobody else.
const ALONE: Cx = Cx { cpu: 0, exclusive: true, thread: Id::NONE, process: Id::NONE };

/// Where the loader enters.
// SAFETY: the name is the ELF's entry point; nothing else has it.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    arch::early_init();
    loader::check();
    let low = memory::init();
    let firmware = cpus::find();
    arch::init_boot_cpu(firmware.local_apic);
    state::install(arenas::kernel());
    let kernel = state::get();
    let count = arch::start_cpus(firmware.ids(), low, run_other, |id| {
        let _ = writeln!(kernel.log(ALONE), "kernel: CPU with local APIC id {id} did not start");
    });
    kernel.cpu_count.set(count);
    sync::set_cpu_count(count);
    let features = arch::cpu_features();
    let _ = writeln!(
        kernel.log(ALONE),
        "Tocsin: {} CPU{}, {} MiB free, loader {}{}{}{}",
        count,
        if count == 1 { "" } else { "s" },
        kernel_core::Platform::free_bytes(&kernel.platform) >> 20,
        loader::name(),
        if features.smep { ", SMEP" } else { "" },
        if features.smap { ", SMAP" } else { "" },
        if features.umip { ", UMIP" } else { "" },
    );
    if let Err(reason) = init::start() {
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
