//! After everything was started: who dies, and when the run is over.

use alloc::string::String;

use libsys::println;

use crate::drivers::Devices;
use crate::programs::{Dead, Programs};
use crate::subsystems::Subsystems;

/// Takes note of deaths until the program named `main` has died, and returns its exit code.
pub fn until_main_ends(
    main: &str,
    programs: &mut Programs<'_>,
    devices: Option<&Devices<'_>>,
    subsystems: &mut Subsystems<'_>,
) -> u64 {
    loop {
        let (name, code) = next_death(programs, devices, subsystems);
        if name == main {
            return code;
        }
    }
}

/// Takes note of deaths for as long as the machine runs.
pub fn for_ever(
    programs: &mut Programs<'_>,
    devices: Option<&Devices<'_>>,
    subsystems: &mut Subsystems<'_>,
) -> ! {
    loop {
        next_death(programs, devices, subsystems);
    }
}

/// Waits for a program to die, says why, and gives its device back.
fn next_death(
    programs: &mut Programs<'_>,
    devices: Option<&Devices<'_>>,
    subsystems: &mut Subsystems<'_>,
) -> (String, u64) {
    let dead = programs.next_death();
    if dead.code != 0 {
        println!("init: {} {}", dead.name, dead.why());
    }
    let Dead { name, code, claimed } = dead;
    if let (Some(devices), Some(claimed)) = (devices, claimed) {
        devices.release(claimed);
    }
    subsystems.died(&name, programs, devices);
    (name, code)
}
