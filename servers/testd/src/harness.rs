//! How a test says what went wrong, and the loop that runs them all.

use alloc::format;
use alloc::string::{String, ToString};
use core::panic::Location;
use libsys::println;
use tocsin_abi::Error;

use crate::kit::{self, Ctx};

/// What a test found.
pub enum Failure {
    /// The system is wrong, and how.
    Wrong(String),
    /// This machine or this manifest lacks what the test needs, and what.
    Skipped(String),
}

/// What a test returns.
pub type Outcome = Result<(), Failure>;

/// A row of the table of tests.
pub struct Test {
    /// Name, as it appears in `@test` lines and in `kernel/doc/invariants.md`.
    pub name: &'static str,
    /// The attack.
    pub run: fn(&Ctx) -> Outcome,
}

/// Makes a table of tests from function names.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        /// The tests of this file.
        pub const TESTS: &[$crate::harness::Test] =
            &[$($crate::harness::Test { name: stringify!($name), run: $name }),*];
    };
}

impl From<Error> for Failure {
    /// A call that had to succeed did not: `?` says which line made it.
    #[track_caller]
    fn from(error: Error) -> Self {
        Failure::Wrong(format!("{}: unexpected {error:?}", Location::caller()))
    }
}

impl From<libsys::spawn::SpawnError> for Failure {
    #[track_caller]
    fn from(error: libsys::spawn::SpawnError) -> Self {
        Failure::Wrong(format!("{}: unexpected {error:?}", Location::caller()))
    }
}

/// A failure with the line that found it.
#[track_caller]
pub fn wrong(text: impl core::fmt::Display) -> Failure {
    Failure::Wrong(format!("{}: {text}", Location::caller()))
}

/// A reason not to run.
pub fn skip(text: &str) -> Failure {
    Failure::Skipped(text.to_string())
}

/// Fails unless `is_so`.
///
/// # Errors
/// The text, with the line.
#[track_caller]
pub fn check(is_so: bool, text: impl core::fmt::Display) -> Outcome {
    if is_so { Ok(()) } else { Err(wrong(text)) }
}

/// Fails unless both are the same.
///
/// # Errors
/// The text and both values, with the line.
#[track_caller]
pub fn same<T: PartialEq + core::fmt::Debug>(
    found: T,
    wanted: T,
    text: impl core::fmt::Display,
) -> Outcome {
    if found == wanted {
        Ok(())
    } else {
        Err(wrong(format!("{text}: found {found:?}, wanted {wanted:?}")))
    }
}

/// Fails unless `result` is this error.
///
/// # Errors
/// The text and what came instead, with the line.
#[track_caller]
pub fn refused<T>(
    result: Result<T, Error>,
    wanted: Error,
    text: impl core::fmt::Display,
) -> Outcome {
    match result {
        Err(error) if error == wanted => Ok(()),
        Err(error) => Err(wrong(format!("{text}: refused with {error:?}, wanted {wanted:?}"))),
        Ok(_) => Err(wrong(format!("{text}: allowed, wanted {wanted:?}"))),
    }
}

/// Heap that the tests do with, together.
const HEAP_BYTES: usize = 1 << 20;

/// Runs every test whose name contains `filter`, prints a line for each and returns how
/// many failed. A test that leaves a packet, a thread or a handle behind would spoil the
/// next one, so the count of handles before and after must agree.
pub fn run_all(ctx: &Ctx, groups: &[&[Test]], filter: &str) -> u64 {
    let (mut passed, mut failed, mut skipped) = (0u64, 0u64, 0u64);
    // What libsys makes once, when threads first meet at the heap or it first grows, is no
    // test's leak.
    libsys::heap::reserve(HEAP_BYTES);
    for test in groups.iter().flat_map(|group| group.iter()) {
        if !test.name.contains(filter) {
            continue;
        }
        let before = kit::handle_count();
        let outcome = (test.run)(ctx);
        let after = kit::settled_handle_count(before);
        let outcome = match outcome {
            Ok(()) if after != before => {
                Err(wrong(format!("the test leaks handles: {before} before, {after} after")))
            }
            other => other,
        };
        match outcome {
            Ok(()) => {
                passed += 1;
                println!("@test {} ok", test.name);
            }
            Err(Failure::Wrong(text)) => {
                failed += 1;
                println!("@test {} fail {text}", test.name);
            }
            Err(Failure::Skipped(text)) => {
                skipped += 1;
                println!("@test {} skip {text}", test.name);
            }
        }
    }
    println!("testd: {passed} passed, {failed} failed, {skipped} skipped");
    failed
}
