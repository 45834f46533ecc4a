//! Every call that takes a handle is tried with a dead handle, with every wrong kind of
//! object and without each right it needs (invariants 1 and 9: a distinct error each,
//! and nothing changed).

use libsys::sys;
use tocsin_abi::syscall::SYSCALLS;
use tocsin_abi::{Error, Handle, Kind, Rights, Syscall};

use crate::harness::{Outcome, check, refused, same, wrong};
use crate::kit::{self, Ctx};
use crate::zoo::Zoo;

crate::tests![
    call_table_is_covered,
    call_with_a_dead_handle_is_refused,
    call_with_another_kind_of_object_is_refused,
    call_without_a_right_it_needs_is_refused,
    call_that_ends_the_machine_is_init_s_alone,
    call_on_ports_needs_ports,
    call_with_an_unknown_number_is_refused,
];

/// One argument of a call that would succeed.
#[derive(Clone, Copy)]
enum Arg {
    /// The zoo's object of this kind, which must carry this right.
    Object(Kind, Rights),
    /// A number.
    Value(u64),
}

use Arg::{Object, Value};

/// A call and arguments that it accepts.
struct Row(Syscall, &'static [Arg]);

const NONE: Rights = Rights::empty();
/// An address that user space may map and nobody does.
const FREE: u64 = 0x6000_0000_0000;

/// Every call that takes handles of a certain kind. The calls that work on any kind
/// (`handle_*`) have tests of their own in `handles.rs`.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row(Syscall::IpcCall, &[Object(Kind::Endpoint, Rights::CALL), Value(0)]),
    Row(Syscall::IpcReceive, &[Object(Kind::Endpoint, Rights::RECEIVE)]),
    Row(Syscall::IpcReplyReceive, &[Object(Kind::Endpoint, Rights::RECEIVE), Value(0)]),
    Row(Syscall::PortWait, &[Object(Kind::Port, Rights::WAIT), Value(0), Value(1), Value(0)]),
    Row(Syscall::PortSignal, &[Object(Kind::Port, Rights::SIGNAL), Value(1)]),
    Row(Syscall::ProcessGrant, &[Object(Kind::Process, Rights::CONTROL), Object(Kind::Port, Rights::TRANSFER), Value(0), Value(0)]),
    Row(Syscall::ProcessBind, &[Object(Kind::Process, Rights::BIND), Object(Kind::Port, Rights::BIND), Value(1)]),
    Row(Syscall::ProcessKill, &[Object(Kind::Process, Rights::CONTROL)]),
    Row(Syscall::ProcessInfo, &[Object(Kind::Process, Rights::READ)]),
    Row(Syscall::ThreadCreate, &[Object(Kind::Process, Rights::CONTROL), Value(0x40_0000), Value(0x60_0000), Value(0), Value(1), Value(FREE)]),
    Row(Syscall::ThreadStart, &[Object(Kind::Thread, Rights::CONTROL)]),
    Row(Syscall::ThreadKill, &[Object(Kind::Thread, Rights::CONTROL)]),
    Row(Syscall::MemoryInfo, &[Object(Kind::Memory, NONE)]),
    Row(Syscall::MemoryMap, &[Object(Kind::Process, Rights::WRITE), Object(Kind::Memory, Rights::READ), Value(FREE), Value(0), Value(4096), Value(Rights::READ.bits() as u64)]),
    Row(Syscall::MemoryUnmap, &[Object(Kind::Process, Rights::WRITE), Value(FREE)]),
    Row(Syscall::PhysicalSlice, &[Object(Kind::Physical, Rights::DUPLICATE), Value(0), Value(4096), Value(0)]),
    Row(Syscall::IoPortsSlice, &[Object(Kind::IoPorts, Rights::DUPLICATE), Value(0x80), Value(1), Value(0)]),
    Row(Syscall::IoPortRead, &[Object(Kind::IoPorts, Rights::READ), Value(0x80), Value(1)]),
    Row(Syscall::IoPortWrite, &[Object(Kind::IoPorts, Rights::WRITE), Value(0x80), Value(1), Value(0)]),
    Row(Syscall::EndpointBind, &[Object(Kind::Endpoint, Rights::RECEIVE), Object(Kind::Port, Rights::WAIT)]),
    Row(Syscall::TimerCreate, &[Object(Kind::Port, Rights::BIND), Value(0)]),
    Row(Syscall::TimerSet, &[Object(Kind::Timer, Rights::WRITE), Value(u64::MAX)]),
    Row(Syscall::TimerCancel, &[Object(Kind::Timer, Rights::WRITE)]),
    Row(Syscall::MessageCreate, &[Object(Kind::MessageControl, Rights::CONTROL), Value(0), Value(0), Value(0)]),
    Row(Syscall::MessageActivate, &[Object(Kind::Message, Rights::CONTROL), Value(0), Value(0), Value(0)]),
    Row(Syscall::MessageSettle, &[Object(Kind::Message, Rights::CONTROL)]),
    Row(Syscall::MessageDeactivate, &[Object(Kind::Message, Rights::CONTROL)]),
    Row(Syscall::MessageBlock, &[Object(Kind::Message, Rights::CONTROL)]),
    Row(Syscall::MessageUnblock, &[Object(Kind::Message, Rights::CONTROL)]),
    Row(Syscall::MessageBind, &[Object(Kind::Message, Rights::BIND), Object(Kind::Port, Rights::BIND), Value(0)]),
    Row(Syscall::MessageUnbind, &[Object(Kind::Message, Rights::BIND)]),
    Row(Syscall::MessageSignal, &[Object(Kind::Message, Rights::SIGNAL)]),
    Row(Syscall::MessageRead, &[Object(Kind::Message, Rights::READ)]),
    Row(Syscall::MessageRate, &[Object(Kind::Message, Rights::CONTROL), Value(0), Value(0)]),
    Row(Syscall::ControlBind, &[Object(Kind::MessageControl, Rights::BIND), Object(Kind::Port, Rights::BIND)]),
    Row(Syscall::ControlInfo, &[Object(Kind::MessageControl, Rights::READ), Value(0)]),
    Row(Syscall::VectorDrain, &[Object(Kind::MessageControl, Rights::CONTROL), Value(0), Value(0)]),
    Row(Syscall::MessageAcknowledge, &[Object(Kind::Message, Rights::BIND)]),
    Row(Syscall::MessageBinding, &[Object(Kind::Message, Rights::CONTROL)]),
    Row(Syscall::DebugWrite, &[Object(Kind::DebugLog, Rights::WRITE), Value(0), Value(0)]),
    Row(Syscall::DebugBind, &[Object(Kind::DebugLog, Rights::BIND), Object(Kind::Port, Rights::BIND), Value(0)]),
    Row(Syscall::DebugRead, &[Object(Kind::DebugLog, Rights::READ), Value(0), Value(0)]),
    Row(Syscall::DebugStats, &[Object(Kind::DebugLog, Rights::READ)]),
    Row(Syscall::MachineEnd, &[Object(Kind::Machine, Rights::CONTROL), Value(0)]),
];

/// Calls whose first handle may be of any kind, or that take none.
const OTHERS: &[Syscall] = &[
    Syscall::KernelNop,
    Syscall::ThreadYield,
    Syscall::ClockRead,
    Syscall::IpcReply,
    Syscall::HandleDuplicate,
    Syscall::HandleClose,
    Syscall::HandleRevoke,
    Syscall::HandleInfo,
    Syscall::ProcessCreate,
    Syscall::ProcessExit,
    Syscall::MemoryCreate,
    Syscall::EndpointCreate,
    Syscall::PortCreate,
];

/// The arguments of a row with real handles, or `None` where the zoo lacks a kind.
fn arguments(zoo: &Zoo, row: &Row) -> Option<[u64; 6]> {
    let mut arguments = [0; 6];
    for (place, argument) in arguments.iter_mut().zip(row.1) {
        *place = match *argument {
            Object(kind, _) => u64::from(zoo.get(kind)?.0),
            Value(value) => value,
        };
    }
    Some(arguments)
}

/// Whether all objects of a row but the one in `place` have the rights that the row needs:
/// only then is what is wrong with that one all that is wrong. (The manifest grants some
/// with fewer rights.)
fn others_suffice(row: &Row, arguments: &[u64; 6], place: usize) -> Result<bool, Error> {
    for (other, argument) in row.1.iter().enumerate() {
        if let Object(_, right) = *argument
            && other != place
            && !kit::rights_of(Handle(arguments[other] as u32))?.contains(right)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Calls `attack` for every handle argument of every row: the arguments, the place of
/// the handle, its kind and the right it needs.
fn each_handle(
    ctx: &Ctx,
    mut attack: impl FnMut(&Zoo, &Row, [u64; 6], usize, Kind, Rights) -> Outcome,
) -> Outcome {
    let zoo = Zoo::new(ctx)?;
    let (count, used) = (kit::handle_count(), kit::used_bytes()?);
    let mut attacks = 0;
    for row in ROWS {
        let Some(good) = arguments(&zoo, row) else { continue };
        for (place, argument) in row.1.iter().enumerate() {
            if let Object(kind, right) = *argument
                && others_suffice(row, &good, place)?
            {
                attack(&zoo, row, good, place, kind, right)?;
                attacks += 1;
            }
        }
    }
    same(kit::handle_count(), count, "refused calls leave no handle")?;
    same(kit::used_bytes()?, used, "refused calls charge nothing")?;
    check(attacks > 30, format_args!("only {attacks} attacks were made"))
}

fn call_table_is_covered(_: &Ctx) -> Outcome {
    for row in SYSCALLS {
        let call = Syscall::from_number(row.number).ok_or_else(|| wrong(row.name))?;
        let known = ROWS.iter().any(|r| r.0 == call) || OTHERS.contains(&call);
        check(known, format_args!("no test attacks `{}`", row.name))?;
    }
    Ok(())
}

fn call_with_a_dead_handle_is_refused(ctx: &Ctx) -> Outcome {
    let dead = kit::port()?.close();
    each_handle(ctx, |_, row, good, place, _, _| {
        // Dead, out of range, and words of more than 32 bits, whose low half may be a good
        // handle, or zero, which some calls take for the caller itself.
        let wide = [good[place] | 1 << 32, 1 << 32, 1 << 63];
        for bad in [u64::from(dead.0), u32::MAX.into()].into_iter().chain(wide) {
            let mut arguments = good;
            arguments[place] = bad;
            let result = sys::raw(row.0 as u64, arguments);
            refused(
                result,
                Error::BadHandle,
                format_args!("{} argument {place}: {bad:#x}", row.0.name()),
            )?;
        }
        Ok(())
    })
}

fn call_with_another_kind_of_object_is_refused(ctx: &Ctx) -> Outcome {
    each_handle(ctx, |zoo, row, good, place, kind, _| {
        for (other, handle) in zoo.iter() {
            // These calls take a handle of either kind, or of any.
            let either = matches!(row.0, Syscall::MemoryInfo | Syscall::MemoryMap)
                && kind == Kind::Memory
                && other == Kind::Physical;
            let any = matches!(row.0, Syscall::ProcessGrant) && place == 1;
            if other == kind || either || any {
                continue;
            }
            let mut arguments = good;
            arguments[place] = u64::from(handle.0);
            let what = format_args!("{} argument {place}: {other:?}", row.0.name());
            refused(sys::raw(row.0 as u64, arguments), Error::WrongType, what)?;
        }
        Ok(())
    })
}

fn call_without_a_right_it_needs_is_refused(ctx: &Ctx) -> Outcome {
    each_handle(ctx, |zoo, row, good, place, kind, right| {
        if right.is_empty() {
            return Ok(());
        }
        let all = Handle(good[place] as u32);
        let has = kit::rights_of(all)?;
        if !has.contains(right) {
            // The manifest gives this kind without the right: that is an attack as it is.
            return refused(sys::raw(row.0 as u64, good), Error::MissingRight, row.0.name());
        }
        if !has.contains(Rights::DUPLICATE) {
            return Ok(());
        }
        let less = kit::rights_of(all)? - right;
        let narrow = kit::duplicate(all, less)?;
        let mut arguments = good;
        arguments[place] = u64::from(narrow.h().0);
        let what = format_args!("{} argument {place} without {right:?}", row.0.name());
        refused(sys::raw(row.0 as u64, arguments), Error::MissingRight, what)?;
        // The same with no right at all, and the object is what it was.
        let empty = kit::duplicate(all, NONE)?;
        arguments[place] = u64::from(empty.h().0);
        refused(sys::raw(row.0 as u64, arguments), Error::MissingRight, row.0.name())?;
        check(zoo.get(kind).is_some_and(kit::is_live), row.0.name())
    })
}

fn call_that_ends_the_machine_is_init_s_alone(ctx: &Ctx) -> Outcome {
    // Nobody but init has such an object, so no row above can try what else there is.
    let zoo = Zoo::new(ctx)?;
    for (kind, handle) in zoo.iter() {
        let what = format_args!("the machine ends by {kind:?}");
        refused(sys::machine_end(handle, 0), Error::WrongType, what)?;
    }
    refused(sys::machine_end(Handle::NONE, 0), Error::BadHandle, "the machine ends by nothing")
}

fn call_on_ports_needs_ports(ctx: &Ctx) -> Outcome {
    // On a machine without I/O ports nobody has any, and nothing else stands for them.
    let zoo = Zoo::new(ctx)?;
    for (kind, handle) in zoo.iter().filter(|(kind, _)| *kind != Kind::IoPorts) {
        let calls = [
            sys::ioport_read(handle, 0x80, 1),
            sys::ioport_write(handle, 0x80, 1, 0),
            sys::ioports_slice(handle, 0x80, 1, NONE),
        ];
        for result in calls {
            refused(result, Error::WrongType, format_args!("ports through {kind:?}"))?;
        }
    }
    Ok(())
}

fn call_with_an_unknown_number_is_refused(_: &Ctx) -> Outcome {
    for number in (0..512).chain([u64::from(u32::MAX), 1 << 32, 1 << 63, u64::MAX]) {
        if Syscall::from_number(number).is_none() {
            refused(sys::raw(number, [0; 6]), Error::BadSyscall, format_args!("call {number}"))?;
        }
    }
    Ok(())
}
