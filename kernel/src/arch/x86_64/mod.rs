//! x86_64.

mod apic;
mod clock;
mod entry;
mod firmware;
mod frame;
mod gdt;
mod idt;
pub mod paging;
mod percpu;
mod ports;
mod serial;
mod smp;

use core::arch::asm;
use core::fmt;

use kernel_core::VectorSpace;
use tocsin_abi::Error;
use tocsin_abi::limits::MAX_CPUS;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags, Efer, EferFlags};
use x86_64::registers::model_specific::{LStar, SFMask, Star};
use x86_64::registers::rflags::RFlags;

pub use apic::{arm_timer, end_of_interrupt, in_service, poke};
pub use clock::{now, ticks_per_second};
pub use entry::enter;
pub use firmware::Firmware;
pub use frame::Frame;
pub use percpu::{cpu_index, cpu_index_or_zero, current_frame, leave_space, load_space, set_frame};
pub use ports::{io_read, io_write};
pub use serial::{early_init, early_print};
pub use smp::start_cpus;

/// First and last vector for devices. Below are exceptions and the kernel's own
/// vectors, which must have the lowest priority: an answered poke proves that the CPU
/// has taken every device event before it (Intel SDM vol. 3, 11.8.3: the vector's upper
/// bits are its priority).
const DEVICE_VECTORS: (u16, u16) = (0x30, 0xef);
/// Inter-processor poke.
pub const POKE_VECTOR: u16 = 0x20;
/// Local APIC timer.
pub const TIMER_VECTOR: u16 = 0x21;
/// Spurious interrupts of the local APIC.
pub const SPURIOUS_VECTOR: u16 = 0xff;

/// Frames below are not for the allocator: CPUs start in real mode, which reaches no further.
pub const FIRST_FRAME: u64 = 1 << 20;
/// Bytes below `FIRST_FRAME` for code and tables of starting CPUs.
pub const START_UP_BYTES: u64 = smp::START_UP_BYTES;
/// I/O ports there are.
pub const IO_PORTS: u64 = 1 << 16;
/// Physical addresses there can be.
pub const PHYSICAL_BYTES: u64 = 1 << 52;

/// Where the loader enters, on a stack of its own.
// SAFETY: the name is the ELF's entry point; nothing else has it.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    crate::boot::start()
}

/// Leaves the loader's page tables for the kernel's own.
pub fn load_kernel_tables() {
    paging::load(paging::kernel_root());
}

/// Makes memory hold what the caches hold, for who reads it without them: here they see them.
pub fn write_back(_start: *const u8, _bytes: usize) {}

/// Brings up CPU 0: descriptor tables, system-call entry, local APIC, clock.
pub fn init_boot_cpu(firmware: &Firmware) {
    clock::calibrate();
    apic::init(firmware.local_apic);
    init_this_cpu(0);
    apic::calibrate_timer();
}

/// What every CPU does for itself.
pub fn init_this_cpu(index: usize) {
    percpu::init(index);
    gdt::load(percpu::get());
    idt::load();
    percpu::install(index);
    apic::enable_this_cpu(index);
    init_control_registers();
    init_system_call();
}

fn init_control_registers() {
    let features = cpu_features();
    // SAFETY: no user code runs yet; kernel mappings are W^X already and no user page
    // is touched through user mappings, so WP, SMEP and SMAP forbid nothing we do. No
    // floating point is used anywhere: EM and TS make a user's attempt a fault.
    unsafe {
        Cr0::update(|flags| {
            flags.insert(Cr0Flags::WRITE_PROTECT | Cr0Flags::EMULATE_COPROCESSOR);
            flags.insert(Cr0Flags::TASK_SWITCHED);
            flags.remove(Cr0Flags::MONITOR_COPROCESSOR);
        });
    }
    let mut flags = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION | Cr4Flags::MACHINE_CHECK_EXCEPTION;
    flags.set(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION, features.smep);
    flags.set(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION, features.smap);
    flags.set(Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION, features.umip);
    // SAFETY: as above; only features that the CPU reports are set. Written whole: what a
    // loader left on (FSGSBASE, performance counters, global pages) would differ between
    // CPUs and let threads see more than they should.
    unsafe { Cr4::write(flags) };
}

/// Protections that this CPU has.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// The kernel can not execute user pages.
    pub smep: bool,
    /// The kernel can not touch user pages through their mapping.
    pub smap: bool,
    /// User code can not read descriptor-table registers.
    pub umip: bool,
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = [(self.smep, ", SMEP"), (self.smap, ", SMAP"), (self.umip, ", UMIP")];
        known.into_iter().filter(|(has, _)| *has).try_for_each(|(_, text)| f.write_str(text))
    }
}

/// Reads CPUID leaf 7 (Intel SDM vol. 2, CPUID).
#[must_use]
pub fn cpu_features() -> Features {
    let max = core::arch::x86_64::__cpuid(0).eax;
    if max < 7 {
        return Features { smep: false, smap: false, umip: false };
    }
    let leaf = core::arch::x86_64::__cpuid_count(7, 0);
    Features {
        smep: leaf.ebx >> 7 & 1 != 0,
        smap: leaf.ebx >> 20 & 1 != 0,
        umip: leaf.ecx >> 2 & 1 != 0,
    }
}

fn init_system_call() {
    // SAFETY: the entry code handles `syscall` from here on.
    unsafe {
        Efer::update(|flags| {
            flags.insert(EferFlags::SYSTEM_CALL_EXTENSIONS | EferFlags::NO_EXECUTE_ENABLE);
        });
    }
    LStar::write(entry::system_call_address());
    // SAFETY: the selectors are those of `gdt`, in the order that SYSCALL and SYSRET want
    // (Intel SDM vol. 3, 5.8.8).
    unsafe { Star::write_raw(gdt::SYSRET_BASE, gdt::KERNEL_CODE) };
    SFMask::write(
        RFlags::INTERRUPT_FLAG
            | RFlags::TRAP_FLAG
            | RFlags::DIRECTION_FLAG
            | RFlags::NESTED_TASK
            | RFlags::ALIGNMENT_CHECK,
    );
}

/// Places of one CPU in the vector table: a power of two, so that a place is a shift.
const VECTORS: usize = 256;

/// The vectors that devices can have: each CPU has its own.
#[must_use]
pub const fn vector_space() -> VectorSpace {
    VectorSpace {
        first: DEVICE_VECTORS.0,
        last: DEVICE_VECTORS.1,
        is_shared: false,
        private: (0, 0),
        own: 0,
    }
}

/// Size of the vector table.
#[must_use]
pub const fn vector_places() -> usize {
    VECTORS * MAX_CPUS
}

/// Where a CPU's vector is in the table.
#[inline(always)]
#[must_use]
pub const fn vector_place(cpu: usize, vector: u16) -> usize {
    cpu * VECTORS + vector as usize
}

/// Whether a vector can be level triggered: the local APIC sees edges only; levels are the
/// IOAPIC's affair.
///
/// # Errors
/// `NotSupported`.
pub const fn check_level(_vector: u16) -> Result<(), Error> {
    Err(Error::NotSupported)
}

/// The local APIC holds nothing back after the end of interrupt.
pub const fn complete(_cpu: usize, _vector: u16) {}

/// No vector is private to a CPU in the sense of a GIC.
pub const fn set_private(_cpu: usize, _vector: u16, _comes: Option<tocsin_abi::Trigger>) {}

/// What remappers call CPU `index`: its local APIC id.
#[must_use]
pub fn hardware_id(index: usize) -> u64 {
    u64::from(apic::id_of(index))
}

/// Waits for an interrupt; the entry code starts from a fresh stack when it comes.
pub fn idle() -> ! {
    // SAFETY: 1. interrupts may come: the entry code recognises this code by its privilege
    // level, saves nothing of it and never returns to it. 2. nothing on the stack is
    // needed any more; it begins anew, so that no number of interrupts makes it grow.
    unsafe {
        asm!("mov rsp, gs:[{stack}]", "2:", "sti", "hlt", "jmp 2b",
            stack = const percpu::KERNEL_STACK, options(noreturn));
    }
}

/// User mode reads the time-stamp counter in any case.
pub fn open_cycle_counter() {}

/// The same pointer: an address is part of an instruction here, and takes no register.
#[inline(always)]
pub const fn in_register<T>(pointer: *const T) -> *const T {
    pointer
}

/// Spin hint.
pub fn pause() {
    core::hint::spin_loop();
}

/// Powers off: QEMU's isa-debug-exit, else halts for good.
pub fn end(success: bool) -> ! {
    let code = if success { 0x10 } else { 0x11 };
    ports::write_u32(0xf4, code);
    loop {
        // SAFETY: stops this CPU with interrupts off; nothing runs after.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Whether what looks like exception `number` is an interrupt: then it is ended. A device
/// whose messages nobody checks can send the number of an exception: from 16 up any local
/// APIC takes it, below only QEMU's.
#[must_use]
pub fn take_forged_interrupt(number: u64) -> bool {
    let forged = number < 32 && apic::in_service(number as u16);
    if forged {
        end_of_interrupt(number as u16);
    }
    forged
}

/// The address that the last page fault was about.
#[must_use]
pub fn fault_address() -> u64 {
    x86_64::registers::control::Cr2::read_raw()
}

/// Name of an exception (Intel SDM vol. 3, table 6-1).
#[must_use]
pub fn exception_name(number: u64) -> &'static str {
    match number {
        0 => "divide error",
        1 => "debug exception",
        3 => "breakpoint",
        6 => "invalid instruction",
        7 => "floating point, which is not supported",
        13 => "protection fault",
        14 => "page fault",
        17 => "misaligned access",
        _ => "exception",
    }
}
