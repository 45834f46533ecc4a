//! The counter, and the proof that it counts instructions.

use libsys::println;

use crate::arch::{self, PER_ITERATION, counter};
use crate::peer::Bench;
use crate::samples::Samples;
use crate::{Outcome, ROUNDS, WARM_UP};

/// Iterations of the short and of the long loop. Their difference is what is printed, so
/// that what surrounds the loop cancels out.
const SHORT: u64 = 10;
const LONG: u64 = 110;

/// Runs `iterations` times [`PER_ITERATION`] instructions.
#[inline(never)]
fn spin(iterations: u64) -> u64 {
    let before = counter();
    arch::spin(iterations);
    counter() - before
}

/// What two readings of the counter with nothing in between differ by.
pub fn overhead() -> u64 {
    let mut samples = Samples::new();
    for _ in 0..ROUNDS + WARM_UP {
        let before = counter();
        samples.add(counter() - before);
    }
    samples.min()
}

/// Counts 10,000 instructions.
pub fn calibration(_: &Bench) -> Outcome {
    let mut samples = Samples::new();
    for _ in 0..ROUNDS + WARM_UP {
        let short = spin(SHORT);
        samples.add(spin(LONG).saturating_sub(short));
    }
    println!("bench: calibration: a loop of {} instructions", (LONG - SHORT) * PER_ITERATION);
    samples.print("calibration", 0);
    Ok(())
}
