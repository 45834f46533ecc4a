//! aarch64, with a GICv3 or newer.

mod caches;
mod clock;
mod control;
mod end;
mod entry;
mod exceptions;
mod firmware;
mod frame;
mod gic;
mod identity;
pub mod paging;
mod percpu;
mod psci;
mod regime;
mod serial;
mod smp;
mod start;
mod trampoline;
mod vectors;

use core::arch::asm;
use core::fmt;

use tocsin_abi::Error;

use crate::fatal::fatal;
use crate::irq;

pub use caches::write_back;
pub use clock::{arm_timer, now, ticks_per_second};
pub use control::open_cycle_counter;
pub use end::end;
pub use entry::{enter, idle};
pub use exceptions::{exception_name, fault_address};
pub use firmware::Firmware;
pub use frame::Frame;
pub use gic::poke;
pub use percpu::{cpu_index, cpu_index_or_zero, current_frame, leave_space, load_space, set_frame};
pub use serial::early_print;
pub use smp::start_cpus;
pub use start::load_kernel_tables;
pub use vectors::{check_level, complete, set_private, vector_place, vector_places, vector_space};

use smp::own_affinity;

/// Address zero means that there is no frame; some machines have RAM there.
pub const FIRST_FRAME: u64 = 4096;
/// A CPU can start anywhere.
pub const START_UP_BYTES: u64 = 0;
/// There are none.
pub const IO_PORTS: u64 = 0;
/// Physical addresses there can be.
pub const PHYSICAL_BYTES: u64 = kernel_core::stage1::PHYSICAL_BYTES;

/// Makes faults say what they are. The console comes with the firmware's word.
pub fn early_init() {
    percpu::begin();
    entry::install_vectors();
}

/// Brings up CPU 0: clock, interrupt controller, firmware's services.
pub fn init_boot_cpu(firmware: &Firmware) {
    let platform = &firmware.platform;
    clock::init();
    psci::init(platform.conduit);
    let ready = gic::init(platform).and_then(|()| gic::assign(platform, 0, own_affinity()));
    if let Err(why) = ready {
        fatal(format_args!("the interrupt controller can not be used: {why}"));
    }
    init_this_cpu(0);
}

/// What every CPU does for itself.
pub fn init_this_cpu(index: usize) {
    percpu::init(index);
    entry::install_vectors();
    control::init_this_cpu();
    leave_space();
    if let Err(why) = gic::enable_this_cpu(index) {
        fatal(format_args!("CPU {}: no interrupts: {why}", own_affinity()));
    }
}

/// An interrupt, from user space or from the idle loop.
#[inline(always)]
pub extern "C" fn interrupt() -> ! {
    let intid = gic::acknowledge();
    if vectors::is_lpi(intid) {
        // It is never active, so this is all that the GIC wants.
        gic::end(intid);
        irq::device(intid as u16);
    }
    other_interrupt(intid)
}

/// One that is not a message.
#[inline(never)]
fn other_interrupt(intid: u32) -> ! {
    if gic::is_none(intid) {
        irq::spurious(NO_VECTOR);
    }
    gic::end(intid);
    if vectors::is_spi(intid) || vectors::is_ppi(intid) && intid != gic::timer() {
        // Active until somebody completes it.
        irq::wire(intid as u16);
    }
    if intid == gic::timer() {
        clock::disarm_timer();
    }
    gic::deactivate(intid);
    match intid {
        gic::POKE => irq::poke(NO_VECTOR),
        _ if intid == gic::timer() => irq::timer(NO_VECTOR),
        // Nobody has turned it on. It is counted.
        _ => irq::device(NO_VECTOR),
    }
}

/// No device's: the number of an SGI.
const NO_VECTOR: u16 = 0;

/// Done already, when the interrupt was taken: with all bits of its INTID.
#[inline(always)]
pub fn end_of_interrupt(_vector: u16) {}

/// Only what is in service is ever acknowledged.
#[must_use]
pub fn in_service(_vector: u16) -> bool {
    false
}

/// What is taken for an exception is one: interrupts come by a way of their own.
#[must_use]
pub fn take_forged_interrupt(_number: u64) -> bool {
    false
}

/// What this CPU and its interrupt controller have.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// The kernel can not touch user pages through their mapping.
    pan: bool,
    /// Bits of an address space's number.
    asid_bits: u32,
    /// There are interrupts made by messages.
    lpis: bool,
}

/// Reads `ID_AA64MMFR1_EL1` (DDI 0487, D19) and what has been found out before.
#[must_use]
pub fn cpu_features() -> Features {
    use aarch64_cpu::registers::{ID_AA64MMFR1_EL1, Readable};
    let pan = ID_AA64MMFR1_EL1.get() >> 20 & 0xf != 0;
    Features { pan, asid_bits: regime::asid_bits(), lpis: gic::has_lpis() }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ", {} bits of ASID", self.asid_bits)?;
        let known = [(self.pan, ", PAN"), (self.lpis, ", LPIs")];
        known.into_iter().filter(|(has, _)| *has).try_for_each(|(_, text)| f.write_str(text))
    }
}

/// What remappers call CPU `index`: its affinity, as in `GICR_TYPER`.
#[must_use]
pub fn hardware_id(index: usize) -> u64 {
    u64::from(gic::affinity(index).bits())
}

/// The same pointer, of which the compiler does not know where it leads: it then computes the
/// address once, and not for each field anew.
#[inline(always)]
#[expect(clippy::pointers_in_nomem_asm_block, reason = "there is no instruction that could use it")]
pub fn in_register<T>(mut pointer: *const T) -> *const T {
    // SAFETY: no instruction.
    unsafe { asm!("/* {} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags)) };
    pointer
}

/// Spin hint.
pub fn pause() {
    core::hint::spin_loop();
}

/// Reads an I/O port.
///
/// # Errors
/// `NotSupported`.
pub fn io_read(_port: u16, _width: u64) -> Result<u64, Error> {
    Err(Error::NotSupported)
}

/// Writes an I/O port.
///
/// # Errors
/// `NotSupported`.
pub fn io_write(_port: u16, _width: u64, _value: u64) -> Result<(), Error> {
    Err(Error::NotSupported)
}
