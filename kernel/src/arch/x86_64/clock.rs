//! The time-stamp counter, and how fast it runs.

use core::sync::atomic::{AtomicU64, Ordering};

use super::ports::{read_u8, write_u8};
use crate::fatal::fatal;

static TICKS_PER_SECOND: AtomicU64 = AtomicU64::new(0);

/// Input clock of the 8254 timer (Intel 8254 data sheet; PC/AT convention).
const PIT_HZ: u64 = 1_193_182;
/// How long the counter is compared with the timer.
const CALIBRATION_PIT_TICKS: u16 = 11_932;
const PIT_CHANNEL2: u16 = 0x42;
const PIT_COMMAND: u16 = 0x43;
const PORT_B: u16 = 0x61;
const CHANNEL2_GATE: u8 = 1;
const SPEAKER: u8 = 2;
const CHANNEL2_OUTPUT: u8 = 1 << 5;
/// Mode 0 (interrupt on terminal count), low byte then high byte, channel 2.
const COUNT_ONCE: u8 = 0b1011_0000;
/// Polls before the timer is given up.
const PATIENCE: u32 = 50_000_000;

/// Counter ticks.
#[inline(always)]
#[must_use]
pub fn now() -> u64 {
    // SAFETY: reading the counter is always allowed in the kernel.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Counter ticks in a second.
#[must_use]
pub fn ticks_per_second() -> u64 {
    TICKS_PER_SECOND.load(Ordering::Relaxed)
}

/// Finds out how fast the counter runs: from CPUID leaf 0x15 where it says so, else
/// against the 8254 timer for 10 ms.
pub fn calibrate() {
    let ticks = from_cpuid().unwrap_or_else(against_pit);
    TICKS_PER_SECOND.store(ticks, Ordering::Relaxed);
}

/// Intel SDM vol. 2, CPUID leaf 0x15: crystal frequency and ratio.
fn from_cpuid() -> Option<u64> {
    let max = core::arch::x86_64::__cpuid(0).eax;
    if max < 0x15 {
        return None;
    }
    let leaf = core::arch::x86_64::__cpuid(0x15);
    if leaf.eax == 0 || leaf.ebx == 0 || leaf.ecx == 0 {
        return None;
    }
    Some(u64::from(leaf.ecx) * u64::from(leaf.ebx) / u64::from(leaf.eax))
}

fn against_pit() -> u64 {
    let port_b = read_u8(PORT_B) & !(SPEAKER | CHANNEL2_GATE);
    write_u8(PORT_B, port_b);
    write_u8(PIT_COMMAND, COUNT_ONCE);
    let [low, high] = CALIBRATION_PIT_TICKS.to_le_bytes();
    write_u8(PIT_CHANNEL2, low);
    write_u8(PIT_CHANNEL2, high);
    write_u8(PORT_B, port_b | CHANNEL2_GATE);
    let start = now();
    for _ in 0..PATIENCE {
        if read_u8(PORT_B) & CHANNEL2_OUTPUT != 0 {
            let ticks = now() - start;
            return ticks * PIT_HZ / u64::from(CALIBRATION_PIT_TICKS);
        }
    }
    fatal(format_args!("no clock: CPUID does not tell the TSC rate and the PIT does not count"))
}
