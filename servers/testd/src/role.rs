//! What a victim does.

use libsys::sys;
use tocsin_abi::limits::FOREVER;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle};

/// One role: its name and its play. The text is the rest of the arguments; what the play
/// returns is the exit code.
pub struct Role {
    /// Name, first word after `role`.
    pub name: &'static str,
    /// The play.
    pub run: fn(&'static Startup, &str) -> u64,
}

/// Exit code of a victim that was given an unknown role.
pub const UNKNOWN: u64 = 98;
/// Exit code of a victim that lacks a capability or that was refused a call it needed.
pub const HELPLESS: u64 = 97;

/// The roles that several tests use.
pub const COMMON: &[Role] = &[
    Role { name: "wait", run: |_, _| wait_for_ever() },
    Role { name: "spin", run: |_, _| spin() },
    Role { name: "exit", run: |_, code| code.trim().parse().unwrap_or(UNKNOWN) },
];

/// Plays the role that `args` (what follows `role `) names.
pub fn play(env: &'static Startup, args: &str, groups: &[&[Role]]) -> u64 {
    let (name, rest) = args.split_once(' ').unwrap_or((args, ""));
    let found = groups.iter().flat_map(|group| group.iter()).find(|role| role.name == name);
    found.map_or(UNKNOWN, |role| (role.run)(env, rest))
}

/// Sleeps until killed.
pub fn wait_for_ever() -> ! {
    loop {
        let Ok(port) = sys::port_create() else { continue };
        let _ = sys::port_wait(Handle(port.result as u32), 0, 1, FOREVER);
    }
}

/// Uses the CPU until killed.
pub fn spin() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// A capability of the victim's.
pub fn granted(env: &Startup, name: &str) -> Handle {
    env.find(name).map_or(Handle::NONE, |entry| entry.handle)
}

/// A number that the victim was told.
pub fn told(env: &Startup, name: &str) -> u64 {
    env.find(name).map_or(0, |entry| entry.value)
}

/// Turns a play that may be refused something into an exit code.
pub fn code(result: Result<u64, Error>) -> u64 {
    result.unwrap_or(HELPLESS)
}

/// Tells the parent through port `up` that the victim is where it has to be.
pub fn ready(env: &Startup) -> Result<(), Error> {
    sys::port_signal(granted(env, "up"), 1).map(|_| ())
}
