//! An Arm machine as its firmware describes it: what the kernel, `init` and the interrupt server need before anything
//! can be asked of the hardware.
//!
//! [`Platform`] is the same whether it came from a device tree ([`Platform::from_device_tree`]) or from ACPI
//! ([`Platform::from_acpi`]). What the system cannot run without (the GIC's distributor and redistributors, a CPU) must be
//! there and right, or there is an [`Error`]; of what it can do without, a broken one is left out and noted in
//! [`Platform::notes`].
//!
//! Specifications cited: *GIC* is Arm's IHI 0069H, *PSCI* is DEN 0022, *BSA* is DEN 0094; *DT* is the Devicetree
//! Specification 0.4, *bindings* are those that the Linux kernel keeps for the community
//! (`interrupt-controller/arm,gic-v3.yaml` and so on).

mod acpi;
mod console;
mod error;
mod interrupt;
mod platform;
mod tree;

pub(crate) use acpi::its_of;
pub use error::{Error, Fault, Part};
pub(crate) use interrupt::Specifiers;
pub use platform::{
    Affinity, Conduit, Console, ConsoleKind, Cpu, DirectMessages, Gic, Its, ItsName, Mbi, Platform,
    Range, Redistributors,
};
pub(crate) use tree::its_nodes;

/// CPUs that are kept.
pub const MAX_CPUS: usize = 8;
/// Redistributor regions that are kept.
pub const MAX_REDISTRIBUTORS: usize = 8;
/// Interrupt translation services that are kept.
pub const MAX_ITS: usize = 8;
/// Ranges of SPIs for message-based interrupts that are kept.
pub const MAX_MBI_RANGES: usize = 4;
/// Notes that are kept.
pub const MAX_NOTES: usize = 8;

/// INTID of the virtual timer where firmware does not say (BSA, PPI assignments: PPI 11).
pub const VIRTUAL_TIMER: u32 = 27;
