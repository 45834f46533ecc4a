//! The local APIC, as memory-mapped registers or (x2APIC) as MSRs.
//! Intel SDM vol. 3, chapter 11.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use tocsin_abi::limits::MAX_CPUS;
use x86_64::registers::model_specific::Msr;

use super::ports::write_u8;
use super::{POKE_VECTOR, SPURIOUS_VECTOR, TIMER_VECTOR, clock};
use crate::mm::direct;

const ID: u32 = 0x20;
const TASK_PRIORITY: u32 = 0x80;
const END_OF_INTERRUPT: u32 = 0xb0;
const SPURIOUS: u32 = 0xf0;
/// Interrupts in service: eight registers of 32 vectors each.
const IN_SERVICE: u32 = 0x100;
const COMMAND_LOW: u32 = 0x300;
const COMMAND_HIGH: u32 = 0x310;
const TIMER: u32 = 0x320;
const LINT0: u32 = 0x350;
const LINT1: u32 = 0x360;
const ERROR: u32 = 0x370;
const TIMER_INITIAL: u32 = 0x380;
const TIMER_CURRENT: u32 = 0x390;
const TIMER_DIVIDE: u32 = 0x3e0;

const SOFTWARE_ENABLE: u32 = 1 << 8;
const MASKED: u32 = 1 << 16;
const DIVIDE_BY_1: u32 = 0b1011;
const ICR_PENDING: u32 = 1 << 12;
const ICR_ASSERT: u32 = 1 << 14;
/// Delivery mode of an inter-processor interrupt.
pub const ICR_INIT: u32 = 0b101 << 8;
/// Delivery mode of an inter-processor interrupt.
pub const ICR_STARTUP: u32 = 0b110 << 8;

const APIC_BASE_MSR: u32 = 0x1b;
const X2APIC_ENABLED: u64 = 1 << 10;
const X2APIC_MSR: u32 = 0x800;
const BASE_MASK: u64 = 0x000f_ffff_ffff_f000;
/// Polls before a command counts as stuck.
const PATIENCE: u32 = 1_000_000;

static BASE: AtomicU64 = AtomicU64::new(0);
static X2APIC: AtomicBool = AtomicBool::new(false);
static IDS: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(u32::MAX) }; MAX_CPUS];
/// Timer ticks per counter tick, times 2^32.
static TIMER_RATIO: AtomicU64 = AtomicU64::new(0);

#[inline(always)]
fn write(register: u32, value: u32) {
    if X2APIC.load(Ordering::Relaxed) {
        // SAFETY: a register of our own local APIC; the values are ours.
        unsafe { Msr::new(X2APIC_MSR + (register >> 4)).write(u64::from(value)) };
    } else {
        let address = BASE.load(Ordering::Relaxed) + u64::from(register);
        // SAFETY: the direct map covers the local APIC, uncached, for good.
        unsafe { (address as *mut u32).write_volatile(value) };
    }
}

fn read(register: u32) -> u32 {
    if X2APIC.load(Ordering::Relaxed) {
        // SAFETY: a register of our own local APIC, whose reads change nothing.
        (unsafe { Msr::new(X2APIC_MSR + (register >> 4)).read() }) as u32
    } else {
        let address = BASE.load(Ordering::Relaxed) + u64::from(register);
        // SAFETY: the direct map covers the local APIC, uncached, for good.
        unsafe { (address as *const u32).read_volatile() }
    }
}

fn base_register() -> u64 {
    // SAFETY: reading the base register changes nothing.
    unsafe { Msr::new(APIC_BASE_MSR).read() }
}

/// Physical address of the local APIC, as the CPU says.
pub fn base() -> Option<u64> {
    Some(base_register() & BASE_MASK).filter(|&base| base != 0)
}

/// Notes where the local APIC is and turns off the old interrupt controllers.
pub fn init(address: u64) {
    BASE.store(direct(address) as u64, Ordering::Relaxed);
    // A loader may have switched to x2APIC mode, from which there is no way back.
    X2APIC.store(base_register() & X2APIC_ENABLED != 0, Ordering::Relaxed);
    // The 8259s: every line masked.
    write_u8(0x21, 0xff);
    write_u8(0xa1, 0xff);
}

/// Turns on this CPU's local APIC and notes its id.
pub fn enable_this_cpu(index: usize) {
    if X2APIC.load(Ordering::Relaxed) {
        let base = base_register();
        // SAFETY: the mode in which the boot CPU runs already; all must agree.
        unsafe { Msr::new(APIC_BASE_MSR).write(base | X2APIC_ENABLED) };
    }
    let id = read(ID);
    let id = if X2APIC.load(Ordering::Relaxed) { id } else { id >> 24 };
    IDS[index].store(id, Ordering::Release);
    write(TASK_PRIORITY, 0);
    write(LINT0, MASKED);
    write(LINT1, MASKED);
    write(ERROR, MASKED);
    write(TIMER, MASKED | u32::from(TIMER_VECTOR));
    write(TIMER_DIVIDE, DIVIDE_BY_1);
    write(SPURIOUS, SOFTWARE_ENABLE | u32::from(SPURIOUS_VECTOR));
    if TIMER_RATIO.load(Ordering::Relaxed) != 0 {
        write(TIMER, u32::from(TIMER_VECTOR));
    }
}

/// Finds out how fast the timer runs, against the counter, for 2 ms.
pub fn calibrate_timer() {
    write(TIMER_INITIAL, u32::MAX);
    let span = clock::ticks_per_second() / 500;
    let start = clock::now();
    while clock::now() - start < span {
        core::hint::spin_loop();
    }
    let counted = u64::from(u32::MAX - read(TIMER_CURRENT));
    let elapsed = clock::now() - start;
    write(TIMER_INITIAL, 0);
    let ratio = (u128::from(counted) << 32) / u128::from(elapsed.max(1));
    TIMER_RATIO.store((ratio as u64).max(1), Ordering::Relaxed);
    write(TIMER, u32::from(TIMER_VECTOR));
}

/// Asks for a timer interrupt at `deadline` counter ticks; `u64::MAX`: none.
pub fn arm_timer(deadline: u64) {
    if deadline == u64::MAX {
        write(TIMER_INITIAL, 0);
        return;
    }
    let ahead = u128::from(deadline.saturating_sub(clock::now()));
    let ticks = (ahead * u128::from(TIMER_RATIO.load(Ordering::Relaxed))) >> 32;
    // Too far away for the counter: it fires early and is armed again.
    let ticks = u32::try_from(ticks).unwrap_or(u32::MAX).max(1);
    write(TIMER_INITIAL, ticks);
}

/// Tells the local APIC that the interrupt in service has been taken.
#[inline(always)]
pub fn end_of_interrupt(_vector: u16) {
    write(END_OF_INTERRUPT, 0);
}

/// Whether an interrupt with this vector is in service.
pub fn in_service(vector: u16) -> bool {
    let vector = u32::from(vector);
    read(IN_SERVICE + (vector >> 5 << 4)) >> (vector & 31) & 1 != 0
}

/// The local APIC id of CPU `index`.
pub fn id_of(index: usize) -> u32 {
    IDS[index % MAX_CPUS].load(Ordering::Acquire)
}

/// The local APIC id of this CPU.
pub fn own_id() -> u32 {
    let id = read(ID);
    if X2APIC.load(Ordering::Relaxed) { id } else { id >> 24 }
}

/// Sends an inter-processor interrupt to a local APIC.
pub fn send(id: u32, command: u32) {
    if X2APIC.load(Ordering::Relaxed) {
        let value = u64::from(id) << 32 | u64::from(command | ICR_ASSERT);
        // SAFETY: sends one of the kernel's own inter-processor interrupts.
        unsafe { Msr::new(X2APIC_MSR + (COMMAND_LOW >> 4)).write(value) };
        return;
    }
    write(COMMAND_HIGH, id << 24);
    write(COMMAND_LOW, command | ICR_ASSERT);
    for _ in 0..PATIENCE {
        if read(COMMAND_LOW) & ICR_PENDING == 0 {
            break;
        }
    }
}

/// Makes CPU `index` come into the kernel.
pub fn poke(index: usize) {
    send(id_of(index), u32::from(POKE_VECTOR));
}
