//! Segments: none of them does anything any more, but the CPU wants them.

use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, DS, ES, FS, GS, SS, Segment};
use x86_64::instructions::tables::load_tss;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};

use super::percpu::PerCpu;

/// Kernel code selector.
pub const KERNEL_CODE: u16 = 0x08;
/// Kernel data selector.
pub const KERNEL_DATA: u16 = 0x10;
/// SYSRET adds 8 for SS and 16 for CS to this.
pub const SYSRET_BASE: u16 = 0x13;
/// User data selector with its privilege level.
pub const USER_DATA: u16 = 0x1b;
/// User code selector with its privilege level.
pub const USER_CODE: u16 = 0x23;

/// Stack index of exceptions that must not trust the current stack.
pub const IST_FAULT: u16 = 0;

/// Fills and loads this CPU's descriptor table and task state.
pub fn load(cpu: &'static mut PerCpu) {
    let fault_stack = cpu.fault_stack_end();
    let kernel_stack = cpu.kernel_stack.get();
    cpu.tss.interrupt_stack_table[IST_FAULT as usize] = VirtAddr::new(fault_stack);
    cpu.tss.privilege_stack_table[0] = VirtAddr::new(kernel_stack);
    cpu.tss.iomap_base = 0xffff;
    let cpu: &'static PerCpu = cpu;
    let mut gdt = GlobalDescriptorTable::<8>::empty();
    let code = gdt.append(Descriptor::kernel_code_segment());
    let data = gdt.append(Descriptor::kernel_data_segment());
    let user_data = gdt.append(Descriptor::user_data_segment());
    let user_code = gdt.append(Descriptor::user_code_segment());
    let task = gdt.append(Descriptor::tss_segment(&cpu.tss));
    debug_assert_eq!([code.0, data.0], [KERNEL_CODE, KERNEL_DATA]);
    debug_assert_eq!([user_data.0, user_code.0], [USER_DATA, USER_CODE]);
    cpu.gdt.call_once(gdt).load();
    select(code, data, task);
}

fn select(code: SegmentSelector, data: SegmentSelector, task: SegmentSelector) {
    let none = SegmentSelector(0);
    // SAFETY: the selector is the kernel code segment of the table just loaded.
    unsafe { CS::set_reg(code) };
    // SAFETY: the selector is the kernel data segment of the table just loaded.
    unsafe { SS::set_reg(data) };
    // SAFETY: a null data segment is allowed in long mode.
    unsafe { DS::set_reg(none) };
    // SAFETY: as for DS.
    unsafe { ES::set_reg(none) };
    // SAFETY: as for DS.
    unsafe { FS::set_reg(none) };
    // SAFETY: as for DS; the base is set after this.
    unsafe { GS::set_reg(none) };
    // SAFETY: the selector is the task state of the table just loaded.
    unsafe { load_tss(task) };
}
