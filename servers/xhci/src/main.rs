//! The driver of an xHCI controller: many messages in its MSI capability, as one block.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

extern crate alloc;

mod controller;
mod demonstration;
mod error;
mod refusal;

use demo_driver::{Reporter, finish};
use libsys::proto::StoreKind;
use libsys::{Startup, log};

#[allow(unsafe_code, reason = "`entry!` exports the program's symbols")]
mod program {
    libsys::entry!(super::main);
}

fn main(env: &'static Startup) -> u64 {
    match Reporter::new(env, "xhci") {
        Ok(reporter) => finish(&reporter, demonstration::run(env, &reporter), StoreKind::PciMsi),
        Err(error) => {
            log!("nobody to report to: {error}");
            1
        }
    }
}
