//! The other parties: this program again, in processes of their own.

use libsys::Startup;
use libsys::spawn::{Child, Placement, Spawner};
use tocsin_abi::limits::FOREVER;
use tocsin_abi::{Handle, Rights};

use crate::{ipc, irq, wake};

/// Kernel memory of a peer.
const BUDGET: u64 = 1 << 20;
/// Priority of whoever is interrupted or signals.
pub const LOW: u8 = 4;
/// Priority of whoever is woken.
pub const HIGH: u8 = 10;

/// What every figure is given.
pub struct Bench {
    /// Our startup page.
    pub env: &'static Startup,
    /// Our own file.
    pub image: &'static [u8],
}

impl Bench {
    /// Starts a peer on CPU 0 with these capabilities.
    ///
    /// # Errors
    /// What could not be had.
    pub fn peer(
        &self,
        role: &str,
        priority: u8,
        grants: &[(&str, Handle, Rights)],
    ) -> Result<Child, &'static str> {
        let mut spawner =
            Spawner::new(self.env, self.image, BUDGET).map_err(|_| "a peer can not be loaded")?;
        spawner.args(&alloc::format!("role {role}"));
        for &(name, handle, rights) in grants {
            spawner
                .grant(name, handle, rights, 0)
                .map_err(|_| "a peer can not be given a handle")?;
        }
        spawner.start(Placement { priority, cpu: 0 }).map_err(|_| "a peer can not be started")
    }
}

/// Plays a role; the exit code is zero when it went well.
pub fn play(env: &'static Startup, role: &str) -> u64 {
    let result = match role {
        "server" => ipc::serve(env),
        "waiter" => wake::wait(env),
        "interrupted" => irq::interrupted(env),
        _ => Err("unknown role"),
    };
    match result {
        Ok(()) => 0,
        Err(why) => {
            libsys::log!("{role}: {why}");
            1
        }
    }
}

/// A capability of this process.
///
/// # Errors
/// When it was not granted.
pub fn granted(env: &Startup, name: &str) -> Result<Handle, &'static str> {
    env.find(name).map(|entry| entry.handle).ok_or("a capability was not granted")
}

/// Sleeps until killed.
pub fn sleep() -> ! {
    loop {
        if let Ok(port) = libsys::sys::port_create() {
            let _ = libsys::sys::port_wait(port.handle(), 0, 1, FOREVER);
        }
    }
}
