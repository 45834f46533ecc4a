//! A server that means harm.
//!
//! It is given little and does its worst with it. Whoever starts it (`testd`) says how,
//! with the first word of the arguments, and looks afterwards whether the kernel and all
//! other servers live on and everything it held is back.
//!
//! | mode | what it does |
//! | --- | --- |
//! | `storm` | random system calls from several threads, without end |
//! | `exhaust` | takes objects of every kind until each is refused, and keeps them |
//! | `fork` | starts itself again and again, each child with messages in hand, and dies |
//! | `pointers` | hands kernel addresses to every call that takes a pointer, then reads one |
//! | `device` | lets its device raise an interrupt late, and dies before |
//! | `messages` | binds the messages it was given and dies holding them |
#![no_std]
#![no_main]

extern crate alloc;

mod choice;
mod device;
mod fork;
mod greed;
mod objects;
mod pointers;
mod random;
mod storm;

use libsys::sys;
use tocsin_abi::limits::FOREVER;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle};

libsys::entry!(main);

/// Exit code when something that the mode needs was not granted.
pub const HELPLESS: u64 = 97;
/// Exit code for a mode that does not exist.
const UNKNOWN: u64 = 98;

fn main(env: &'static Startup) -> u64 {
    let mut words = env.args().split_ascii_whitespace();
    let result = match words.next() {
        Some("storm") => storm::run(env),
        Some("exhaust") => greed::exhaust(env),
        Some("messages") => greed::hold_messages(env),
        Some("fork") => fork::run(env),
        Some("pointers") => pointers::run(env),
        Some("device") => device::run(env),
        _ => return UNKNOWN,
    };
    result.unwrap_or(HELPLESS)
}

/// A capability by name.
pub fn granted(env: &Startup, name: &str) -> Result<Handle, Error> {
    env.find(name).map(|entry| entry.handle).ok_or(Error::BadHandle)
}

/// A number by name.
pub fn told(env: &Startup, name: &str) -> u64 {
    env.find(name).map_or(0, |entry| entry.value)
}

/// Tells whoever watches how far this is.
pub fn ready(env: &Startup, bits: u64) -> Result<(), Error> {
    sys::port_signal(granted(env, "up")?, bits).map(drop)
}

/// Sleeps until killed.
pub fn wait_for_ever() -> ! {
    loop {
        if let Ok(port) = sys::port_create() {
            let _ = sys::port_wait(port.handle(), 0, 1, FOREVER);
        }
    }
}
