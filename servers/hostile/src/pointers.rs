//! The kernel's own addresses, handed to every call that takes a pointer; then a look at
//! the kernel, which must be the end.

use libsys::sys;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle, Rights};

use crate::{granted, ready};

/// Addresses that are not the process's: null, the hole, the direct map, the image, the
/// end of all.
const FORBIDDEN: &[u64] = &[
    0,
    0x7fff_ffff_f000,
    0x7fff_ffff_ffe0,
    0x8000_0000_0000,
    0xffff_8000_0000_0000,
    0xffff_8000_0010_0000,
    0xffff_c000_0000_0000,
    0xffff_ffff_8000_0000,
    0xffff_ffff_8020_0000,
    0xffff_ffff_ffff_f000,
    0xffff_ffff_ffff_ffe0,
];
/// Exit code for a call that took a pointer that it must not take.
const TAKEN: u64 = 50;

/// Tries them all; exits with [`TAKEN`] when one is accepted, and otherwise dies of the
/// look at the kernel.
pub fn run(env: &'static Startup) -> Result<u64, Error> {
    // Where it has no log the handle is none, and the calls fail for that.
    let log = granted(env, "log").unwrap_or_default();
    let port = sys::port_create()?.handle();
    let memory = sys::memory_create(4096)?.handle();
    let mut timers = alloc::vec::Vec::new();
    for key in 0..4 {
        let timer = sys::timer_create(port, key)?.handle();
        sys::timer_set(timer, 1)?;
        timers.push(timer);
    }
    for &address in FORBIDDEN {
        let calls = [
            sys::port_wait(port, address, 4, 0),
            sys::debug_write(log, address, 16),
            sys::debug_write(log, address, 256),
            sys::memory_map(Handle::NONE, memory, address & !0xfff, 0, 4096, Rights::READ),
            sys::thread_create(Handle::NONE, 0x40_0000, 0x60_0000, 0, 1, address & !0xfff),
            sys::thread_create(Handle::NONE, address, 0x60_0000, 0, 1, 0x5000_0000),
        ];
        for (which, result) in calls.iter().enumerate() {
            // The last page of user space is nobody's, but a thread may well start there.
            let is_user = address < 0x7fff_ffff_f000 && address != 0;
            if result.is_ok() && !is_user {
                return Ok(TAKEN + which as u64);
            }
        }
    }
    ready(env, 1)?;
    let kernel: *const u64 = core::ptr::with_exposed_provenance(0xffff_ffff_8000_0000);
    // SAFETY: not at all. The read faults and the kernel ends this process; if it does
    // not, the exit code says what was wrong with the world.
    Ok(unsafe { kernel.read_volatile() } & 0xff | TAKEN)
}
