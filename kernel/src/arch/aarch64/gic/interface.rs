//! The CPU interface: system registers (Arm IHI 0069H, chapter 12.2).

use core::arch::asm;

use tocsin_firmware::arm::Affinity;

use super::{POKE, PRIORITY_MASK};

/// `ICC_SRE_EL1.SRE`: system registers instead of memory-mapped ones.
const SRE: u64 = 1;
/// `ICC_CTLR_EL1.EOImode`: end of interrupt only drops the priority.
const EOI_MODE: u64 = 1 << 1;

macro_rules! register {
    ($(#[$doc:meta])* read $name:ident = $register:literal) => {
        $(#[$doc])*
        #[inline(always)]
        fn $name() -> u64 {
            let value;
            // SAFETY: the register belongs to the kernel; what reading it does to the GIC is
            // what its callers want.
            unsafe {
                asm!(concat!("mrs {}, ", $register), out(reg) value,
                    options(nostack, preserves_flags));
            }
            value
        }
    };
    ($(#[$doc:meta])* write $name:ident = $register:literal) => {
        $(#[$doc])*
        #[inline(always)]
        fn $name(value: u64) {
            // SAFETY: the register belongs to the kernel, and no value of it touches memory.
            // Memory accesses are not moved across.
            unsafe {
                asm!(concat!("msr ", $register, ", {}"), in(reg) value,
                    options(nostack, preserves_flags));
            }
        }
    };
}

register!(read features = "id_aa64pfr0_el1");
register!(read system_registers = "icc_sre_el1");
register!(write set_system_registers = "icc_sre_el1");
register!(read control = "icc_ctlr_el1");
register!(write set_control = "icc_ctlr_el1");
register!(write set_priority_mask = "icc_pmr_el1");
register!(write set_binary_point = "icc_bpr1_el1");
register!(write set_group_enable = "icc_igrpen1_el1");
register!(/// Acknowledges: the interrupt becomes active.
    read acknowledge_register = "icc_iar1_el1");
register!(write end_register = "icc_eoir1_el1");
register!(write deactivate_register = "icc_dir_el1");
register!(write generate_register = "icc_sgi1r_el1");

fn synchronize() {
    // SAFETY: a barrier changes nothing.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// Turns this CPU's interface on. Says why it can not.
pub fn enable() -> Result<(), &'static str> {
    // ID_AA64PFR0_EL1.GIC (DDI 0487, D19).
    if features() >> 24 & 0xf == 0 {
        return Err("this CPU has no GIC system registers: a GICv3 or newer is needed");
    }
    set_system_registers(system_registers() | SRE);
    synchronize();
    if system_registers() & SRE == 0 {
        return Err("firmware keeps the GIC's system registers from the kernel: \
                    ICC_SRE_EL2.Enable and ICC_SRE_EL3.Enable must be set");
    }
    // Written whole: what a loader left would differ between the CPUs.
    set_control(EOI_MODE);
    set_priority_mask(PRIORITY_MASK);
    // One interrupt is taken at a time, so there is nothing to preempt.
    set_binary_point(0);
    set_group_enable(1);
    synchronize();
    if control() & EOI_MODE == 0 {
        return Err("the GIC's CPU interface does not keep EOImode 1");
    }
    Ok(())
}

/// Takes the interrupt of the highest priority; 1020 and above: there is none.
#[inline(always)]
pub fn acknowledge() -> u32 {
    let intid = acknowledge_register() as u32;
    // SAFETY: a barrier. That the interrupt is no longer pending is only certain after it
    // (ICC_IAR1_EL1), and a device that raises it again must find it so.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
    intid
}

/// Drops the priority to what it was before the interrupt.
#[inline(always)]
pub fn end(intid: u32) {
    end_register(u64::from(intid));
}

/// Makes an interrupt that is active on this CPU, or an SPI, inactive.
#[inline(always)]
pub fn deactivate(intid: u32) {
    deactivate_register(u64::from(intid));
}

/// Raises `POKE` on another CPU (`ICC_SGI1R_EL1`, 12.2.20).
pub fn send_poke(to: Affinity) {
    let [aff3, aff2, aff1, aff0] = to.bits().to_be_bytes().map(u64::from);
    let (range, target) = (aff0 >> 4, 1 << (aff0 & 0xf));
    let value = aff3 << 48 | range << 44 | aff2 << 32 | u64::from(POKE) << 24 | aff1 << 16 | target;
    // SAFETY: a barrier. What was written for the other CPU to see comes before the poke.
    unsafe { asm!("dsb ishst", options(nostack, preserves_flags)) };
    generate_register(value);
    synchronize();
}
