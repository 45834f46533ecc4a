//! What user mode may do on this CPU besides computing: system registers that say so.
//!
//! Written whole, not updated: what firmware or a loader left would differ between CPUs.
//! `SCTLR_EL1` has been written with the translation regime.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use aarch64_cpu::registers::{
    CNTKCTL_EL1, CONTEXTIDR_EL1, CPACR_EL1, ID_AA64DFR0_EL1, ID_AA64PFR0_EL1, MDSCR_EL1, Readable,
    TPIDR_EL0, TPIDRRO_EL0, Writeable,
};

/// `CNTKCTL_EL1.EL0VCTEN`: the virtual counter may be read; no timer is.
const VIRTUAL_COUNTER: u64 = 1 << 1;
/// `MDSCR_EL1.TDCC`: the channel to a debugger is trapped. Everything else of debugging is off.
const NO_DEBUG_CHANNEL: u64 = 1 << 12;

/// `PMUSERENR_EL0.CR`: the cycle counter may be read, and nothing else.
const CYCLES_READABLE: u64 = 1 << 2;
/// `PMCR_EL0`: 64 bits (LC), cycle counter reset (C), on (E).
const COUNT: u64 = 1 << 6 | 1 << 2 | 1;
/// The cycle counter's bit in `PMCNTENSET_EL0`.
const CYCLE_COUNTER: u64 = 1 << 31;
const ALL_COUNTERS: u64 = 0xffff_ffff;

/// Whether user mode may read the cycle counter.
static CYCLES_OPEN: AtomicBool = AtomicBool::new(false);

/// Lets user mode read the cycle counter on CPUs that come up from now on.
pub fn open_cycle_counter() {
    CYCLES_OPEN.store(true, Ordering::Relaxed);
}

/// Sets them.
pub fn init_this_cpu() {
    // No floating point, no vectors, for nobody.
    CPACR_EL1.set(0);
    CNTKCTL_EL1.set(VIRTUAL_COUNTER);
    MDSCR_EL1.set(NO_DEBUG_CHANNEL);
    CONTEXTIDR_EL1.set(0);
    TPIDR_EL0.set(0);
    TPIDRRO_EL0.set(0);
    init_activity_monitors();
    init_performance_monitors();
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// A four-bit field of an identification register.
fn field(register: u64, shift: u32) -> u64 {
    register >> shift & 0xf
}

/// Counters that firmware uses: not for user mode.
fn init_activity_monitors() {
    const AMU: u32 = 44;
    if field(ID_AA64PFR0_EL1.get(), AMU) != 0 {
        // SAFETY: AMUSERENR_EL0 exists; zero traps user mode and does nothing else.
        unsafe { asm!("msr s3_3_c13_c2_3, xzr", options(nomem, nostack, preserves_flags)) };
    }
}

/// Performance monitors: off, or the cycle counter alone (DDI 0487, D13).
fn init_performance_monitors() {
    const PMU: u32 = 8;
    let version = field(ID_AA64DFR0_EL1.get(), PMU);
    // 15: one that is not the architecture's.
    if version == 0 || version == 0xf {
        return;
    }
    let open = CYCLES_OPEN.load(Ordering::Relaxed);
    let (user, control, counters) =
        if open { (CYCLES_READABLE, COUNT, CYCLE_COUNTER) } else { (0, 0, 0) };
    // SAFETY: the registers exist, and belong to the kernel; counters change no memory, and
    // their interrupts are off.
    unsafe {
        asm!(
            "msr pmuserenr_el0, {user}",
            "msr pmintenclr_el1, {all}",
            "msr pmcntenclr_el0, {all}",
            "msr pmovsclr_el0, {all}",
            "msr pmccfiltr_el0, xzr",
            "msr pmcntenset_el0, {counters}",
            "msr pmcr_el0, {control}",
            user = in(reg) user,
            all = in(reg) ALL_COUNTERS,
            counters = in(reg) counters,
            control = in(reg) control,
            options(nomem, nostack, preserves_flags),
        );
    }
}
