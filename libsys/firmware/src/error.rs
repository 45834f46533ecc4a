//! What can be wrong with firmware's tables.

use core::fmt;

use crate::Signature;

/// Why a table, or a piece of one, was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Physical memory that a table claims to be in cannot be read.
    Unreadable {
        /// First byte of the read that failed.
        address: u64,
    },
    /// The memory at the RSDP's address does not begin with `RSD PTR `.
    NotRsdp {
        /// Where it was looked for.
        address: u64,
    },
    /// The RSDP names neither an XSDT nor an RSDT.
    NoRootTable,
    /// A table has another signature than the one asked for.
    WrongSignature {
        /// What the caller asked for.
        expected: Signature,
        /// What is there.
        found: Signature,
    },
    /// The bytes of the table do not add up to zero.
    BadChecksum {
        /// Which table (`RSDP` for the root pointer).
        signature: Signature,
    },
    /// A length field is smaller than the structure's fixed part, or larger than any sane table.
    BadLength {
        /// Which structure.
        what: &'static str,
        /// What its length field says.
        length: u64,
    },
    /// A structure ends before its fields do.
    Truncated {
        /// Which structure.
        what: &'static str,
        /// Bytes it should have at least.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// The root table lists more tables than [`crate::MAX_TABLES`].
    TooManyTables {
        /// How many it lists.
        count: usize,
    },
    /// There is no such table.
    NotFound {
        /// Which one was asked for.
        signature: Signature,
        /// Which of several, from 0.
        nth: usize,
    },
    /// The caller's buffer is too small.
    NoSpace {
        /// Bytes that would have been needed.
        needed: usize,
        /// Bytes that were offered.
        available: usize,
    },
    /// The bytes are not a firmware blob of a version that this crate knows.
    NotBlob,
    /// A directory entry of a blob points outside of it.
    BadDirectory {
        /// Index of the entry.
        index: usize,
    },
    /// A field has a value that the specification does not allow.
    BadValue {
        /// Which field.
        what: &'static str,
        /// Its value.
        value: u64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::Unreadable { address } => {
                write!(f, "physical memory at {address:#x} cannot be read")
            }
            Error::NotRsdp { address } => write!(f, "no ACPI root pointer at {address:#x}"),
            Error::NoRootTable => write!(f, "the ACPI root pointer names no root table"),
            Error::WrongSignature { expected, found } => {
                write!(f, "expected ACPI table {expected}, found {found}")
            }
            Error::BadChecksum { signature } => {
                write!(f, "ACPI table {signature} has a wrong checksum")
            }
            Error::BadLength { what, length } => {
                write!(f, "{what} has an impossible length {length}")
            }
            Error::Truncated { what, needed, available } => {
                write!(f, "{what} needs {needed} bytes, {available} are there")
            }
            Error::TooManyTables { count } => write!(f, "the ACPI root table lists {count} tables"),
            Error::NotFound { signature, nth: 0 } => write!(f, "no ACPI table {signature}"),
            Error::NotFound { signature, nth } => {
                write!(f, "no ACPI table {signature} number {nth}")
            }
            Error::NoSpace { needed, available } => {
                write!(f, "{needed} bytes do not fit in {available}")
            }
            Error::NotBlob => write!(f, "not a firmware blob"),
            Error::BadDirectory { index } => {
                write!(f, "firmware blob entry {index} points outside of the blob")
            }
            Error::BadValue { what, value } => write!(f, "{what} cannot be {value:#x}"),
        }
    }
}

impl core::error::Error for Error {}
