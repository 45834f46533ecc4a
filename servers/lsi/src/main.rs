//! The driver of the `lsi53c895a`, whose SCRIPTS processor makes it an IMS device: 256
//! slots in device memory and 2048 in queue memory, side by side.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

extern crate alloc;

mod chip;
mod demonstration;
mod device;
mod round;
mod scripts;

use demo_driver::{Reporter, finish};
use libsys::proto::StoreKind;
use libsys::{Startup, log};

#[allow(unsafe_code, reason = "`entry!` exports the program's symbols")]
mod program {
    libsys::entry!(super::main);
}

fn main(env: &'static Startup) -> u64 {
    match Reporter::new(env, "lsi") {
        Ok(reporter) => {
            finish(&reporter, demonstration::run(env, &reporter), StoreKind::QueueMemory)
        }
        Err(error) => {
            log!("nobody to report to: {error}");
            1
        }
    }
}
