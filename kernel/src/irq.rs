//! Interrupts and exceptions: from the entry code to the objects and out again.

use core::fmt::Write;

use kernel_core::process::Phase;
use kernel_core::thread::Thread;
use kernel_core::{Cx, Id, Stop};
use tocsin_abi::startup::EXIT_FAULT;

use crate::arch::{self, Frame};
use crate::fatal::fatal;
use crate::state::{self, System};
use crate::sync;

/// How soon a CPU that runs threads comes back to a teardown that is not finished.
const TEARDOWN_PAUSE_NS: u64 = 1_000_000;

fn context(cpu: usize) -> Cx {
    Cx { cpu, exclusive: false, thread: Id::NONE, process: Id::NONE }
}

/// A device's interrupt that the interrupt controller does not hold back. Constant work:
/// table, message, port, thread.
#[inline(always)]
pub fn device(vector: u16) -> ! {
    let cpu = arch::cpu_index();
    if !sync::try_enter(cpu) {
        device_late(vector);
    }
    arch::end_of_interrupt(vector);
    match state::get().device_event_fast(cpu, vector) {
        Some(thread) => switch_to(cpu, thread),
        None => device_in_general(vector),
    }
}

/// The same, after somebody exclusive: the short way calls nothing that returns, so that it need
/// not keep anything across a call.
#[cold]
#[inline(never)]
fn device_late(vector: u16) -> ! {
    sync::enter(arch::cpu_index());
    arch::end_of_interrupt(vector);
    device_in_general(vector)
}

#[inline(never)]
fn device_in_general(vector: u16) -> ! {
    let (kernel, cpu) = (state::get(), arch::cpu_index());
    if kernel.device_event(context(cpu), vector).is_err() {
        exclusively(cpu, |kernel, cx| kernel.device_event(cx, vector));
    }
    resume(cpu)
}

/// A device's interrupt that the interrupt controller holds back until it is completed: a wire
/// of its own, on an architecture that has such.
#[allow(dead_code, reason = "one without does not call it")]
pub fn wire(vector: u16) -> ! {
    let cpu = arch::cpu_index();
    sync::enter(cpu);
    arch::end_of_interrupt(vector);
    if state::get().held_event(context(cpu), vector).is_err() {
        exclusively(cpu, |kernel, cx| kernel.held_event(cx, vector));
    }
    resume(cpu)
}

/// This CPU's timer.
pub fn timer(vector: u16) -> ! {
    let cpu = arch::cpu_index();
    sync::enter(cpu);
    arch::end_of_interrupt(vector);
    if state::get().timer_interrupt(context(cpu)).is_err() {
        exclusively(cpu, |kernel, cx| kernel.timer_interrupt(cx));
    }
    resume(cpu)
}

/// Somebody wants this CPU to look: at its run queue, or at an eviction (which waiting
/// for the lock has answered by now).
pub fn poke(vector: u16) -> ! {
    let cpu = arch::cpu_index();
    sync::enter(cpu);
    arch::end_of_interrupt(vector);
    state::get().poke_interrupt(context(cpu));
    resume(cpu)
}

/// Nothing happened, unless a device sent the vector of nothing: that is in service, and
/// would hold up all others if it were not ended.
pub fn spurious(vector: u16) -> ! {
    let cpu = arch::cpu_index();
    sync::enter(cpu);
    if arch::in_service(vector) {
        arch::end_of_interrupt(vector);
    }
    resume(cpu)
}

#[cold]
fn exclusively(cpu: usize, action: impl Fn(&System, Cx) -> Result<(), Stop>) {
    sync::enter_exclusive(cpu);
    // An exclusive context does not escalate.
    let _ = action(state::get(), Cx { exclusive: true, ..context(cpu) });
    sync::leave_exclusive(cpu);
}

/// An interrupt message with the number of an exception: counted, and nothing else.
pub fn forged() -> ! {
    let cpu = arch::cpu_index();
    sync::enter(cpu);
    let strays = &state::get().cpu(cpu).strays;
    strays.set(strays.get() + 1);
    resume(cpu)
}

/// A user thread's exception ends its process.
pub extern "C" fn user_exception(number: u64, frame: &Frame) -> ! {
    if arch::take_forged_interrupt(number) {
        // On a stack of its own the entry has not saved to the thread's frame.
        arch::current_frame().take_from(frame);
        forged();
    }
    let address = arch::fault_address();
    let cpu = arch::cpu_index();
    sync::enter(cpu);
    sync::enter_exclusive(cpu);
    let kernel = state::get();
    let thread = kernel.cpu(cpu).current.get();
    // It may have been killed by another CPU meanwhile.
    if thread.is_some() {
        let process = kernel.thread(thread).process.get();
        let cx = Cx { cpu, exclusive: true, thread, process };
        let _ = writeln!(
            kernel.log(cx),
            "kernel: process {} ends: {} at {:#x}, address {:#x}, error {:#x}",
            process.index(),
            arch::exception_name(number),
            frame.program_counter(),
            address,
            frame.error.get(),
        );
        let _ = kernel.process_exit(cx, EXIT_FAULT | number);
    }
    sync::leave_exclusive(cpu);
    resume(cpu)
}

/// Decides which thread runs and leaves to it. Ends the local context.
#[inline(always)]
pub fn resume(cpu: usize) -> ! {
    let kernel = state::get();
    if kernel.dying.get().is_some() {
        tear_down(cpu);
    }
    let Some(thread) = kernel.choose_thread(cpu) else { rest(cpu) };
    switch_to(cpu, thread)
}

/// Leaves to a thread that is current now. Ends the local context.
#[inline(always)]
pub fn switch_to(cpu: usize, thread: &'static Thread<Frame>) -> ! {
    arch::set_frame(&thread.frame);
    arch::load_space(thread.space.get());
    sync::leave(cpu);
    arch::enter(&raw const thread.frame)
}

/// One bounded step of a teardown. Threads that are ready go first after it; the timer
/// brings us back.
#[cold]
fn tear_down(cpu: usize) {
    // Nobody may be current here, so nobody would evict this CPU from the address space
    // that is still loaded while its lock is given up.
    arch::leave_space();
    sync::enter_exclusive(cpu);
    let kernel = state::get();
    let cx = Cx { exclusive: true, ..context(cpu) };
    let init = kernel.process(crate::boot::INIT);
    if init.phase.get() != Phase::Alive {
        fatal(format_args!("`init` ended with code {:#x}", init.exit_code.get()));
    }
    if kernel.teardown_step(cx) {
        let soon = arch::now() + arch::ticks_per_second() * TEARDOWN_PAUSE_NS / 1_000_000_000;
        let local = kernel.cpu(cpu);
        if soon < local.armed.get() {
            local.armed.set(soon);
            arch::arm_timer(soon);
        }
    }
    sync::leave_exclusive(cpu);
}

/// Nothing to run.
#[cold]
fn rest(cpu: usize) -> ! {
    arch::leave_space();
    sync::leave(cpu);
    arch::idle()
}

/// First entry of a CPU into its scheduler.
pub fn run(cpu: usize) -> ! {
    sync::enter(cpu);
    resume(cpu)
}
