//! The system calls as functions: one stub per row of the ABI's table.
//!
//! This is the raw layer. It hides nothing and checks nothing: handles are numbers,
//! addresses are numbers, and a program that unmaps its own stack here or lets the kernel
//! write packets over its heap gets what it asked for, like one that writes to
//! `/proc/self/mem` elsewhere. The kernel is safe from it in any case. Programs use the
//! owned types of the other modules; the tests and the hostile server use this.

use crate::arch;
use tocsin_abi::{Error, Handle, Rights, Syscall, Tag, for_each_syscall};

/// What a successful call returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Values {
    /// First result (`rax`).
    pub result: u64,
    /// Values 0 to 5.
    pub values: [u64; 6],
}

impl Values {
    /// The result as a handle, for calls that make one.
    #[inline]
    #[must_use]
    pub const fn handle(&self) -> Handle {
        Handle(self.result as u32)
    }

    /// Splits success from error.
    #[inline(always)]
    fn check(self) -> Result<Values, Error> {
        // One comparison on the good path; which error it is costs only when there is one.
        if (self.result as i64) < 0 { Err(error(self.result)) } else { Ok(self) }
    }
}

#[cold]
fn error(register: u64) -> Error {
    match Error::from_register(register) {
        Err(error) => error,
        Ok(_) => Error::BadSyscall,
    }
}

/// A type that goes into one argument register.
trait Argument: Copy {
    fn register(self) -> u64;
}

impl Argument for u64 {
    #[inline(always)]
    fn register(self) -> u64 {
        self
    }
}

impl Argument for Handle {
    #[inline(always)]
    fn register(self) -> u64 {
        u64::from(self.0)
    }
}

impl Argument for Rights {
    #[inline(always)]
    fn register(self) -> u64 {
        u64::from(self.bits())
    }
}

impl Argument for Tag {
    #[inline(always)]
    fn register(self) -> u64 {
        self.0
    }
}

macro_rules! stubs {
    ($($(#[doc = $doc:literal])* $variant:ident $name:ident($($arg:ident: $ty:ty),*);)*) => {$(
        $(#[doc = $doc])*
        ///
        /// # Errors
        /// As the table of system calls says.
        #[inline(always)]
        pub fn $name($($arg: $ty),*) -> Result<Values, Error> {
            stub!(Syscall::$variant as u64 $(, $arg)*).check()
        }
    )*};
}

/// Picks the stub with the right number of arguments.
macro_rules! stub {
    ($n:expr) => {
        arch::syscall0($n)
    };
    ($n:expr, $a:ident) => {
        arch::syscall1($n, $a.register())
    };
    ($n:expr, $a:ident, $b:ident) => {
        arch::syscall2($n, $a.register(), $b.register())
    };
    ($n:expr, $a:ident, $b:ident, $c:ident) => {
        arch::syscall3($n, $a.register(), $b.register(), $c.register())
    };
    ($n:expr, $a:ident, $b:ident, $c:ident, $d:ident) => {
        arch::syscall4($n, $a.register(), $b.register(), $c.register(), $d.register())
    };
    ($n:expr, $a:ident, $b:ident, $c:ident, $d:ident, $e:ident) => {
        arch::syscall5(
            $n,
            $a.register(),
            $b.register(),
            $c.register(),
            $d.register(),
            $e.register(),
        )
    };
    ($n:expr, $a:ident, $b:ident, $c:ident, $d:ident, $e:ident, $f:ident) => {
        arch::syscall6(
            $n,
            $a.register(),
            $b.register(),
            $c.register(),
            $d.register(),
            $e.register(),
            $f.register(),
        )
    };
}

for_each_syscall!(stubs);

/// A call by number with any registers, known to the table or not: for the hostile server
/// and for tests of the table.
///
/// # Errors
/// Whatever the kernel says.
pub fn raw(number: u64, arguments: [u64; 6]) -> Result<Values, Error> {
    let [a, b, c, d, e, f] = arguments;
    arch::syscall6(number, a, b, c, d, e, f).check()
}
