//! Random calls by several processes on several CPUs, with devices, timers and pokes in
//! between: the kernel's lists stay whole, refusals change nothing, and at the end
//! everything comes back.

use std::collections::BTreeMap;
use std::vec::Vec;

use tocsin_abi::syscall::SYSCALLS;
use tocsin_abi::{Kind, Syscall};

use super::dice::Dice;
use super::invariants::check_invariants;
use super::platform::{FIRST_VECTOR, LAST_VECTOR};
use super::world::{SCRATCH, Size, World};
use crate::objects::ThreadId;
use crate::thread::State;

const WORDS: &[u64] = &[
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    31,
    32,
    255,
    4096,
    8192,
    0x1_0000,
    SCRATCH,
    SCRATCH + 8,
    SCRATCH + 4090,
    0x300_0000,
    0x7fff_ffff_f000,
    1 << 21,
    1 << 32,
    1 << 47,
    1 << 63,
    u64::MAX,
    u64::MAX - 7,
];

/// A handle of the process's own and of the right kind mostly, for those get anywhere.
fn handle(world: &World, thread: ThreadId, dice: &mut Dice, kind: Option<Kind>) -> u64 {
    let k = world.k;
    if dice.below(32) == 0 {
        return dice.one(WORDS);
    }
    let kind = if dice.below(16) == 0 { None } else { kind };
    let mut at = k.process(k.thread(thread).process.get()).slots.get();
    let mut found = Vec::new();
    while at.is_some() && found.len() < 64 {
        let slot = k.slots.get(at);
        if kind.is_none_or(|kind| kind == slot.kind()) {
            found.push(u64::from(k.handle_of(at).0));
        }
        at = slot.owner_next.get();
    }
    if found.is_empty() { 0 } else { dice.one(&found) }
}

fn kind_of(name: &str, dice: &mut Dice) -> Option<Kind> {
    Some(match name {
        "endpoint" => Kind::Endpoint,
        "process" => Kind::Process,
        "thread" => Kind::Thread,
        "port" => Kind::Port,
        "memory" => dice.one(&[Kind::Memory, Kind::Memory, Kind::Physical]),
        "physical" => Kind::Physical,
        "range" => Kind::IoPorts,
        "timer" => Kind::Timer,
        "control" => Kind::MessageControl,
        "message" => Kind::Message,
        "log" => Kind::DebugLog,
        "machine" => Kind::Machine,
        _ => return None,
    })
}

/// An address that means something to the process, if any does.
fn mapped(world: &World, thread: ThreadId) -> u64 {
    let first = world.k.process(world.k.thread(thread).process.get()).mappings.get();
    if first.is_some() { world.k.mappings.get(first).address.get() } else { SCRATCH }
}

fn argument(world: &World, thread: ThreadId, dice: &mut Dice, name: &str, ty: &str) -> u64 {
    match (ty, name) {
        ("Handle", _) => {
            let kind = kind_of(name, dice);
            handle(world, thread, dice, kind)
        }
        ("Rights", "protection") => {
            let any = dice.below(1 << 14);
            dice.one(&[4, 12, 12, 20, 28, any])
        }
        ("Rights", _) => match dice.below(4) {
            0 => dice.below(1 << 14),
            1 => 0x3fff & !(1 << dice.below(14)),
            _ => {
                let handle = tocsin_abi::Handle(handle(world, thread, dice, None) as u32);
                let slot = world.k.slot(world.k.thread(thread).process.get(), handle);
                slot.map_or(7, |slot| {
                    u64::from(slot.rights.get() & dice.one(&[0x3fff, 0x1fff, 0x3eff, 0x7ff]))
                })
            }
        },
        ("Tag", _) => super::world::tag(
            dice.below(9) as u32,
            dice.one(&[0, 0, 1, 4, 6, 64, 65]),
            dice.one(&[0, 0, 0, 1, 2, 8, 9]),
        ),
        (_, "vector") => {
            u64::from(FIRST_VECTOR) + dice.below(1 + u64::from(LAST_VECTOR - FIRST_VECTOR))
        }
        (_, "trigger") => dice.one(&[0, 0, 1, 1, 2]),
        (_, "cpu") => dice.below(world.k.cpu_count.get() as u64 + 1),
        (_, "text" | "buffer") => mapped(world, thread),
        (_, "capacity") => dice.one(&[1, 1, 2, 64, 0, 65]),
        (_, "placement") => dice.below(4) | dice.below(world.k.cpu_count.get() as u64) << 8,
        (_, "ipc_buffer") => world.next_buffer(),
        (_, "budget_bytes") => dice.one(&[0, 10_000, 60_000, 200_000, u64::MAX]),
        (_, "size_bytes") => dice.one(&[0, 1, 4096, 8192, 65536, 1 << 22, 1 << 30, 4095]),
        (_, "offset") => dice.one(&[0, 0, 4096, 8192, 17, 1 << 20, 1 << 39]),
        (_, "address") => {
            let here = mapped(world, thread);
            dice.one(&[SCRATCH, 0x300_0000, 0x300_1000, 0x4000_0000, 0x80_0000_0000, 7, here])
        }
        (_, "entry" | "stack") => dice.one(&[0x40_0000, 0x80_0000, 0, u64::MAX]),
        (_, "deadline_ns") => match dice.below(3) {
            0 => dice.one(WORDS),
            _ => world.k.platform.clock.get() / super::platform::TICKS_PER_NS + dice.below(100_000),
        },
        (_, "port" | "first") => dice.below(300),
        (_, "count" | "width_bytes") => dice.one(&[1, 2, 4, 3, 100]),
        (_, "events") => dice.below(4),
        (_, "badge") => dice.one(&[0, 0, 0, 5]),
        _ => dice.one(WORDS),
    }
}

/// What needs two to succeed.
const OFTEN: &[Syscall] = &[
    Syscall::IpcCall,
    Syscall::IpcReceive,
    Syscall::IpcReply,
    Syscall::IpcReplyReceive,
    Syscall::PortWait,
    Syscall::PortSignal,
    Syscall::MessageActivate,
    Syscall::MessageSettle,
    Syscall::MessageAcknowledge,
    Syscall::MessageSignal,
    Syscall::VectorDrain,
    Syscall::MemoryMap,
];

/// What a process would have to be lucky to do for long.
const RARE: &[Syscall] =
    &[Syscall::ProcessExit, Syscall::ProcessKill, Syscall::ThreadKill, Syscall::HandleRevoke];

fn random_call(world: &World, cpu: usize, dice: &mut Dice) {
    let k = world.k;
    let thread = k.cpu(cpu).current.get();
    if let Some((number, arguments)) = world.pending_call(thread) {
        world.system_call(cpu, number, arguments);
        return;
    }
    let mut row = &SYSCALLS[dice.below(SYSCALLS.len() as u64) as usize];
    if dice.below(3) == 0 {
        let call = dice.one(OFTEN);
        row = SYSCALLS.iter().find(|row| row.number == call as u64).expect("in the table");
    }
    if RARE.iter().any(|call| *call as u64 == row.number) && dice.below(8) != 0 {
        return;
    }
    let mut arguments = [0; 6];
    for (value, (name, ty)) in arguments.iter_mut().zip(row.arguments) {
        *value = argument(world, thread, dice, name, ty);
    }
    let buffer = k.thread(thread).ipc_buffer.get();
    for index in 0..3 {
        let rights = dice.one(&[7, 0x3ff, 0x3fff, 0x1 << 5, 2]);
        let sent = tocsin_abi::Handle(handle(world, thread, dice, None) as u32);
        k.platform.set_ipc_handle(buffer, index, sent, rights);
    }
    let kills = [Syscall::ProcessKill as u64, Syscall::ThreadKill as u64];
    if thread == world.root.thread && kills.contains(&row.number) {
        let slot = k.slot(world.root.process, tocsin_abi::Handle(arguments[0] as u32));
        let own = [world.root.process.index(), world.root.thread.index()];
        if slot.is_ok_and(|slot| own.contains(&slot.object.get())) {
            return;
        }
    }
    // A root that waits for ever makes a dull world.
    let waits =
        [Syscall::IpcReceive, Syscall::PortWait, Syscall::IpcCall, Syscall::IpcReplyReceive];
    if thread == world.root.thread && waits.iter().any(|call| *call as u64 == row.number) {
        return;
    }
    if dice.below(64) == 0 {
        arguments = core::array::from_fn(|_| dice.one(WORDS));
    }
    // Nobody makes root kill itself with a handle that it gave away.
    let number = if dice.below(200) == 0 { dice.below(100) } else { row.number };
    if thread == world.root.thread && number == Syscall::ProcessExit as u64 {
        return;
    }
    world.system_call(cpu, number, arguments);
}

fn step(world: &World, dice: &mut Dice) {
    let k = world.k;
    let cpu = dice.below(k.cpu_count.get() as u64) as usize;
    match dice.below(20) {
        0 => world.take_poke(cpu),
        1 => world.advance(dice.below(200_000)),
        2 => {
            let count = u64::from(LAST_VECTOR - FIRST_VECTOR) + 3;
            world.device_event(cpu, FIRST_VECTOR - 1 + dice.below(count) as u16);
        }
        _ if k.cpu(cpu).current.get().is_some() => random_call(world, cpu, dice),
        _ => world.resume(cpu),
    }
}

/// Keeps root alive and the machine peopled.
fn revive(world: &World, dice: &mut Dice, shared: &mut [u64; 2]) {
    let k = world.k;
    let others =
        k.threads.in_use().into_iter().filter(|id| k.threads.get(*id).state.get() != State::Dead);
    if others.count() > 4 || k.dying.get().is_some() {
        return;
    }
    let root = world.root.thread;
    if !matches!(world.state(root), State::Running | State::Ready) {
        return;
    }
    let cpu = dice.below(k.cpu_count.get() as u64);
    let budget = 300_000;
    use tocsin_abi::Error;
    world.bring(root);
    world.system_call(0, Syscall::ProcessCreate as u64, [budget, 0, 0, 0, 0, 0]);
    let Ok(process) = world.result(root) else { return };
    let arguments =
        [process, 0x40_0000, 0x80_0000, 0, dice.below(4) | cpu << 8, world.next_buffer()];
    if let Ok(thread) = world.ask(root, Syscall::ThreadCreate, &arguments) {
        let _: Result<u64, Error> = world.ask(root, Syscall::ThreadStart, &[thread]);
    }
    // Somewhere to meet.
    for (shared, call) in shared.iter_mut().zip([Syscall::EndpointCreate, Syscall::PortCreate]) {
        let id = tocsin_abi::Handle(*shared as u32);
        if k.slot(world.root.process, id).is_err() {
            *shared = world.ask(root, call, &[]).unwrap_or(0);
        }
    }
    let [endpoint, port] = *shared;
    let roots = [
        world.roots.control,
        world.roots.log,
        world.roots.physical,
        world.roots.ioports,
        process,
        endpoint,
        port,
    ];
    for handle in roots {
        let handle_id = tocsin_abi::Handle(handle as u32);
        let Ok(slot) = k.slot(world.root.process, handle_id) else { continue };
        let rights = u64::from(slot.rights.get());
        let _: Result<u64, Error> =
            world.ask(root, Syscall::ProcessGrant, &[process, handle, rights, 0]);
    }
}

fn run(size: Size, seed: u64, steps: u64, look_every: u64) -> World {
    let world = World::new(size);
    // Every other machine has vectors that all CPUs share, as aarch64 has.
    world.k.platform.shared.set(seed % 2 == 1);
    let mut dice = Dice::new(seed);
    let mut shared = [0; 2];
    for number in 0..steps {
        if number % 50 == 0 {
            revive(&world, &mut dice, &mut shared);
        }
        world.careful.set(number % 2 == 0);
        step(&world, &mut dice);
        if number % look_every == 0 {
            check_invariants(world.k);
        }
        if world.state(world.root.thread) == State::Dead {
            break;
        }
    }
    check_invariants(world.k);
    world
}

/// Calls that went well at least once.
fn add(total: &mut BTreeMap<u64, [u32; 3]>, world: &World) {
    for (number, counts) in world.tally.borrow().iter() {
        let sum = total.entry(*number).or_default();
        for (sum, count) in sum.iter_mut().zip(counts) {
            *sum += count;
        }
    }
}

#[test]
fn random_calls_leave_everything_whole() {
    let mut total = BTreeMap::new();
    for cpus in 1..=4 {
        let size = Size { cpus, slots: 1024, objects: 64, frames: 1024 };
        for seed in 0..5 {
            std::println!("cpus {cpus} seed {seed}");
            add(&mut total, &run(size, seed, 5_000, 3));
        }
    }
    for row in SYSCALLS {
        let [well, refused, _] = total.get(&row.number).copied().unwrap_or_default();
        let ends =
            [Syscall::ProcessExit, Syscall::IpcCall].iter().any(|call| *call as u64 == row.number);
        assert!(well > 0 || ends, "{} never went well: the test is too dull", row.name);
        assert!(refused > 0 || row.arguments.is_empty() || ends, "{} was never refused", row.name);
    }
}

#[test]
fn a_full_machine_stays_whole() {
    for seed in 100..110 {
        std::println!("seed {seed}");
        let size = Size { cpus: 2, slots: 160, objects: 12, frames: 96 };
        run(size, seed, 5_000, 3);
    }
}

#[test]
fn names_of_calls_are_what_the_dice_know() {
    let names: Vec<_> = SYSCALLS.iter().flat_map(|row| row.arguments).map(|(_, ty)| *ty).collect();
    assert!(names.iter().all(|ty| ["Handle", "Rights", "Tag", "u64"].contains(ty)));
}
