//! What runs before and beside `main` on the machine.

use crate::print;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};
use tocsin_abi::startup::{STARTUP_MAGIC, Startup};

/// Exit code of a program that panicked.
const EXIT_PANIC: u64 = 101;
/// Exit code of a program that was started with something else than a startup page.
const EXIT_NO_STARTUP: u64 = 102;

unsafe extern "Rust" {
    /// The program, made by `entry!`.
    safe fn tocsin_program(env: &'static Startup) -> u64;
    /// The program's name, made by `entry!`.
    safe fn tocsin_program_name() -> &'static str;
}

/// Called by `_start` with the startup page.
pub(crate) extern "C" fn start(startup: *const Startup) -> ! {
    // SAFETY: whoever started this process mapped a startup page for its whole life and
    // passed its address (`thread_create`, `argument`); nobody can write it here, since it
    // is mapped read-only. A null or misaligned address gives `None`.
    let env = if startup.is_aligned() { unsafe { startup.as_ref() } } else { None };
    let Some(env) = env.filter(|env| env.magic == STARTUP_MAGIC) else {
        crate::exit(EXIT_NO_STARTUP)
    };
    print::init(env);
    crate::exit(tocsin_program(env))
}

static PANICKING: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    // A panic while printing one does not print again.
    if !PANICKING.swap(true, Ordering::Relaxed) {
        let name = tocsin_program_name();
        match info.location() {
            Some(at) => crate::println!("{name}: panic: {} ({at})", info.message()),
            None => crate::println!("{name}: panic: {}", info.message()),
        }
    }
    crate::exit(EXIT_PANIC)
}
