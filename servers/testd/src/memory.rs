//! Memory: what can be mapped where, and that a mapping is exactly as strong as it says
//! (invariant 1: a client never writes what it may only read).

use libsys::sys;
use tocsin_abi::limits::{FOREVER, MAX_MEMORY_BYTES, PAGE_BYTES, USER_END, USER_START};
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle, Kind, Rights};

use crate::arch::{self, DATA_FAULT, FETCH_FAULT};
use crate::harness::{Failure, Outcome, check, refused, same};
use crate::kit::{self, Ctx, Own, RW};
use crate::role::{self, Role, told};
use crate::victim::{Plan, Victim};

crate::tests![
    memory_is_zeroed_every_time,
    memory_sizes_have_limits,
    memory_map_refuses_bad_ranges,
    memory_map_refuses_overlap_and_changes_nothing,
    memory_map_refuses_write_with_execute,
    memory_map_needs_each_right,
    memory_unmap_wants_the_exact_mapping,
    memory_is_shared_between_processes,
    memory_read_only_is_read_only,
    memory_without_execute_does_not_execute,
    memory_unmap_reaches_other_cpus,
    memory_unmap_reaches_sleepers,
    memory_mapping_dies_with_its_handle,
    memory_revoke_takes_mappings_of_other_processes,
    memory_address_needs_its_right,
    log_text_must_be_readable_memory,
];

/// Victims of these tests.
pub const ROLES: &[Role] = &[
    Role { name: "touch", run: |env, how| touch(env, how) },
    Role { name: "read_later", run: |env, _| role::code(read_later(env)) },
    Role { name: "read_for_ever", run: |env, _| role::code(read_for_ever(env)) },
];

/// Where tests map things, in their own and in the victims' address space.
const HERE: u64 = 0x5000_0000_0000;

/// Maps all of `memory` at `address` into this process.
fn map(memory: &Own, address: u64, bytes: u64, how: Rights) -> Result<(), Error> {
    sys::memory_map(Handle::NONE, memory.h(), address, 0, bytes, how).map(|_| ())
}

fn memory_is_zeroed_every_time(_: &Ctx) -> Outcome {
    const BYTES: u64 = 64 << 10;
    for round in 0..20u64 {
        let memory = kit::memory(BYTES)?;
        map(&memory, HERE, BYTES, RW)?;
        for offset in (0..BYTES).step_by(8) {
            let found = arch::load(HERE + offset);
            check(found == 0, format_args!("round {round} offset {offset:#x}: {found:#x}"))?;
            arch::store(HERE + offset, 0x5ec2_e700 + round);
        }
    }
    refused(sys::memory_unmap(Handle::NONE, HERE), Error::NotMapped, "gone with its handle")
}

fn memory_sizes_have_limits(_: &Ctx) -> Outcome {
    refused(kit::memory(0), Error::BadSize, "nothing")?;
    for bytes in [MAX_MEMORY_BYTES + 1, 1 << 40, u64::MAX, u64::MAX - 4095, 1 << 63] {
        refused(kit::memory(bytes), Error::BadSize, format_args!("{bytes:#x} bytes"))?;
    }
    let odd = kit::memory(3 * PAGE_BYTES + 1)?;
    same(sys::memory_info(odd.h())?.values[0], 4 * PAGE_BYTES, "rounded up")
}

fn memory_map_refuses_bad_ranges(_: &Ctx) -> Outcome {
    let memory = kit::memory(2 * PAGE_BYTES)?;
    let used = kit::used_bytes()?;
    let attempt = |address, offset, bytes| {
        sys::memory_map(Handle::NONE, memory.h(), address, offset, bytes, Rights::READ)
    };
    let page = PAGE_BYTES;
    for (address, offset, bytes, error, what) in [
        (HERE + 8, 0, page, Error::Misaligned, "address not a page"),
        (HERE, 8, page, Error::Misaligned, "offset not a page"),
        (HERE, 0, 0, Error::BadSize, "no bytes"),
        (HERE, 2 * page, page, Error::OutOfRange, "past the object"),
        (HERE, page, 2 * page, Error::OutOfRange, "over the object's end"),
        (HERE, 0, 3 * page, Error::OutOfRange, "more than the object"),
        (HERE, u64::MAX - page + 1, page, Error::OutOfRange, "offset wraps"),
        (HERE, u64::MAX - page + 1, 2 * page, Error::OutOfRange, "end wraps to inside"),
        (0, 0, page, Error::BadAddress, "null page"),
        (USER_START - page, 0, page, Error::BadAddress, "below user space"),
        (USER_END, 0, page, Error::BadAddress, "above user space"),
        (USER_END - page, 0, 2 * page, Error::BadAddress, "over the end of user space"),
        (0x8000_0000_0000, 0, page, Error::BadAddress, "not canonical"),
        (0xffff_8000_0000_0000, 0, page, Error::BadAddress, "kernel half"),
        (0xffff_ffff_8000_0000, 0, page, Error::BadAddress, "kernel image"),
        (u64::MAX - page + 1, 0, page, Error::BadAddress, "last page"),
        (u64::MAX - page + 1, 0, 2 * page, Error::BadAddress, "wraps around"),
    ] {
        refused(attempt(address, offset, bytes), error, what)?;
    }
    // A length that is no multiple of a page is misaligned; the ABI has no rounding here.
    refused(attempt(HERE, 0, 100), Error::Misaligned, "odd length")?;
    same(kit::used_bytes()?, used, "refusals charge nothing")?;
    // The very last page that may be mapped can be, and read to its end.
    attempt(USER_END - page, 0, page)?;
    same(arch::load(USER_END - 8), 0, "last word of user space")?;
    sys::memory_unmap(Handle::NONE, USER_END - page)?;
    Ok(())
}

fn memory_map_refuses_overlap_and_changes_nothing(_: &Ctx) -> Outcome {
    let memory = kit::memory(4 * PAGE_BYTES)?;
    let other = kit::memory(4 * PAGE_BYTES)?;
    map(&memory, HERE + 2 * PAGE_BYTES, 4 * PAGE_BYTES, RW)?;
    arch::store(HERE + 2 * PAGE_BYTES, 11);
    let used = kit::used_bytes()?;
    for first in [-3i64, -1, 0, 1, 3] {
        let address = (HERE + 2 * PAGE_BYTES).wrapping_add_signed(first * PAGE_BYTES as i64);
        let attempt = map(&other, address, 4 * PAGE_BYTES, RW);
        refused(attempt, Error::AlreadyMapped, format_args!("{first} pages off"))?;
    }
    same(kit::used_bytes()?, used, "refusals charge nothing")?;
    same(arch::load(HERE + 2 * PAGE_BYTES), 11, "the first mapping is what it was")?;
    // Nothing of a refused mapping stays behind, before or after the obstacle.
    map(&other, HERE + PAGE_BYTES, PAGE_BYTES, RW)?;
    map(&other, HERE + 6 * PAGE_BYTES, PAGE_BYTES, RW)?;
    // Our own program is an obstacle too.
    let code = arch::counter as *const () as u64 / PAGE_BYTES * PAGE_BYTES;
    refused(map(&other, code, PAGE_BYTES, RW), Error::AlreadyMapped, "over our code")
}

fn memory_map_refuses_write_with_execute(_: &Ctx) -> Outcome {
    let memory = kit::memory(PAGE_BYTES)?;
    let all = RW | Rights::EXECUTE;
    refused(map(&memory, HERE, PAGE_BYTES, all), Error::WriteExecute, "all three")?;
    // What can not be read can not be mapped either, and other rights mean nothing here.
    let both = Rights::WRITE | Rights::EXECUTE;
    for how in [Rights::empty(), both, Rights::CALL, Rights::from_bits_retain(1 << 15)] {
        refused(map(&memory, HERE, PAGE_BYTES, how), Error::BadArgument, how.bits())?;
    }
    map(&memory, HERE, PAGE_BYTES, Rights::READ | Rights::EXECUTE)?;
    sys::memory_unmap(Handle::NONE, HERE)?;
    Ok(())
}

fn memory_map_needs_each_right(_: &Ctx) -> Outcome {
    let memory = kit::memory(PAGE_BYTES)?;
    for right in [Rights::READ, Rights::WRITE, Rights::EXECUTE] {
        let less = kit::duplicate(memory.h(), Kind::Memory.all_rights() - right)?;
        refused(map(&less, HERE, PAGE_BYTES, right | Rights::READ), Error::MissingRight, "")?;
    }
    Ok(())
}

fn memory_unmap_wants_the_exact_mapping(_: &Ctx) -> Outcome {
    let memory = kit::memory(2 * PAGE_BYTES)?;
    map(&memory, HERE, 2 * PAGE_BYTES, RW)?;
    for address in [HERE + PAGE_BYTES, HERE - PAGE_BYTES, HERE + 1, 0, USER_END, u64::MAX] {
        refused(sys::memory_unmap(Handle::NONE, address), Error::NotMapped, address)?;
    }
    arch::store(HERE + PAGE_BYTES, 5);
    sys::memory_unmap(Handle::NONE, HERE)?;
    refused(sys::memory_unmap(Handle::NONE, HERE), Error::NotMapped, "twice")?;
    map(&memory, HERE, 2 * PAGE_BYTES, RW)?;
    same(arch::load(HERE + PAGE_BYTES), 5, "the memory keeps its contents")
}

/// Touches the page at `HERE` as told.
fn touch(env: &'static Startup, how: &str) -> u64 {
    match how {
        "read" => arch::load(HERE),
        "write" => {
            arch::store(HERE, told(env, "value"));
            0
        }
        "execute" => {
            arch::jump(HERE);
            0
        }
        _ => role::UNKNOWN,
    }
}

/// A victim with `memory` at `HERE`, mapped so, that touches it so.
fn toucher(ctx: &Ctx, memory: &Own, protection: Rights, how: &str) -> Result<Victim, Failure> {
    let plan = Plan::new(ctx, &alloc::format!("touch {how}"))?.value("value", 0x77)?;
    sys::memory_map(plan.process(), memory.h(), HERE, 0, PAGE_BYTES, protection)?;
    plan.start()
}

fn memory_is_shared_between_processes(ctx: &Ctx) -> Outcome {
    let memory = kit::memory(PAGE_BYTES)?;
    map(&memory, HERE, PAGE_BYTES, RW)?;
    arch::store(HERE, 0x1234);
    toucher(ctx, &memory, Rights::READ, "read")?.exits_with(0x1234, "read what we wrote")?;
    toucher(ctx, &memory, RW, "write")?.exits_with(0, "write")?;
    same(arch::load(HERE), 0x77, "we read what it wrote")
}

fn memory_read_only_is_read_only(ctx: &Ctx) -> Outcome {
    let memory = kit::memory(PAGE_BYTES)?;
    map(&memory, HERE, PAGE_BYTES, RW)?;
    arch::store(HERE, 0x1234);
    toucher(ctx, &memory, Rights::READ, "write")?.faults_with(DATA_FAULT, "read only")?;
    let text = Rights::READ | Rights::EXECUTE;
    toucher(ctx, &memory, text, "write")?.faults_with(DATA_FAULT, "read and execute")?;
    same(arch::load(HERE), 0x1234, "nothing was written")
}

fn memory_without_execute_does_not_execute(ctx: &Ctx) -> Outcome {
    let memory = kit::memory(PAGE_BYTES)?;
    map(&memory, HERE, PAGE_BYTES, RW)?;
    arch::store(HERE, arch::RETURN);
    let text = Rights::READ | Rights::EXECUTE;
    toucher(ctx, &memory, text, "execute")?.exits_with(0, "executable memory runs")?;
    toucher(ctx, &memory, RW, "execute")?.faults_with(FETCH_FAULT, "read and write")?;
    toucher(ctx, &memory, Rights::READ, "execute")?.faults_with(FETCH_FAULT, "read only")
}

/// Says that it runs, then reads the page at `HERE` until that kills it.
fn read_for_ever(env: &'static Startup) -> Result<u64, Error> {
    arch::load(HERE);
    role::ready(env)?;
    loop {
        arch::load(HERE);
    }
}

/// Reads the page at `HERE`, sleeps until told, and reads it again.
fn read_later(env: &'static Startup) -> Result<u64, Error> {
    arch::load(HERE);
    role::ready(env)?;
    sys::port_wait(role::granted(env, "bell"), 0, 1, FOREVER)?;
    Ok(arch::load(HERE))
}

fn memory_unmap_reaches_sleepers(ctx: &Ctx) -> Outcome {
    // Nothing runs on that CPU meanwhile that would make it forget the translation.
    for cpu in 0..ctx.env.cpus {
        let (up, bell, memory) = (kit::port()?, kit::port()?, kit::memory(PAGE_BYTES)?);
        let plan = Plan::new(ctx, "read_later")?
            .grant("up", up.h(), Rights::SIGNAL)?
            .grant("bell", bell.h(), Rights::WAIT)?
            .on_cpu(cpu);
        sys::memory_map(plan.process(), memory.h(), HERE, 0, PAGE_BYTES, Rights::READ)?;
        let victim = plan.start()?;
        kit::next(&up)?;
        kit::sleep(2_000_000);
        sys::memory_unmap(victim.process(), HERE)?;
        sys::port_signal(bell.h(), 1)?;
        victim.faults_with(DATA_FAULT, format_args!("CPU {cpu}"))?;
    }
    Ok(())
}

/// Starts a reader on every other CPU (or here, when there is one), takes the page away
/// with `take` and expects that each reader dies of it.
fn taken_away(ctx: &Ctx, take: impl Fn(&Plan, &Own, Handle) -> Result<Taker, Error>) -> Outcome {
    for cpu in 0..ctx.env.cpus {
        let up = kit::port()?;
        let memory = kit::memory(PAGE_BYTES)?;
        let plan = Plan::new(ctx, "read_for_ever")?.grant("up", up.h(), Rights::SIGNAL)?;
        let plan = plan.on_cpu(cpu);
        let taker = take(&plan, &memory, plan.process())?;
        let victim = plan.start()?;
        kit::next(&up)?;
        check(victim.runs(), "it reads")?;
        taker(victim.process())?;
        victim.faults_with(DATA_FAULT, format_args!("CPU {cpu}"))?;
    }
    Ok(())
}

/// What takes a mapping away from a process.
type Taker = alloc::boxed::Box<dyn FnOnce(Handle) -> Result<(), Error>>;

fn memory_unmap_reaches_other_cpus(ctx: &Ctx) -> Outcome {
    taken_away(ctx, |_, memory, process| {
        sys::memory_map(process, memory.h(), HERE, 0, PAGE_BYTES, Rights::READ)?;
        Ok(alloc::boxed::Box::new(|process| sys::memory_unmap(process, HERE).map(|_| ())))
    })
}

fn memory_mapping_dies_with_its_handle(ctx: &Ctx) -> Outcome {
    taken_away(ctx, |_, memory, process| {
        let copy = kit::duplicate(memory.h(), Rights::READ)?;
        sys::memory_map(process, copy.h(), HERE, 0, PAGE_BYTES, Rights::READ)?;
        Ok(alloc::boxed::Box::new(move |_| {
            copy.close();
            Ok(())
        }))
    })
}

fn memory_revoke_takes_mappings_of_other_processes(ctx: &Ctx) -> Outcome {
    taken_away(ctx, |_, memory, process| {
        let copy = kit::duplicate(memory.h(), Kind::Memory.all_rights())?;
        let copy2 = kit::duplicate(copy.h(), Kind::Memory.all_rights())?;
        sys::memory_map(process, copy2.h(), HERE, 0, PAGE_BYTES, Rights::READ)?;
        Ok(alloc::boxed::Box::new(move |_| {
            sys::handle_revoke(copy.h())?;
            drop(copy2);
            Ok(())
        }))
    })
}

fn memory_address_needs_its_right(_: &Ctx) -> Outcome {
    let memory = kit::memory(PAGE_BYTES)?;
    let address = sys::memory_info(memory.h())?.values[1];
    check(address != 0 && address % PAGE_BYTES == 0, format_args!("address {address:#x}"))?;
    let less = kit::duplicate(memory.h(), Kind::Memory.all_rights() - Rights::ADDRESS)?;
    same(sys::memory_info(less.h())?.values[1], 0, "without ADDRESS")
}

fn log_text_must_be_readable_memory(ctx: &Ctx) -> Outcome {
    let log = ctx.need("log")?;
    let write = |address, bytes| sys::debug_write(log, address, bytes);
    let memory = kit::memory(PAGE_BYTES)?;
    map(&memory, HERE, PAGE_BYTES, Rights::READ)?;
    for (address, what) in [
        (0, "null"),
        (HERE + PAGE_BYTES, "not mapped"),
        (HERE + PAGE_BYTES - 8, "over the end of a mapping"),
        (HERE - 8, "before the beginning of a mapping"),
        (USER_END - 8, "over the end of user space"),
        (USER_END, "above user space"),
        (0x8000_0000_0000, "not canonical"),
        (0xffff_8000_0000_0000, "kernel half"),
        (0xffff_ffff_8000_0000, "kernel image"),
        (u64::MAX - 7, "wraps around"),
    ] {
        refused(write(address, 16), Error::BadAddress, what)?;
        refused(write(address, 256), Error::BadAddress, what)?;
    }
    for bytes in [0, 257, 1 << 32, u64::MAX] {
        refused(write(HERE, bytes), Error::BadSize, format_args!("{bytes} bytes"))?;
    }
    Ok(())
}
