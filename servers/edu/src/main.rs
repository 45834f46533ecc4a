//! The driver of QEMU's `edu` device: one message, in the PCI MSI capability.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

mod demonstration;
mod device;

use demo_driver::{Reporter, finish};
use libsys::proto::StoreKind;
use libsys::{Startup, log};

#[allow(unsafe_code, reason = "`entry!` exports the program's symbols")]
mod program {
    libsys::entry!(super::main);
}

fn main(env: &'static Startup) -> u64 {
    match Reporter::new(env, "edu") {
        Ok(reporter) => finish(&reporter, demonstration::run(env, &reporter), StoreKind::PciMsi),
        Err(error) => {
            log!("nobody to report to: {error}");
            1
        }
    }
}
