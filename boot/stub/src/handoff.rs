//! What differs from boot to boot when the kernel is entered.

use crate::arch::AddressSpace;

/// The state to enter the kernel with.
pub struct Handoff {
    /// The kernel's first address space.
    pub space: AddressSpace,
    /// The kernel's first stack, as it sees it.
    pub stack_top: u64,
    /// Where it starts.
    pub entry: u64,
}
