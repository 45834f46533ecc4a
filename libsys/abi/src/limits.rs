//! Sizes and limits that both sides of the ABI rely on.

/// Bytes in a page.
pub const PAGE_BYTES: u64 = 4096;
/// First address that user space can not use. The last page below the canonical hole
/// stays unmapped, so that no user instruction ends at a non-canonical address.
pub const USER_END: u64 = 0x0000_7fff_ffff_f000;
/// Lowest address that can be mapped: null pointers fault.
pub const USER_START: u64 = 0x1_0000;
/// Words of one IPC message.
pub const IPC_WORDS: usize = 64;
/// Words of an IPC message that travel in registers.
pub const IPC_REGISTER_WORDS: usize = 4;
/// Handles of one IPC message.
pub const IPC_HANDLES: usize = 8;
/// Packets that one `port_wait` can return.
pub const WAIT_PACKETS: usize = 64;
/// Thread priorities are `0..PRIORITIES`; the higher number runs first.
pub const PRIORITIES: usize = 32;
/// CPUs that the kernel can drive.
pub const MAX_CPUS: usize = 8;
/// Bytes of one memory object at most (a power-of-two block of frames, zeroed when it
/// is made: this bounds how long that takes).
pub const MAX_MEMORY_BYTES: u64 = 4 << 20;
/// Bytes that one `debug_write` or `debug_read` moves at most.
pub const MAX_DEBUG_BYTES: usize = 256;
/// Stacks made by `libsys` are aligned to this, and the thread's IPC buffer is the
/// lowest page of that block: a thread finds its buffer from its stack pointer.
pub const STACK_BLOCK_BYTES: u64 = 0x1_0000;
/// `port_wait` deadline that never comes.
pub const FOREVER: u64 = u64::MAX;
