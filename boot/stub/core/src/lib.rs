//! What the direct boot stub decides, without touching the machine.
//!
//! The stub (`boot/stub`) is entered by `qemu -kernel` or a board's `booti` and must leave the
//! machine as the Limine boot protocol promises. Everything in between that can be wrong (the
//! bundle, the kernel file, the firmware's memory map, the requests in the kernel) is read here, in
//! safe code that runs under `cargo test` on arbitrary bytes. The binary copies, maps and jumps.
//!
//! | step | module |
//! | --- | --- |
//! | read what a PC's virtual machine monitor passes | [`pc`] |
//! | read what the firmware of an Arm machine passes | [`tree`] |
//! | order the memory map, hand out memory | [`memory`], [`placement`] |
//! | find the kernel and the modules in the archive | [`cpio`], [`bundle`] |
//! | check the kernel and lay out its image | [`elf`] |
//! | build Arm's translation tables, set its registers | [`arm`] |
//! | find the Limine requests and answer them | [`limine`], [`requests`], [`arena`], [`answer`] |
//! | say what is wrong | [`fatal`] |
#![no_std]
#![forbid(unsafe_code)]

pub mod answer;
pub mod arena;
pub mod arm;
pub mod bundle;
pub mod cpio;
pub mod elf;
pub mod fatal;
pub mod limine;
pub mod memory;
pub mod pc;
pub mod placement;
pub mod requests;
pub mod tree;

/// Size of a page and of a frame.
pub const PAGE: u64 = 4096;

/// A PC's address space ends here for the boot protocol: the stub keeps everything that it makes,
/// and expects everything that it is given, below 4 GiB, since the protected-mode entry of PVH can
/// point no higher.
pub const FOUR_GIB: u64 = 1 << 32;

/// Rounds up to a multiple of [`PAGE`]; `None` when that is past the end of the address space.
pub const fn page_up(value: u64) -> Option<u64> {
    match value.checked_add(PAGE - 1) {
        Some(sum) => Some(sum & !(PAGE - 1)),
        None => None,
    }
}

/// Rounds down to a multiple of [`PAGE`].
pub const fn page_down(value: u64) -> u64 {
    value & !(PAGE - 1)
}
