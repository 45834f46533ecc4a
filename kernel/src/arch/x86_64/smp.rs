//! Starting the other CPUs: INIT, then start-up (Intel SDM vol. 3, 8.4.4).
//!
//! A CPU starts in real mode below 1 MiB. The trampoline takes it to long mode in the
//! kernel's address space, where it finds its number, and from there on it is like the
//! boot CPU.

use core::arch::global_asm;
use core::fmt;
use core::slice;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use tocsin_abi::limits::MAX_CPUS;

use super::apic::{ICR_INIT, ICR_STARTUP, own_id, send};
use super::{Firmware, clock, init_this_cpu, paging};
use crate::fatal::fatal;
use crate::mm::direct;

// Offsets in the trampoline of what is patched or referred to.
const GDT: usize = 0x10;
const GDT_POINTER: usize = 0x30;
const FAR_32: usize = 0x38;
const FAR_64: usize = 0x40;
const ROOT: usize = 0x48;
const STACK: usize = 0x50;
const ENTRY: usize = 0x58;
/// One while a CPU is wanted: whoever takes it comes, all others halt.
const CLAIM: usize = 0x60;

global_asm!(
    r#"
    .section .rodata.trampoline, "a"
    .global tocsin_trampoline, tocsin_trampoline_end, tocsin_tr_32, tocsin_tr_64
    .code16
    .balign 16
tocsin_trampoline:
    jmp tocsin_tr_16
    .org tocsin_trampoline + {gdt}
    .quad 0
    .quad 0x00cf9b000000ffff            // 0x08: 32-bit code
    .quad 0x00cf93000000ffff            // 0x10: data
    .quad 0x00af9b000000ffff            // 0x18: 64-bit code
    .org tocsin_trampoline + {gdt_pointer}
    .word 31
    .long 0                             // patched: address of the table
    .org tocsin_trampoline + {far32}
    .long 0                             // patched
    .word 0x08
    .org tocsin_trampoline + {far64}
    .long 0                             // patched
    .word 0x18
    .org tocsin_trampoline + {root}
    .quad 0
    .quad 0
    .quad 0
    .quad 0
tocsin_tr_16:
    cli
    cld
    mov ax, cs
    mov ds, ax
    xor ebx, ebx
    mov bx, cs
    shl ebx, 4                          // where this code lies
    .byte 0x66                          // all 32 bits of the table's address
    lgdt [{gdt_pointer}]
    mov eax, cr0
    or eax, 1
    mov cr0, eax
    .byte 0x66, 0xff, 0x2e              // jmp far dword ptr [far32]
    .word {far32}
    .code32
tocsin_tr_32:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, cr4
    or eax, 0x20                        // PAE
    mov cr4, eax
    mov eax, [ebx + {root}]
    mov cr3, eax
    mov ecx, 0xc0000080                 // EFER: long mode, no-execute
    rdmsr
    or eax, 0x900
    wrmsr
    mov eax, cr0
    and eax, 0x9fffffff                 // caches on: INIT left them as they were
    or eax, 0x80010000                  // paging, write protect
    mov cr0, eax
    jmp fword ptr [ebx + {far64}]
    .code64
tocsin_tr_64:
    xor eax, eax
    xchg [rbx + {claim}], eax           // too late: the place was given to another
    test eax, eax
    jnz 2f
1:  cli
    hlt
    jmp 1b
2:  mov rsp, [rbx + {stack}]
    mov rax, [rbx + {entry}]
    xor ebp, ebp
    call rax
    ud2
tocsin_trampoline_end:
    .section .text
    .code64
    "#,
    gdt = const GDT,
    gdt_pointer = const GDT_POINTER,
    far32 = const FAR_32,
    far64 = const FAR_64,
    root = const ROOT,
    stack = const STACK,
    entry = const ENTRY,
    claim = const CLAIM,
);

unsafe extern "C" {
    safe static tocsin_trampoline: u8;
    safe static tocsin_trampoline_end: u8;
    safe static tocsin_tr_32: u8;
    safe static tocsin_tr_64: u8;
}

/// The CPU that starts now.
static STARTING: AtomicUsize = AtomicUsize::new(0);
/// Which have arrived.
static ARRIVED: [AtomicBool; MAX_CPUS] = [const { AtomicBool::new(false) }; MAX_CPUS];
static RUN: AtomicU64 = AtomicU64::new(0);
/// How long a CPU may take to begin, and how long from there to its arrival.
const PATIENCE_MS: u64 = 500;
const ARRIVAL_MS: u64 = 10_000;
/// One frame of code, three of tables.
pub const START_UP_BYTES: u64 = 4 * 4096;

fn offset(label: *const u8) -> usize {
    label as usize - (&raw const tocsin_trampoline) as usize
}

/// The trampoline's frames: code, then three tables.
struct Low {
    address: u64,
}

impl Low {
    fn bytes(&self) -> &'static mut [u8] {
        // SAFETY: `boot` has set these frames aside for us, and the direct map covers
        // them.
        unsafe { slice::from_raw_parts_mut(direct(self.address), 4096) }
    }

    fn patch(&self, at: usize, value: &[u8]) {
        self.bytes()[at..at + value.len()].copy_from_slice(value);
    }

    /// The claim word.
    fn claim(&self) -> &'static AtomicU32 {
        let word = direct(self.address + CLAIM as u64).cast::<u32>();
        // SAFETY: the word is in the trampoline's frame, aligned, and only ever used
        // atomically from when it is first written.
        unsafe { AtomicU32::from_ptr(word) }
    }

    fn prepare(&self, stack: u64, root: u64) {
        let len = offset(&raw const tocsin_trampoline_end);
        // SAFETY: the code lies between its two labels.
        let code = unsafe { slice::from_raw_parts(&raw const tocsin_trampoline, len) };
        self.bytes()[..len].copy_from_slice(code);
        let linear = |offset: usize| (self.address as u32 + offset as u32).to_le_bytes();
        self.patch(GDT_POINTER + 2, &linear(GDT));
        self.patch(FAR_32, &linear(offset(&raw const tocsin_tr_32)));
        self.patch(FAR_64, &linear(offset(&raw const tocsin_tr_64)));
        self.patch(ROOT, &root.to_le_bytes());
        self.patch(STACK, &stack.to_le_bytes());
        self.patch(ENTRY, &(arrive as *const () as u64).to_le_bytes());
    }
}

/// Starts the CPUs that the firmware knows, and lets them run `run(index)`. `low` is the
/// physical address of `START_UP_BYTES` below 1 MiB. Returns how many CPUs there are; `say`
/// is told of those that do not come.
pub fn start_cpus(
    firmware: &Firmware,
    low: u64,
    run: fn(usize) -> !,
    mut say: impl FnMut(fmt::Arguments<'_>),
) -> usize {
    RUN.store(run as *const () as u64, Ordering::Release);
    let own = own_id();
    let mut count = 1;
    let root = paging::start_up_root(low + 4096);
    for &id in firmware.local_apic_ids().iter().filter(|&&id| id != own) {
        if count == MAX_CPUS {
            break;
        }
        let stack = super::percpu::boot_stack_of(count);
        let trampoline = Low { address: low };
        trampoline.prepare(stack, root);
        STARTING.store(count, Ordering::Release);
        if start(id, &trampoline, count) {
            count += 1;
        } else {
            say(format_args!("CPU with local APIC id {id} did not start"));
        }
    }
    count
}

fn start(id: u32, trampoline: &Low, index: usize) -> bool {
    let arrived = || ARRIVED[index].load(Ordering::Acquire);
    trampoline.claim().store(1, Ordering::Release);
    send(id, ICR_INIT);
    wait_ms(10, || false);
    let page = (trampoline.address >> 12) as u32;
    for _ in 0..2 {
        send(id, ICR_STARTUP | page);
        if wait_ms(PATIENCE_MS / 2, arrived) {
            return true;
        }
    }
    // Nobody else can claim the place from here on. If somebody has, it is on its way and
    // has our stack: then there is nothing to do but wait for it.
    if trampoline.claim().swap(0, Ordering::AcqRel) == 1 {
        return false;
    }
    if !wait_ms(ARRIVAL_MS, arrived) {
        fatal(format_args!("CPU with local APIC id {id} stopped half way through its start"));
    }
    true
}

fn wait_ms(ms: u64, done: impl Fn() -> bool) -> bool {
    let end = clock::now() + clock::ticks_per_second() / 1000 * ms;
    while clock::now() < end {
        if done() {
            return true;
        }
        core::hint::spin_loop();
    }
    done()
}

/// First Rust code of a started CPU, on its own stack.
extern "C" fn arrive() -> ! {
    let index = STARTING.load(Ordering::Acquire);
    paging::load(paging::kernel_root());
    init_this_cpu(index);
    let run = RUN.load(Ordering::Acquire) as *const ();
    // SAFETY: `start_cpus` stored a function of this type.
    let run = unsafe { core::mem::transmute::<*const (), fn(usize) -> !>(run) };
    ARRIVED[index].store(true, Ordering::Release);
    run(index)
}
