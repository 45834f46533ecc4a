//! What can be wrong with a manifest that can be read.

use alloc::{string::String, vec::Vec};
use core::fmt;

use crate::{BoardIds, DeviceKind, DeviceMatch, Grant, Slots};

/// A rule that a manifest breaks. `program` is the name of the server or driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// `main` names no program.
    UnknownMain {
        /// What it names.
        main: String,
    },
    /// Nothing to run.
    NoPrograms,
    /// Not 1 to [`crate::Manifest::NAME_BYTES`] of `a` to `z`, `0` to `9` and `-`, beginning with a letter.
    BadName {
        /// What it is the name of: a program, module or endpoint.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A name that has a meaning of its own (`init`, `kernel`, `manifest`).
    ReservedName {
        /// The name.
        name: String,
    },
    /// Two programs with one name.
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A number outside of its limits.
    BadNumber {
        /// The program; `interrupt` for the section of that name.
        program: String,
        /// The key.
        key: &'static str,
        /// Its value.
        value: u64,
        /// The smallest allowed.
        min: u64,
        /// The largest allowed.
        max: u64,
    },
    /// The argument text does not fit on the startup page.
    LongArgs {
        /// The program.
        program: String,
        /// Bytes it has.
        bytes: usize,
        /// Bytes it may have.
        max: usize,
    },
    /// More grants than the startup page has room for.
    ManyGrants {
        /// The program.
        program: String,
        /// How many it has.
        count: usize,
        /// How many it may have.
        max: usize,
    },
    /// An endpoint on which nobody receives.
    UnknownEndpoint {
        /// The program.
        program: String,
        /// The grant.
        grant: Grant,
    },
    /// The last I/O port is below the first.
    BadPorts {
        /// The program.
        program: String,
        /// The grant.
        grant: Grant,
    },
    /// The same grant twice in one program.
    RepeatedGrant {
        /// The program.
        program: String,
        /// The grant.
        grant: Grant,
    },
    /// Two programs have authority that only one can have.
    SharedGrant {
        /// The program that has it first.
        first: String,
        /// The other one.
        second: String,
        /// What the other one has.
        grant: Grant,
    },
    /// Two ways to call the same endpoint, which the program could not tell apart.
    AmbiguousCall {
        /// The program.
        program: String,
        /// The endpoint.
        endpoint: String,
    },
    /// A server asks to speak for a device, but has none.
    NotADriver {
        /// The program.
        program: String,
        /// The grant.
        grant: Grant,
    },
    /// An interrupt server below another one, or a driver below such a server, that can not be.
    BadSubsystem {
        /// The program.
        program: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Two drivers for one device.
    SharedDevice {
        /// The driver that has it first.
        first: String,
        /// The other one.
        second: String,
        /// The device.
        device: DeviceMatch,
    },
    /// Vendor id 0xffff is what reads where no device is.
    NoVendor {
        /// The driver, or `quirk`.
        program: String,
    },
    /// A quirk that does not say why it is there.
    NoReason {
        /// The kind of device.
        device: DeviceKind,
    },
    /// Two quirks for one kind of device.
    SharedQuirk {
        /// The kind of device.
        device: DeviceKind,
    },
    /// A table of pins that does not say where it is known from.
    NoPinReason {
        /// The board.
        board: BoardIds,
    },
    /// A table of pins whose slots are none, or whose lines have no numbers.
    BadPins {
        /// The board.
        board: BoardIds,
        /// The slots.
        slots: Slots,
        /// The first line.
        line: u32,
    },
    /// Two tables of pins for one slot.
    SharedSlots {
        /// The board.
        board: BoardIds,
        /// The slots of the second.
        slots: Slots,
    },
    /// More tables of pins than a startup page has room for.
    ManyPins {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// More quirks than a startup page has room for.
    ManyQuirks {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::UnknownMain { main } => {
                write!(f, "system.main = \"{main}\" names no server or driver")
            }
            Problem::NoPrograms => f.write_str("no [[server]] and no [[driver]]"),
            Problem::BadName { what, name } => write!(
                f,
                "{what} name \"{}\": use a to z, 0 to 9 and -, a letter first, at most {} bytes",
                name.escape_debug(),
                crate::Manifest::NAME_BYTES
            ),
            Problem::ReservedName { name } => write!(f, "the name \"{name}\" is reserved"),
            Problem::DuplicateName { name } => write!(f, "two programs are named \"{name}\""),
            Problem::BadNumber { program, key, value, min, max } => {
                write!(f, "{program}: {key} = {value} is not in {min} to {max}")
            }
            Problem::LongArgs { program, bytes, max } => {
                write!(f, "{program}: args has {bytes} bytes, at most {max} fit")
            }
            Problem::ManyGrants { program, count, max } => {
                write!(f, "{program}: {count} grants, at most {max} fit")
            }
            Problem::UnknownEndpoint { program, grant } => {
                write!(f, "{program}: {grant}: nobody receives on that endpoint")
            }
            Problem::BadPorts { program, grant } => {
                write!(f, "{program}: {grant}: the last port is below the first")
            }
            Problem::RepeatedGrant { program, grant } => {
                write!(f, "{program}: {grant} overlaps another of its grants")
            }
            Problem::SharedGrant { first, second, grant } => {
                write!(f, "{second}: {grant} belongs to {first} already")
            }
            Problem::AmbiguousCall { program, endpoint } => {
                write!(f, "{program}: more than one of endpoint:, device: and mint:{endpoint}")
            }
            Problem::NotADriver { program, grant } => {
                write!(f, "{program}: {grant} is for drivers, and a [[server]] has no device")
            }
            Problem::BadSubsystem { program, what } => write!(f, "{program}: {what}"),
            Problem::SharedDevice { first, second, device } => write!(
                f,
                "{second}: device {:04x}:{:04x} number {} belongs to {first} already",
                device.vendor, device.device, device.nth
            ),
            Problem::NoVendor { program } => write!(f, "{program}: vendor 0xffff is no vendor"),
            Problem::NoReason { device } => {
                write!(f, "quirk of {:04x}:{:04x}: says no reason", device.vendor, device.device)
            }
            Problem::SharedQuirk { device } => {
                write!(f, "quirk of {:04x}:{:04x}: there is another", device.vendor, device.device)
            }
            Problem::NoPinReason { board } => write!(f, "pins of {board}: says no reason"),
            Problem::BadPins { board, slots: Slots { first, last }, line } => write!(
                f,
                "pins of {board}: slots {first} to {last} with four lines from {line} can not be: \
                 slots go from 0 to 31, the lower first, and lines below 4294967293"
            ),
            Problem::SharedSlots { board, slots: Slots { first, last } } => {
                write!(f, "pins of {board}: another table has one of the slots {first} to {last}")
            }
            Problem::ManyPins { count, max } => {
                write!(f, "{count} tables of pins, at most {max} fit")
            }
            Problem::ManyQuirks { count, max } => write!(f, "{count} quirks, at most {max} fit"),
        }
    }
}

/// Everything that is wrong with a manifest; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub Vec<Problem>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "manifest: {problem}")?;
        }
        Ok(())
    }
}

impl core::error::Error for Invalid {}
