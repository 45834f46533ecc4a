//! The generic timer: its counter, and this CPU's virtual timer (DDI 0487, D11).

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::registers::{CNTFRQ_EL0, CNTV_CTL_EL0, CNTV_CVAL_EL0, CNTVCT_EL0};
use aarch64_cpu::registers::{Readable, Writeable};

use crate::fatal::fatal;

static TICKS_PER_SECOND: AtomicU64 = AtomicU64::new(0);

/// Counter ticks.
#[inline(always)]
#[must_use]
pub fn now() -> u64 {
    // SAFETY: a barrier. Without it the counter may be read early, and time would go back
    // from one CPU to another that has waited for it (DDI 0487, D11.2).
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
    CNTVCT_EL0.get()
}

/// Counter ticks in a second.
#[must_use]
pub fn ticks_per_second() -> u64 {
    TICKS_PER_SECOND.load(Ordering::Relaxed)
}

/// Finds out how fast the counter runs: firmware has written it down.
pub fn init() {
    let ticks = CNTFRQ_EL0.get();
    if ticks == 0 {
        fatal(format_args!("no clock: firmware has not set the counter's frequency (CNTFRQ_EL0)"));
    }
    TICKS_PER_SECOND.store(ticks, Ordering::Relaxed);
}

/// Asks for a timer interrupt at `deadline` counter ticks; `u64::MAX`: none.
pub fn arm_timer(deadline: u64) {
    if deadline == u64::MAX {
        disarm_timer();
    } else {
        // Centuries away is not yesterday, however the comparison is made.
        CNTV_CVAL_EL0.set(deadline.min(i64::MAX as u64));
        CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::SET + CNTV_CTL_EL0::IMASK::CLEAR);
    }
}

/// Ends the timer's interrupt: it is a level that lasts until the timer is told otherwise.
pub fn disarm_timer() {
    CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::CLEAR + CNTV_CTL_EL0::IMASK::SET);
}

/// Waits until something is done, or so long.
pub fn wait_ms(ms: u64, done: impl Fn() -> bool) -> bool {
    let end = now() + ticks_per_second() * ms / 1000;
    while now() < end {
        if done() {
            return true;
        }
        core::hint::spin_loop();
    }
    done()
}
