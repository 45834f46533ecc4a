//! System calls: from the entry code to the objects and out again.

use kernel_core::kernel::Outcome;
use kernel_core::thread::Thread;
use kernel_core::{Cx, Frame as _, Stop};
use tocsin_abi::limits::IPC_REGISTER_WORDS;
use tocsin_abi::syscall::SYSCALLS;
use tocsin_abi::{Error, Handle, Rights, Syscall, Tag};

use crate::arch::{self, Frame};
use crate::irq;
use crate::state::{self, System};
use crate::sync;

/// Arguments 0 to 5.
type Arguments = [u64; 6];

/// A call that the entry code calls by its number: arguments 0 to 5 are in registers, and
/// the frame of the calling thread holds what must survive. Each is a function of its
/// own, so that none pays for the registers that another needs; and it leaves to the thread
/// that runs next instead of returning, so that it need not restore any for the entry code.
type FastCall = extern "C" fn(u64, u64, u64, u64, u64, u64) -> !;

/// How many numbers have an entry in [`CALLS`].
const NUMBERS: usize = {
    let (mut highest, mut n) = (0, 0);
    while n < SYSCALLS.len() {
        if SYSCALLS[n].number > highest {
            highest = SYSCALLS[n].number;
        }
        n += 1;
    }
    highest as usize + 1
};

/// What the entry code calls, by number. Those of the interrupt and IPC paths have a
/// function of their own, and so have those that a driver makes for each message and that
/// only an exclusive context can do; the rest goes through `dispatch`.
pub static CALLS: [FastCall; NUMBERS] = {
    let mut calls: [FastCall; NUMBERS] = [unknown; NUMBERS];
    macro_rules! general {
        ($($(#[doc = $doc:literal])* $call:ident $name:ident($($arg:ident: $ty:ty),*);)*) => {
            $(calls[Syscall::$call as usize] = any_call::<{ Syscall::$call as u64 }>;)*
        };
    }
    tocsin_abi::for_each_syscall!(general);
    calls[Syscall::KernelNop as usize] = kernel_nop;
    calls[Syscall::IpcCall as usize] = ipc_call;
    calls[Syscall::IpcReplyReceive as usize] = ipc_reply_receive;
    calls[Syscall::PortWait as usize] = port_wait;
    calls[Syscall::PortSignal as usize] = port_signal;
    calls[Syscall::HandleClose as usize] = handle_close;
    calls[Syscall::MessageCreate as usize] = message_create;
    calls[Syscall::MessageActivate as usize] = message_activate;
    calls[Syscall::MessageDeactivate as usize] = message_deactivate;
    calls[Syscall::MessageBind as usize] = message_bind;
    calls[Syscall::MessageUnbind as usize] = message_unbind;
    calls[Syscall::MessageRead as usize] = message_read;
    calls[Syscall::VectorDrain as usize] = vector_drain;
    calls
};

macro_rules! exclusive_calls {
    ($($name:ident($kernel:ident, $cx:ident, $a:ident) = $call:expr;)*) => {$(
        extern "C" fn $name(a0: u64, a1: u64, a2: u64, a3: u64, _: u64, _: u64) -> ! {
            let $a = [a0, a1, a2, a3];
            exclusive_from_entry(#[inline(always)] move |$kernel, $cx| $call)
        }
    )*};
}

exclusive_calls! {
    handle_close(kernel, cx, a) = kernel.handle_close(cx, handle(a[0]));
    message_create(kernel, cx, a) = kernel.message_create(cx, handle(a[0]), a[1], a[2], a[3]);
    message_activate(kernel, cx, a) = kernel.message_activate(cx, handle(a[0]), a[1], a[2], a[3]);
    message_deactivate(kernel, cx, a) = kernel.message_deactivate(cx, handle(a[0]));
    message_bind(kernel, cx, a) = kernel.message_bind(cx, handle(a[0]), handle(a[1]), a[2]);
    message_unbind(kernel, cx, a) = kernel.message_unbind(cx, handle(a[0]));
    message_read(kernel, cx, a) = kernel.message_read(cx, handle(a[0]));
    vector_drain(kernel, cx, a) = kernel.vector_drain(cx, handle(a[0]), a[1], a[2]);
}

/// The way of a call that needs an exclusive context, before any has begun.
#[inline(always)]
fn exclusive_from_entry(call: impl Fn(&'static System, Cx) -> Outcome) -> ! {
    let cpu = arch::cpu_index();
    sync::begin_exclusive(cpu);
    in_exclusive(cpu, call)
}

/// The same, in an exclusive context that has begun.
#[inline(always)]
fn in_exclusive(cpu: usize, call: impl Fn(&'static System, Cx) -> Outcome) -> ! {
    let kernel = state::get();
    let thread = kernel.cpu(cpu).current.get();
    if thread.is_some() {
        let caller = kernel.thread(thread);
        let cx = Cx { cpu, exclusive: true, thread, process: caller.process.get() };
        until_done(kernel, cx, caller, call);
    }
    sync::leave_exclusive(cpu);
    irq::resume(cpu)
}

/// The way of every call, in a local context that has begun: do it, decide who runs.
#[inline(always)]
fn perform(
    cpu: usize,
    call: impl FnOnce(&'static System, Cx) -> Outcome,
    escalate: impl FnOnce(Cx),
) -> ! {
    let kernel = state::get();
    let thread = kernel.cpu(cpu).current.get();
    if thread.is_none() {
        // Killed by another CPU on its way in.
        irq::resume(cpu);
    }
    let caller = kernel.thread(thread);
    let cx = Cx { cpu, exclusive: false, thread, process: caller.process.get() };
    match call(kernel, cx) {
        Ok(result) => caller.frame.set_result(result),
        Err(Stop::Set | Stop::Again) => {}
        Err(Stop::Error(error)) => caller.frame.set_result(error.to_register()),
        Err(Stop::Escalate) => escalate(cx),
    }
    irq::resume(cpu)
}

/// Touches no state, so it takes no lock: back to where it came from.
extern "C" fn kernel_nop(_: u64, _: u64, _: u64, _: u64, _: u64, _: u64) -> ! {
    let frame = arch::current_frame();
    frame.set_result(0);
    arch::enter(frame)
}

// The short ways call nothing that returns: what they would have to keep across a call would
// cost them its saving and restoring each time. So who must wait does it elsewhere.

extern "C" fn ipc_call(a0: u64, a1: u64, a2: u64, a3: u64, a4: u64, a5: u64) -> ! {
    let cpu = arch::cpu_index();
    if !sync::try_enter(cpu) {
        ipc_call_late(a0, a1, a2, a3, a4, a5);
    }
    match state::get().ipc_call_fast::<false>(cpu, a0, Tag(a1), [a2, a3, a4, a5]) {
        Some(thread) => irq::switch_to(cpu, thread),
        None => ipc_call_in_general(a0, a1, a2, a3, a4, a5),
    }
}

extern "C" fn ipc_reply_receive(a0: u64, a1: u64, a2: u64, a3: u64, a4: u64, a5: u64) -> ! {
    let cpu = arch::cpu_index();
    if !sync::try_enter(cpu) {
        ipc_reply_receive_late(a0, a1, a2, a3, a4, a5);
    }
    match state::get().ipc_reply_receive_fast::<false>(cpu, a0, Tag(a1), [a2, a3, a4, a5]) {
        Some(thread) => irq::switch_to(cpu, thread),
        None => ipc_reply_receive_in_general(a0, a1, a2, a3, a4, a5),
    }
}

macro_rules! late_calls {
    ($($name:ident = $call:ident;)*) => {$(
        /// The same, after somebody exclusive.
        #[cold]
        #[inline(never)]
        extern "C" fn $name(
            a0: u64,
            a1: u64,
            a2: u64,
            a3: u64,
            a4: u64,
            a5: u64,
        ) -> ! {
            sync::enter(arch::cpu_index());
            $call(a0, a1, a2, a3, a4, a5)
        }
    )*};
}

late_calls! {
    ipc_call_late = ipc_call_in_general;
    ipc_reply_receive_late = ipc_reply_receive_in_general;
}

extern "C" fn port_wait(a0: u64, a1: u64, a2: u64, a3: u64, _: u64, _: u64) -> ! {
    let cpu = arch::cpu_index();
    if !sync::try_enter(cpu) {
        port_wait_late(a0, a1, a2, a3);
    }
    match state::get().port_wait_fast(cpu, a0, a1, a2, a3) {
        Some(thread) => irq::switch_to(cpu, thread),
        None => port_wait_in_general(a0, a1, a2, a3),
    }
}

/// The same, after somebody exclusive.
#[cold]
#[inline(never)]
extern "C" fn port_wait_late(a0: u64, a1: u64, a2: u64, a3: u64) -> ! {
    sync::enter(arch::cpu_index());
    port_wait_in_general(a0, a1, a2, a3)
}

/// `port_wait`, when it is not the commonest case.
#[inline(never)]
extern "C" fn port_wait_in_general(a0: u64, a1: u64, a2: u64, a3: u64) -> ! {
    perform(
        arch::cpu_index(),
        move |kernel, cx| kernel.port_wait(cx, handle(a0), a1, a2, a3),
        move |cx| exclusively(cx, Syscall::PortWait as u64, [a0, a1, a2, a3, 0, 0]),
    )
}

extern "C" fn port_signal(a0: u64, a1: u64, _: u64, _: u64, _: u64, _: u64) -> ! {
    let cpu = arch::cpu_index();
    if !sync::try_enter(cpu) {
        port_signal_late(a0, a1);
    }
    match state::get().port_signal_fast(cpu, a0, a1) {
        Some(thread) => irq::switch_to(cpu, thread),
        None => port_signal_in_general(a0, a1),
    }
}

/// The same, after somebody exclusive.
#[cold]
#[inline(never)]
extern "C" fn port_signal_late(a0: u64, a1: u64) -> ! {
    sync::enter(arch::cpu_index());
    port_signal_in_general(a0, a1)
}

/// `port_signal`, when it is not the commonest case.
#[inline(never)]
extern "C" fn port_signal_in_general(a0: u64, a1: u64) -> ! {
    go_on(arch::cpu_index(), a0, a1, 0, 0, 0, 0, Syscall::PortSignal as u64)
}

/// A number that no call has.
pub extern "C" fn unknown(_: u64, _: u64, _: u64, _: u64, _: u64, _: u64) -> ! {
    any_call::<{ u64::MAX }>(0, 0, 0, 0, 0, 0)
}

/// The call with this number.
extern "C" fn any_call<const NUMBER: u64>(
    a0: u64,
    a1: u64,
    a2: u64,
    a3: u64,
    a4: u64,
    a5: u64,
) -> ! {
    let cpu = arch::cpu_index();
    sync::enter(cpu);
    go_on(cpu, a0, a1, a2, a3, a4, a5, NUMBER)
}

/// Every call, in a local context that has begun.
#[inline(never)]
extern "C" fn go_on(
    cpu: usize,
    a0: u64,
    a1: u64,
    a2: u64,
    a3: u64,
    a4: u64,
    a5: u64,
    number: u64,
) -> ! {
    let arguments = [a0, a1, a2, a3, a4, a5];
    perform(
        cpu,
        move |kernel, cx| dispatch(kernel, cx, number, arguments),
        move |cx| exclusively(cx, number, arguments),
    )
}

/// `ipc_call`, when it is not the commonest case.
#[inline(never)]
extern "C" fn ipc_call_in_general(a0: u64, a1: u64, a2: u64, a3: u64, a4: u64, a5: u64) -> ! {
    if Tag(a1).handles() > 0 {
        ipc_call_with_handles(a0, a1, a2, a3, a4, a5);
    }
    let cpu = arch::cpu_index();
    if Tag(a1).words() > IPC_REGISTER_WORDS {
        let long = state::get().ipc_call_fast::<true>(cpu, a0, Tag(a1), [a2, a3, a4, a5]);
        if let Some(thread) = long {
            irq::switch_to(cpu, thread);
        }
    }
    go_on(cpu, a0, a1, a2, a3, a4, a5, Syscall::IpcCall as u64)
}

/// Handles travel in an exclusive context.
#[inline(never)]
extern "C" fn ipc_call_with_handles(a0: u64, a1: u64, a2: u64, a3: u64, a4: u64, a5: u64) -> ! {
    let cpu = arch::cpu_index();
    sync::enter_exclusive(cpu);
    if let Some(thread) = state::get().ipc_call_fast::<true>(cpu, a0, Tag(a1), [a2, a3, a4, a5]) {
        sync::leave_exclusive(cpu);
        irq::switch_to(cpu, thread);
    }
    in_exclusive(cpu, move |kernel, cx| kernel.ipc_call(cx, handle(a0), Tag(a1), [a2, a3, a4, a5]))
}

/// `ipc_reply_receive`, when it is not the commonest case.
#[inline(never)]
extern "C" fn ipc_reply_receive_in_general(
    a0: u64,
    a1: u64,
    a2: u64,
    a3: u64,
    a4: u64,
    a5: u64,
) -> ! {
    if Tag(a1).handles() > 0 {
        ipc_reply_receive_with_handles(a0, a1, a2, a3, a4, a5);
    }
    let cpu = arch::cpu_index();
    if Tag(a1).words() > IPC_REGISTER_WORDS {
        let long = state::get().ipc_reply_receive_fast::<true>(cpu, a0, Tag(a1), [a2, a3, a4, a5]);
        if let Some(thread) = long {
            irq::switch_to(cpu, thread);
        }
    }
    go_on(cpu, a0, a1, a2, a3, a4, a5, Syscall::IpcReplyReceive as u64)
}

/// Handles travel in an exclusive context.
#[inline(never)]
extern "C" fn ipc_reply_receive_with_handles(
    a0: u64,
    a1: u64,
    a2: u64,
    a3: u64,
    a4: u64,
    a5: u64,
) -> ! {
    let cpu = arch::cpu_index();
    sync::enter_exclusive(cpu);
    if let Some(thread) =
        state::get().ipc_reply_receive_fast::<true>(cpu, a0, Tag(a1), [a2, a3, a4, a5])
    {
        sync::leave_exclusive(cpu);
        irq::switch_to(cpu, thread);
    }
    in_exclusive(cpu, move |kernel, cx| {
        kernel.ipc_reply_receive(cx, handle(a0), Tag(a1), [a2, a3, a4, a5])
    })
}

/// From a local context that was not enough to an exclusive one, and back.
#[cold]
#[inline(never)]
fn exclusively(cx: Cx, number: u64, arguments: Arguments) {
    sync::enter_exclusive(cx.cpu);
    let (kernel, cx) = (state::get(), Cx { exclusive: true, ..cx });
    // Another CPU may have killed the caller while nobody held its lock.
    if kernel.cpu(cx.cpu).current.get() == cx.thread {
        let caller = kernel.thread(cx.thread);
        until_done(kernel, cx, caller, |kernel, cx| dispatch(kernel, cx, number, arguments));
    }
    sync::leave_exclusive(cx.cpu);
}

/// Does the call of this CPU's current thread, in an exclusive context.
#[inline(always)]
fn until_done(
    kernel: &'static System,
    cx: Cx,
    caller: &Thread<Frame>,
    call: impl Fn(&'static System, Cx) -> Outcome,
) {
    loop {
        match call(kernel, cx) {
            Ok(result) => caller.frame.set_result(result),
            Err(Stop::Set | Stop::Again) => {}
            Err(Stop::Error(error)) => caller.frame.set_result(error.to_register()),
            // Something changed on the way (calls that failed were dropped): once more, if
            // the caller still runs.
            Err(Stop::Escalate) if kernel.cpu(cx.cpu).current.get() == cx.thread => continue,
            Err(Stop::Escalate) => {}
        }
        return;
    }
}

fn handle(word: u64) -> Handle {
    // A handle is 32 bits. Anything larger is not one, and not "myself" either.
    u32::try_from(word).map_or(Handle(u32::MAX), Handle)
}

/// Rights come as a word; bits that mean nothing widen, so they are refused there.
fn rights(word: u64) -> Rights {
    u16::try_from(word).map_or(Rights::from_bits_retain(u16::MAX), Rights::from_bits_retain)
}

#[inline(never)]
fn dispatch(kernel: &System, cx: Cx, number: u64, a: Arguments) -> Outcome {
    let Some(call) = Syscall::from_number(number) else {
        return Err(Error::BadSyscall.into());
    };
    let h = handle(a[0]);
    match call {
        Syscall::KernelNop => Ok(0),
        Syscall::ThreadYield => {
            kernel.thread_yield(cx);
            Err(Stop::Set)
        }
        Syscall::ClockRead => Ok(kernel_core::Platform::nanoseconds(&kernel.platform, arch::now())),
        Syscall::IpcCall => kernel.ipc_call(cx, h, Tag(a[1]), [a[2], a[3], a[4], a[5]]),
        Syscall::IpcReceive => kernel.ipc_receive(cx, h),
        Syscall::IpcReply => kernel.ipc_reply(cx, Tag(a[0]), [a[1], a[2], a[3], a[4]]),
        Syscall::IpcReplyReceive => {
            kernel.ipc_reply_receive(cx, h, Tag(a[1]), [a[2], a[3], a[4], a[5]])
        }
        Syscall::PortWait => kernel.port_wait(cx, h, a[1], a[2], a[3]),
        Syscall::PortSignal => kernel.port_signal(cx, h, a[1]),
        Syscall::HandleDuplicate => kernel.handle_duplicate(cx, h, rights(a[1]), a[2]),
        Syscall::HandleClose => kernel.handle_close(cx, h),
        Syscall::HandleRevoke => kernel.handle_revoke(cx, h),
        Syscall::HandleInfo => kernel.handle_info(cx, h),
        Syscall::ProcessCreate => kernel.process_create(cx, a[0]),
        Syscall::ProcessGrant => kernel.process_grant(cx, h, handle(a[1]), rights(a[2]), a[3]),
        Syscall::ProcessBind => kernel.process_bind(cx, h, handle(a[1]), a[2]),
        Syscall::ProcessKill => kernel.process_kill(cx, h),
        Syscall::ProcessExit => kernel.process_exit(cx, a[0]),
        Syscall::ProcessInfo => kernel.process_info(cx, h),
        Syscall::ThreadCreate => kernel.thread_create(cx, h, a[1], a[2], a[3], a[4], a[5]),
        Syscall::ThreadStart => kernel.thread_start(cx, h),
        Syscall::ThreadKill => kernel.thread_kill(cx, h),
        Syscall::MemoryCreate => kernel.memory_create(cx, a[0]),
        Syscall::MemoryInfo => kernel.memory_info(cx, h),
        Syscall::MemoryMap => {
            kernel.memory_map(cx, h, handle(a[1]), a[2], a[3], a[4], rights(a[5]))
        }
        Syscall::MemoryUnmap => kernel.memory_unmap(cx, h, a[1]),
        Syscall::PhysicalSlice => kernel.physical_slice(cx, h, a[1], a[2], rights(a[3])),
        Syscall::IoPortsSlice => kernel.ioports_slice(cx, h, a[1], a[2], rights(a[3])),
        Syscall::IoPortRead => kernel.ioport_read(cx, h, a[1], a[2]),
        Syscall::IoPortWrite => kernel.ioport_write(cx, h, a[1], a[2], a[3]),
        Syscall::EndpointCreate => kernel.endpoint_create(cx),
        Syscall::EndpointBind => kernel.endpoint_bind(cx, h, handle(a[1])),
        Syscall::PortCreate => kernel.port_create(cx),
        Syscall::TimerCreate => kernel.timer_create(cx, h, a[1]),
        Syscall::TimerSet => kernel.timer_set(cx, h, a[1]),
        Syscall::TimerCancel => kernel.timer_cancel(cx, h),
        Syscall::MessageCreate => kernel.message_create(cx, h, a[1], a[2], a[3]),
        Syscall::MessageActivate => kernel.message_activate(cx, h, a[1], a[2], a[3]),
        Syscall::MessageSettle => kernel.message_settle(cx, h),
        Syscall::MessageDeactivate => kernel.message_deactivate(cx, h),
        Syscall::MessageBlock => kernel.message_block(cx, h),
        Syscall::MessageUnblock => kernel.message_unblock(cx, h),
        Syscall::MessageBind => kernel.message_bind(cx, h, handle(a[1]), a[2]),
        Syscall::MessageUnbind => kernel.message_unbind(cx, h),
        Syscall::MessageSignal => kernel.message_signal(cx, h),
        Syscall::MessageRead => kernel.message_read(cx, h),
        Syscall::MessageRate => kernel.message_rate(cx, h, a[1], a[2]),
        Syscall::ControlBind => kernel.control_bind(cx, h, handle(a[1])),
        Syscall::ControlInfo => kernel.control_info(cx, h, a[1]),
        Syscall::VectorDrain => kernel.vector_drain(cx, h, a[1], a[2]),
        Syscall::MessageAcknowledge => kernel.message_acknowledge(cx, h),
        Syscall::MessageBinding => kernel.message_binding(cx, h),
        Syscall::DebugWrite => kernel.debug_write(cx, h, a[1], a[2]),
        Syscall::DebugBind => kernel.debug_bind(cx, h, handle(a[1]), a[2]),
        Syscall::DebugRead => kernel.debug_read(cx, h, a[1], a[2]),
        Syscall::DebugStats => kernel.debug_stats(cx, h),
        Syscall::MachineEnd => kernel.machine_end(cx, h, a[1]),
    }
}
