//! The driver of an HPET whose comparators send messages: pairs in a device's own registers.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

extern crate alloc;

mod comparators;
mod demonstration;

use demonstration::Ending;
use libsys::{Startup, println};

#[allow(unsafe_code, reason = "`entry!` exports the program's symbols")]
mod program {
    libsys::entry!(super::main);
}

fn main(env: &'static Startup) -> u64 {
    match demonstration::run(env) {
        Ok(Ending::Shown { comparators, events }) => {
            println!(
                "hpet: Shown: {comparators} comparators by message, {events} events, none lost"
            );
            0
        }
        Ok(Ending::Nothing(why)) => {
            println!("hpet: nothing to do: {why}");
            0
        }
        // Its comparators go on: what init does about that is to be seen.
        Ok(Ending::Abandoned) => 0,
        Err(why) => {
            println!("hpet: FAILED: {why}");
            1
        }
    }
}
