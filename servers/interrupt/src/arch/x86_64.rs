//! x86_64: CLFLUSH, which user mode may use (Intel SDM 2A). Stores are seen in program order
//! (Intel SDM 3A §9.2.2), so nothing but the compiler has to be told of it. CMPXCHG16B is the
//! one write of 128 bits that all CPUs have which stand beside an AMD IOMMU.

use core::arch::asm;
use core::arch::x86_64::__cpuid;

/// Writes a cache line back and waits until it is in memory.
///
/// # Safety
/// 1. `address` is mapped in this process.
pub unsafe fn write_back(address: usize) {
    // SAFETY: CLFLUSH of a mapped line changes no value that a program could see (1), and
    // MFENCE only orders. Neither touches registers, flags or the stack.
    unsafe {
        asm!("clflush [{line}]", "mfence", line = in(reg) address, options(nostack, preserves_flags));
    }
}

/// Orders earlier writes before later ones.
pub fn publish() {
    libsys::map::ordering();
}

/// CMPXCHG16B: CPUID 1, ECX 13 (AMD APM 3, "CMPXCHG16B").
pub fn writes_128() -> bool {
    __cpuid(1).ecx >> 13 & 1 == 1
}

/// Writes 128 bits at once.
///
/// # Safety
/// 1. 16 bytes at `address`, a multiple of 16, are mapped writable in this process, and nobody
///    else writes them.
/// 2. `writes_128()`.
pub unsafe fn write_128(address: usize, [low, high]: [u64; 2]) {
    let (mut old_low, mut old_high) = (low, high);
    // At most twice: the first finds out what is there, and nobody else writes it (1).
    loop {
        let (seen_low, seen_high): (u64, u64);
        // SAFETY: 16 mapped bytes, aligned (1); the CPU has the instruction (2). RBX, which the
        // compiler keeps for itself, is what it was before. Not `nomem`: memory is written.
        unsafe {
            asm!(
                "xchg rbx, rsi",
                "lock cmpxchg16b [rdi]",
                "mov rbx, rsi",
                in("rdi") address,
                inout("rsi") low => _,
                in("rcx") high,
                inout("rax") old_low => seen_low,
                inout("rdx") old_high => seen_high,
                options(nostack),
            );
        }
        if (seen_low, seen_high) == (old_low, old_high) {
            return;
        }
        (old_low, old_high) = (seen_low, seen_high);
    }
}
