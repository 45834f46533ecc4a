//! The driver of QEMU's `edu` device: one message, in the PCI MSI capability; or, with the
//! argument `wire=`, its interrupt pin.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

mod demonstration;
mod device;
mod pin;

use demo_driver::{Reporter, Stop, finish};
use device::DeviceError;
use libsys::proto::StoreKind;
use libsys::proto::report::Done;
use libsys::startup::Environment;
use libsys::{Startup, log};
use pin::Plan;

#[allow(unsafe_code, reason = "`entry!` exports the program's symbols")]
mod program {
    libsys::entry!(super::main);
}

fn main(env: &'static Startup) -> u64 {
    let reporter = match Reporter::new(env, env.arg("name").unwrap_or("edu")) {
        Ok(reporter) => reporter,
        Err(error) => {
            log!("nobody to report to: {error}");
            return 1;
        }
    };
    match Plan::from_args(env) {
        Ok(None) => finish(&reporter, demonstration::run(env, &reporter), StoreKind::PciMsi),
        Ok(Some(plan)) => finish(&reporter, pin::run(env, &reporter, &plan), StoreKind::Wire),
        Err(why) => {
            let why = Stop::<DeviceError>::Unexpected(why);
            finish(&reporter, Err::<Done, _>(why), StoreKind::Wire)
        }
    }
}
