//! Everything that ends the boot, as one sentence: what is wrong and what to do about it.

use crate::bundle::BundleError;
use crate::elf::ElfError;
use crate::memory::{MAX_REGIONS, Reach, TooManyRegions};
use crate::requests::RequestError;
use crate::tree::TreeDamage;
use core::fmt;

/// Why the kernel cannot be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fatal {
    /// Not entered through PVH.
    NoStartInfo,
    /// Not entered with a device tree.
    NoTree,
    /// The device tree is longer than the boot protocol allows.
    TreeTooLong,
    /// The device tree cannot be read.
    Tree(TreeDamage),
    /// A property of the device tree, or the properties of a node in it, that cannot be read.
    BadProperty(&'static str),
    /// The device tree describes no memory.
    NoMemoryNode,
    /// The processor has no pages of 4 KiB.
    NoSmallPages,
    /// The start info has no memory map.
    NoMemoryMap,
    /// The memory map is too long for the stub.
    MemoryMapTooLong,
    /// A structure that the start info points to lies above 4 GiB or wraps around.
    BadAddress,
    /// The command line has more bytes than the stub keeps.
    CommandLineTooLong,
    /// No module was passed.
    NoModules,
    /// The bundle is not in usable memory below 4 GiB.
    BundleOutOfMemory {
        /// Where it is said to be.
        base: u64,
        /// How long it is said to be.
        size: u64,
    },
    /// The bundle and the stub are in the same place.
    BundleOverStub,
    /// The archive, or what is in it.
    Bundle(BundleError),
    /// The kernel's file.
    Kernel(ElfError),
    /// The kernel's requests.
    Requests(RequestError),
    /// There is not enough usable memory.
    TooLittleMemory {
        /// Bytes that are needed in all.
        needed: u64,
        /// Bytes that were free.
        free: u64,
        /// Where the stub may allocate.
        reach: Reach,
    },
    /// A computed bound of the stub was too small: an error in the stub itself.
    Internal(&'static str),
}

impl From<BundleError> for Fatal {
    fn from(error: BundleError) -> Self {
        Self::Bundle(error)
    }
}

impl From<ElfError> for Fatal {
    fn from(error: ElfError) -> Self {
        Self::Kernel(error)
    }
}

impl From<RequestError> for Fatal {
    fn from(error: RequestError) -> Self {
        Self::Requests(error)
    }
}

impl From<TooManyRegions> for Fatal {
    fn from(_: TooManyRegions) -> Self {
        Self::MemoryMapTooLong
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStartInfo => {
                f.write_str("no PVH start info; start the stub with `qemu-system-x86_64 -kernel`")
            }
            Self::NoTree => f.write_str(
                "no device tree in register x0; start the stub with \
                 `qemu-system-aarch64 -kernel` or U-Boot's `booti`",
            ),
            Self::TreeTooLong => {
                f.write_str("the device tree is longer than 2 MiB; the boot protocol forbids it")
            }
            Self::Tree(damage) => {
                write!(f, "the device tree cannot be read: {damage}; pass another one")
            }
            Self::BadProperty(place) => write!(
                f,
                "the device tree says something about {place} that cannot be read; correct it"
            ),
            Self::NoMemoryNode => f.write_str(
                "the device tree describes no memory; it needs a node /memory with \
                 device_type = \"memory\" and reg",
            ),
            Self::NoSmallPages => f.write_str("this processor has no 4 KiB pages; use another"),
            Self::NoMemoryMap => f.write_str(
                "the firmware gives no usable memory map; use SeaBIOS and QEMU 4.0 or newer",
            ),
            Self::MemoryMapTooLong => {
                write!(f, "the firmware's memory map needs more than {MAX_REGIONS} regions")
            }
            Self::BadAddress => f.write_str(
                "the PVH start info points above 4 GiB; use another virtual machine monitor",
            ),
            Self::CommandLineTooLong => f.write_str(
                "the kernel's command line has more than 4096 bytes; shorten it (-append)",
            ),
            Self::NoModules => {
                f.write_str("no boot modules; pass the bundle as the initial ramdisk (-initrd)")
            }
            Self::BundleOutOfMemory { base, size } => write!(
                f,
                "the bundle ({base:#x}, {size} bytes) does not lie in free memory as a whole; \
                 load it elsewhere, or give the machine more memory (-m)"
            ),
            Self::BundleOverStub => f.write_str(
                "too little memory: the bundle was loaded over the boot stub; \
                 give the machine more memory (-m)",
            ),
            Self::Bundle(error) => error.fmt(f),
            Self::Kernel(error) => write!(f, "the kernel in the bundle cannot be loaded: {error}"),
            Self::Requests(error) => {
                write!(f, "the kernel in the bundle cannot be started: {error}")
            }
            Self::TooLittleMemory { needed, free, reach } => write!(
                f,
                "too little memory: {} KiB are needed for the kernel, the modules and page tables, \
                 each in one piece, {} KiB are free from {:#x} to {:#x} beside the bundle; \
                 give the machine more memory (-m)",
                needed.div_ceil(1024),
                free / 1024,
                reach.lowest,
                reach.highest
            ),
            Self::Internal(what) => write!(f, "error in the boot stub: {what}; please report it"),
        }
    }
}
