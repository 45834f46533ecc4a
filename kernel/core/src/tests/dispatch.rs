//! System calls by number, as the kernel's entry code makes them.

use tocsin_abi::{Error, Handle, Rights, Syscall, Tag};

use super::platform::FakePlatform;
use crate::Platform;
use crate::kernel::{Cx, Kernel, Outcome};

/// Arguments 0 to 5.
pub type Arguments = [u64; 6];

fn handle(value: u64) -> Handle {
    u32::try_from(value).map_or(Handle(u32::MAX), Handle)
}

fn rights(value: u64) -> Rights {
    // As in the binary: an unknown bit anywhere is a right nobody has.
    Rights::from_bits_retain(u16::try_from(value).unwrap_or(u16::MAX))
}

/// One call.
pub fn dispatch(kernel: &Kernel<FakePlatform>, cx: Cx, number: u64, a: Arguments) -> Outcome {
    let Some(call) = Syscall::from_number(number) else {
        return Err(Error::BadSyscall.into());
    };
    let h = handle(a[0]);
    match call {
        Syscall::KernelNop => Ok(0),
        Syscall::ThreadYield => {
            kernel.thread_yield(cx);
            Err(crate::Stop::Set)
        }
        Syscall::ClockRead => Ok(kernel.platform.nanoseconds(kernel.platform.now())),
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
        Syscall::MessageAcknowledge => kernel.message_acknowledge(cx, h),
        Syscall::MessageBinding => kernel.message_binding(cx, h),
        Syscall::MachineEnd => kernel.machine_end(cx, h, a[1]),
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
        Syscall::DebugWrite => kernel.debug_write(cx, h, a[1], a[2]),
        Syscall::DebugBind => kernel.debug_bind(cx, h, handle(a[1]), a[2]),
        Syscall::DebugRead => kernel.debug_read(cx, h, a[1], a[2]),
        Syscall::DebugStats => kernel.debug_stats(cx, h),
    }
}
