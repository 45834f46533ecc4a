//! What a program was given: typed access to the startup page.

use crate::map::Mapping;
use crate::object::{Endpoint, IoPorts, Memory, Physical};
use crate::sys;
use core::mem::ManuallyDrop;
use tocsin_abi::startup::{Entry, Startup};
use tocsin_abi::{Error, Handle, Rights};

/// Typed look-ups on the startup page. The handles belong to the program as a whole, so
/// what these return does not close them: ask once and keep it, or ask again.
pub trait Environment {
    /// The handle under this name.
    fn handle(&self, name: &str) -> Option<Handle>;
    /// The value under this name.
    fn value(&self, name: &str) -> Option<u64>;
    /// The bytes of `module:<name>`, mapped for the life of the process.
    ///
    /// # Errors
    /// `BadHandle` when there is no such module, `Widening` when the handle could write,
    /// or as `memory_map`.
    fn module(&self, name: &str) -> Result<&'static [u8], Error>;
    /// Whether a word of the argument text is this.
    fn has_arg(&self, word: &str) -> bool;
    /// The rest of the argument word that starts with `name=`.
    fn arg(&self, name: &str) -> Option<&str>;
}

impl Environment for Startup {
    fn handle(&self, name: &str) -> Option<Handle> {
        self.find(name).map(|entry| entry.handle).filter(|handle| !handle.is_none())
    }

    fn value(&self, name: &str) -> Option<u64> {
        self.find(name).map(|entry| entry.value)
    }

    fn module(&self, name: &str) -> Result<&'static [u8], Error> {
        let is_it =
            |entry: &&Entry| entry.name().strip_prefix("module:").is_some_and(|rest| rest == name);
        module_bytes(self.entries().iter().find(is_it).ok_or(Error::BadHandle)?)
    }

    fn has_arg(&self, word: &str) -> bool {
        self.args().split_ascii_whitespace().any(|arg| arg == word)
    }

    fn arg(&self, name: &str) -> Option<&str> {
        self.args()
            .split_ascii_whitespace()
            .find_map(|arg| arg.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')))
    }
}

/// The bytes of a boot module's entry, mapped for the life of the process.
///
/// # Errors
/// `Widening` when the handle could write, `OutOfRange` when the entry claims more bytes
/// than the object has, or as `memory_map`.
pub fn module_bytes(entry: &Entry) -> Result<&'static [u8], Error> {
    let rights = sys::handle_info(entry.handle)?.values[0] as u16;
    if Rights::from_bits_retain(rights).contains(Rights::WRITE) {
        return Err(Error::Widening);
    }
    let size = sys::memory_info(entry.handle)?.values[0];
    if entry.value > size {
        return Err(Error::OutOfRange);
    }
    let mapping = Mapping::new(entry.handle, 0, size, Rights::READ)?;
    let mapping: &'static Mapping = alloc::boxed::Box::leak(alloc::boxed::Box::new(mapping));
    // SAFETY: mapped readable. Boot modules are handed out without `WRITE` from the kernel
    // on (this handle has none, and rights only narrow), so nobody can change them.
    let bytes = unsafe { mapping.bytes() };
    Ok(&bytes[..entry.value as usize])
}

macro_rules! typed {
    ($($(#[$doc:meta])* $name:ident -> $ty:ident;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(env: &Startup, name: &str) -> Option<ManuallyDrop<$ty>> {
            Environment::handle(env, name).map(|handle| ManuallyDrop::new($ty::own(handle)))
        }
    )*};
}

typed! {
    /// The endpoint under this name.
    endpoint -> Endpoint;
    /// The memory under this name.
    memory -> Memory;
    /// The physical range under this name.
    physical -> Physical;
    /// The I/O ports under this name.
    io_ports -> IoPorts;
}

/// Ends the process.
pub fn exit(code: u64) -> ! {
    loop {
        // Does not return; the loop is for the type, and for a kernel that disagrees.
        let _ = sys::process_exit(code);
    }
}

/// Declares the program's main function: `fn(&'static Startup) -> u64`, whose result is
/// the exit code (zero is success).
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        const _: () = {
            // SAFETY: libsys calls this symbol with this signature, and a program has one
            // `entry!`, since a second would not link.
            #[unsafe(no_mangle)]
            fn tocsin_program(env: &'static $crate::Startup) -> u64 {
                $main(env)
            }

            // SAFETY: as above.
            #[unsafe(no_mangle)]
            fn tocsin_program_name() -> &'static str {
                ::core::env!("CARGO_CRATE_NAME")
            }
        };
    };
}
