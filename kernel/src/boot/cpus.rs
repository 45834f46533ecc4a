//! When the other CPUs may run.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::arch;

static RELEASED: AtomicBool = AtomicBool::new(false);

/// Lets the other CPUs run threads.
pub fn release_others() {
    RELEASED.store(true, Ordering::Release);
}

/// Waits, on another CPU, until the boot CPU has made the kernel's state whole.
pub fn wait_for_release() {
    while !RELEASED.load(Ordering::Acquire) {
        arch::pause();
    }
}
