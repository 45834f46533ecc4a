//! Attacks with x86-64 instructions. Exception numbers are those of the Intel SDM, volume
//! 3, table 6-1: #DE 0, #DB 1, #BP 3, #UD 6, #NM 7, #GP 13, #PF 14.

use core::arch::asm;

use super::{Attack, Fate};
use crate::harness::Test;

/// Tests of what other architectures do not have.
pub const KERNEL_TESTS: &[Test] = &[];
/// The same of the servers.
pub const SERVER_TESTS: &[Test] = &[];

const DEBUG: Fate = Fate::Fault(1);
const UNDEFINED: Fate = Fate::Fault(6);
const PROTECTION: Fate = Fate::Fault(13);
const PAGE: Fate = Fate::Fault(DATA_FAULT);

/// ISA 13 was the coprocessor's, and no device of ours asserts it.
pub const UNUSED_LINE: u32 = 13;

/// Code of a load or store that is not allowed: a page fault.
pub const DATA_FAULT: u64 = 14;
/// Code of an instruction that must not be fetched: a page fault as well.
pub const FETCH_FAULT: u64 = 14;
/// Each CPU has vectors of its own.
pub const VECTORS_ARE_SHARED: bool = false;
/// Vectors have eight bits.
pub const LAST_VECTOR: u64 = 255;
/// Exceptions, and the numbers behind the last.
pub const NO_VECTORS: &[u64] = &[2, 14, 31, 255, 256];

/// Where there is no interrupt server nothing raises any.
pub fn first_quiet_vector(first: u64, _last: u64) -> u64 {
    first
}

/// None can.
pub fn can_be_level(_vector: u64) -> bool {
    false
}

/// All of one CPU.
pub fn vectors(first: u64, last: u64) -> impl Iterator<Item = u64> {
    first..=last
}

/// Made-up pairs, after the pattern of a good one.
pub fn forged_pairs(address: u64, _data: u32) -> impl Iterator<Item = (u64, u32)> {
    // Compatibility format (bit 4 of the address clear), which the remapper blocks. QEMU 7.2
    // does not (`vtd_interrupt_remap_msi` passes it on unseen), so only vectors that belong
    // to no message are tried: to the kernel they are strays, and it lives on, even with
    // the numbers of exceptions. (Vectors below 16 are no
    // interrupts to a local APIC: Intel SDM volume 3, 11.5.2.)
    let vectors = (0x10..0x30).chain(0xf0..=0xff);
    let direct = vectors.flat_map(|vector| [(0xfee0_0000, vector), (0xfee0_1000, vector)]);
    // Remappable format: entries that nobody has, and a subhandle far off.
    let nobodys = [0x7000u64, 0x7fff, 0x3abc].map(|handle| (0xfee0_0010 | handle << 5, 0));
    // With the subhandle valid bit the data is added to the handle. QEMU adds in 16 bits
    // (`vtd_interrupt_remap_msi`), so a sum past the table's end is a low entry, perhaps one
    // of our own; hence sums that lead to entries that nobody has.
    let handle = (address >> 5) as u32 & 0x7fff;
    let sums =
        [0x3abcu32, 0x7fff].map(|unused| (address | 1 << 3, unused.wrapping_sub(handle) & 0xffff));
    direct.chain(nobodys).chain(sums)
}

/// First byte of the kernel's image.
const KERNEL_IMAGE: u64 = 0xffff_ffff_8000_0000;
/// First byte of the loaders' direct map of physical memory (and of ours, or nothing).
const DIRECT_MAP: u64 = 0xffff_8000_0000_0000;
/// First address of the hole that no pointer can name.
const HOLE: u64 = 0x0000_8000_0000_0000;

/// Ticks of the time-stamp counter.
pub fn counter() -> u64 {
    // SAFETY: reads a counter; user mode may.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Reads eight bytes from anywhere.
pub fn load(address: u64) -> u64 {
    let value;
    // SAFETY: reads memory only. A bad address is the point: the CPU faults and the
    // kernel ends this process, which exists for that.
    unsafe { asm!("mov {}, [{}]", out(reg) value, in(reg) address, options(nostack, readonly)) };
    value
}

/// Writes eight bytes to anywhere.
pub fn store(address: u64, value: u64) {
    // SAFETY: callers pass addresses that must fault, or memory they mapped for this and
    // that no Rust object lives in.
    unsafe { asm!("mov [{}], {}", in(reg) address, in(reg) value, options(nostack)) };
}

/// Writes four bytes to a device's register.
pub fn store32(address: u64, value: u32) {
    // SAFETY: as for `store`.
    unsafe { asm!("mov [{}], {:e}", in(reg) address, in(reg) value, options(nostack)) };
}

/// Executes whatever is at `address`, with a return address on the stack.
pub fn jump(address: u64) {
    // SAFETY: either the address is not executable, and the process ends, or the caller
    // put a `ret` there.
    unsafe { asm!("call {}", in(reg) address, clobber_abi("sysv64")) };
}

/// Machine code of `ret`.
pub const RETURN: u64 = 0xc3;

/// Runs instructions that touch no memory; whether they fault is the question.
macro_rules! instructions {
    ($($text:literal),* $(; $($operand:tt)*)?) => {
        // SAFETY: either the first privileged instruction faults and the process ends, or
        // the sequence restores what it changed; nothing of ours is in the clobbers.
        || unsafe {
            asm!($($text,)* $($($operand)*,)? out("rax") _, out("rcx") _, out("rdx") _,
                out("rdi") _, out("rsi") _, out("r8") _, out("r9") _, out("r10") _,
                out("r11") _)
        }
    };
}

/// Attacks that end in an exception (far returns end in #GP, but QEMU 7.2 pops their frames
/// with supervisor rights, which is #PF under SMAP), and attacks on the entry of system calls that end in
/// nothing. `xor eax, eax` is `kernel_nop`.
#[rustfmt::skip]
pub const ATTACKS: &[Attack] = &[
    Attack { name: "read_null", fate: PAGE, run: || { load(0); } },
    Attack { name: "write_null", fate: PAGE, run: || store(8, 1) },
    Attack { name: "read_kernel_image", fate: PAGE, run: || { load(KERNEL_IMAGE); } },
    Attack { name: "write_kernel_image", fate: PAGE, run: || store(KERNEL_IMAGE + 0x10_0000, 0) },
    Attack { name: "jump_to_kernel_image", fate: PAGE, run: || jump(KERNEL_IMAGE) },
    Attack { name: "read_direct_map", fate: PAGE, run: || { load(DIRECT_MAP); } },
    Attack { name: "write_direct_map", fate: PAGE, run: || store(DIRECT_MAP + 0x10_0000, 0) },
    Attack { name: "read_top_of_memory", fate: PAGE, run: || { load(u64::MAX - 7); } },
    Attack { name: "read_non_canonical", fate: PROTECTION, run: || { load(HOLE); } },
    Attack { name: "write_non_canonical", fate: PROTECTION, run: || store(0x8000_dead_beef_0000, 0) },
    Attack { name: "read_local_apic", fate: PAGE, run: || { load(0xfee0_0020); } },
    Attack { name: "write_own_code", fate: PAGE, run: || store(counter as *const () as u64, 0) },
    Attack { name: "execute_stack", fate: PAGE, run: execute_stack },
    Attack { name: "overflow_stack", fate: PAGE, run: || { overflow_stack(0); } },
    Attack { name: "cli", fate: PROTECTION, run: instructions!("cli") },
    Attack { name: "sti", fate: PROTECTION, run: instructions!("sti") },
    Attack { name: "hlt", fate: PROTECTION, run: instructions!("hlt") },
    Attack { name: "in_port", fate: PROTECTION, run: instructions!("in al, 0x60") },
    Attack { name: "out_port", fate: PROTECTION, run: instructions!("mov al, 0x10", "out 0xf4, al") },
    Attack { name: "write_cr3", fate: PROTECTION, run: instructions!("xor eax, eax", "mov cr3, rax") },
    Attack { name: "read_cr0", fate: PROTECTION, run: instructions!("mov rax, cr0") },
    Attack { name: "rdmsr", fate: PROTECTION, run: instructions!("mov ecx, 0xc0000080", "rdmsr") },
    Attack { name: "wrmsr", fate: PROTECTION, run: instructions!("mov ecx, 0xc0000082", "xor eax, eax", "xor edx, edx", "wrmsr") },
    Attack { name: "swapgs", fate: PROTECTION, run: instructions!("swapgs") },
    Attack { name: "invlpg", fate: PROTECTION, run: instructions!("invlpg [rsp]") },
    // QEMU 10 lets user mode do this one; nothing is cached there.
    Attack { name: "wbinvd", fate: Fate::MayFault(13), run: instructions!("wbinvd") },
    Attack { name: "lgdt", fate: PROTECTION, run: instructions!("lgdt [rsp]") },
    Attack { name: "lidt", fate: PROTECTION, run: instructions!("lidt [rsp]") },
    Attack { name: "sysretq", fate: PROTECTION, run: instructions!("sysretq") },
    Attack { name: "iretq_to_kernel", fate: Fate::AnyFault, run: instructions!("push 0x10", "push rsp", "push 2", "push 8", "push 0x400000", "iretq") },
    Attack { name: "software_interrupt_80", fate: PROTECTION, run: instructions!("int 0x80") },
    Attack { name: "software_device_interrupt", fate: PROTECTION, run: instructions!("int 0x41") },
    Attack { name: "software_page_fault", fate: PROTECTION, run: instructions!("int 14") },
    Attack { name: "software_double_fault", fate: PROTECTION, run: instructions!("int 8") },
    Attack { name: "far_kernel_segment", fate: Fate::AnyFault, run: instructions!("push 8", "lea rax, [rip]", "push rax", "retfq") },
    Attack { name: "undefined", fate: UNDEFINED, run: instructions!("ud2") },
    Attack { name: "divide_by_zero", fate: Fate::Fault(0), run: instructions!("xor edx, edx", "xor eax, eax", "mov ecx, 0", "div ecx") },
    Attack { name: "x87", fate: Fate::AnyFault, run: instructions!("fninit", "fld1") },
    Attack { name: "sse", fate: Fate::AnyFault, run: instructions!("xorps xmm0, xmm0") },
    Attack { name: "single_step", fate: DEBUG, run: instructions!("pushfq", "or qword ptr [rsp], 0x100", "popfq", "nop", "nop") },
    Attack { name: "syscall_kernel_stack", fate: Fate::Survives, run: || syscall_with_stack(KERNEL_IMAGE + 0x1000) },
    Attack { name: "syscall_null_stack", fate: Fate::Survives, run: || syscall_with_stack(0) },
    Attack { name: "syscall_non_canonical_stack", fate: Fate::Survives, run: || syscall_with_stack(HOLE + 8) },
    Attack { name: "syscall_odd_stack", fate: Fate::Survives, run: || syscall_with_stack(u64::MAX) },
    Attack { name: "syscall_direction_flag", fate: Fate::Survives, run: instructions!("std", "xor eax, eax", "syscall", "cld") },
    Attack { name: "syscall_nested_task_flag", fate: Fate::Survives, run: instructions!("pushfq", "or qword ptr [rsp], 0x4000", "popfq", "xor eax, eax", "syscall", "mov eax, 1", "syscall", "pushfq", "and qword ptr [rsp], -0x4001", "popfq") },
    Attack { name: "syscall_alignment_flag", fate: Fate::Survives, run: instructions!("pushfq", "or qword ptr [rsp], 0x40000", "popfq", "xor eax, eax", "syscall", "mov eax, 2", "syscall", "pushfq", "and qword ptr [rsp], -0x40001", "popfq") },
    Attack { name: "syscall_null_segments", fate: Fate::Survives, run: instructions!("xor eax, eax", "mov ds, ax", "mov es, ax", "mov fs, ax", "mov gs, ax", "syscall", "mov eax, 1", "syscall") },
    Attack { name: "syscall_single_step", fate: DEBUG, run: instructions!("xor eax, eax", "pushfq", "or qword ptr [rsp], 0x100", "popfq", "syscall", "nop") },
];

/// Makes system calls with a stack pointer that nobody may follow, first one that returns
/// at once and then one that gives up the CPU, so that it is saved and restored too.
fn syscall_with_stack(stack: u64) {
    // SAFETY: the old stack pointer is kept in a register that calls preserve and is put
    // back before anything uses the stack; interrupts of user code do not use it.
    unsafe {
        asm!(
            "mov r12, rsp",
            "mov rsp, {stack}",
            "xor eax, eax",
            "syscall",
            "mov eax, 1",
            "syscall",
            "mov rsp, r12",
            stack = in(reg) stack,
            out("r12") _, out("rax") _, out("rcx") _, out("rdx") _, out("rdi") _,
            out("rsi") _, out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
}

/// Puts a `ret` on the stack and calls it.
fn execute_stack() {
    let code = [RETURN; 2];
    jump(core::hint::black_box(&code).as_ptr() as u64);
}

/// Eats stack until the guard page ends it.
fn overflow_stack(depth: u64) -> u64 {
    let room = core::hint::black_box([depth; 64]);
    if depth > 1 << 30 {
        return room[0];
    }
    overflow_stack(depth + 1) + room[(depth % 64) as usize]
}
