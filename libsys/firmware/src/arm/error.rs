//! What can be wrong with the description of an Arm machine.

use core::fmt;

use crate::{Error as AcpiError, tree::TreeDamage};

/// What a mistake is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The interrupt controller's node or distributor.
    Gic,
    /// A redistributor region.
    Redistributor,
    /// An interrupt translation service.
    Its,
    /// A CPU.
    Cpu,
    /// The architected timer.
    Timer,
    /// The console.
    Console,
    /// Power State Coordination Interface.
    Psci,
    /// Interrupts by writes to the distributor (`mbi-ranges`, `mbi-alias`), or to redistributors
    /// (`tocsin,direct-lpi`).
    Mbi,
    /// A PCI host bridge's configuration space.
    PciHost,
    /// A PCI host bridge's `ranges`.
    PciWindow,
    /// The way from requester ids to an ITS (`msi-map`, IORT).
    DeviceIds,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gic => "interrupt controller",
            Self::Redistributor => "redistributor region",
            Self::Its => "interrupt translation service",
            Self::Cpu => "CPU",
            Self::Timer => "timer",
            Self::Console => "console",
            Self::Psci => "PSCI",
            Self::Mbi => "message-based interrupts",
            Self::PciHost => "PCI configuration space",
            Self::PciWindow => "PCI window",
            Self::DeviceIds => "mapping of device ids",
        })
    }
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is none.
    Missing,
    /// The `reg` property has no such entry.
    NoReg {
        /// Which entry.
        index: usize,
    },
    /// `reg` is not made of whole entries, or one is empty, larger than 64 bits or leaves the address space.
    BadReg,
    /// `ranges` of a bus is not made of whole entries, or one is larger than 64 bits or leaves the address space.
    BadRanges,
    /// No way of `ranges` leads from it to the CPU.
    NotReachable,
    /// A property or field has a value that cannot be.
    BadValue {
        /// Which.
        what: &'static str,
        /// Its value, as far as it is a number.
        value: u64,
    },
    /// There are more than this crate keeps.
    TooMany {
        /// How many are kept.
        kept: usize,
    },
    /// One property is nothing without another.
    Without {
        /// Which is there.
        what: &'static str,
        /// Which is not.
        other: &'static str,
    },
    /// An ACPI table about it is broken.
    Table(AcpiError),
}

/// Why a machine's description cannot be used, or what of it was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The device tree is no device tree.
    Tree(TreeDamage),
    /// A part is missing or wrong.
    Part {
        /// Which.
        part: Part,
        /// What about it.
        fault: Fault,
    },
}

impl Fault {
    /// Says what it is about.
    pub(crate) const fn of(self, part: Part) -> Error {
        Error::Part { part, fault: self }
    }
}

impl From<TreeDamage> for Error {
    fn from(damage: TreeDamage) -> Self {
        Self::Tree(damage)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Missing => write!(f, "firmware describes none"),
            Self::NoReg { index } => write!(f, "its `reg` has no entry {index}"),
            Self::BadReg => write!(f, "its `reg` is malformed"),
            Self::BadRanges => write!(f, "`ranges` of a bus above it is malformed"),
            Self::NotReachable => write!(f, "no `ranges` lead from it to the CPU"),
            Self::BadValue { what, value } => write!(f, "{what} cannot be {value:#x}"),
            Self::TooMany { kept } => write!(f, "there are more than {kept}, the rest is left out"),
            Self::Without { what, other } => {
                write!(f, "{what} is there without {other}, and is left out")
            }
            Self::Table(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree(damage) => write!(f, "device tree: {damage}"),
            Self::Part { part, fault } => write!(f, "{part}: {fault}"),
        }
    }
}

impl core::error::Error for Error {}
