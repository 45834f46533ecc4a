//! The last step: the machine state that the kernel expects, and the jump.

use super::DIRECT_MAP;
use crate::handoff::Handoff;
use boot_stub_core::memory::Memory;
use core::ptr::addr_of;
use x86_64::VirtAddr;
use x86_64::instructions::port::Port;
use x86_64::instructions::tables::lgdt;
use x86_64::registers::model_specific::Msr;
use x86_64::structures::DescriptorTablePointer;

unsafe extern "C" {
    static gdt: [u64; 7];
    /// In `entry.s`.
    fn handoff(tables: u64, stack_top: u64, entry: u64) -> !;
}

/// Page attribute table in the order of the protocol ("Caching, x86-64"): WB, WT, UC-, UC, WP, WC;
/// encodings from Intel SDM volume 3, table 11-10.
const PAT: u64 = 0x0000_0105_0007_0406;
const IA32_PAT: u32 = 0x277;

/// Mask registers of the two legacy interrupt controllers.
const PIC_MASKS: [u16; 2] = [0x21, 0xa1];

/// Enters the kernel. Four-level paging, WP and NXE are on since `entry.s`; the interrupt inputs of
/// the IOAPIC are masked since reset, and SeaBIOS leaves them so. Caches are coherent.
pub fn enter(Handoff { space, stack_top, entry }: Handoff, _memory: &Memory) -> ! {
    for mask in PIC_MASKS {
        let mut port = Port::<u8>::new(mask);
        // SAFETY: masks all inputs of the legacy controller, which nobody uses.
        unsafe { port.write(0xff) };
    }
    let mut pat = Msr::new(IA32_PAT);
    // SAFETY: every processor with long mode has the PAT. No page that is mapped uses an entry
    // other than the first, which stays write-back.
    unsafe { pat.write(PAT) };
    // The same table at the address that stays mapped; the selectors do not change.
    let pointer = DescriptorTablePointer {
        limit: (size_of::<[u64; 7]>() - 1) as u16,
        base: VirtAddr::new(DIRECT_MAP + addr_of!(gdt) as u64),
    };
    // SAFETY: no segment is loaded before `handoff` has changed to tables that map it.
    unsafe { lgdt(&pointer) };
    // SAFETY: the tables map the stub at its own address, the stack and the kernel.
    unsafe { handoff(space.root(), stack_top, entry) }
}
