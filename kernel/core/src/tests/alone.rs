//! Three CPUs that share vectors, and one process that is the interrupt server and everybody
//! else.

use tocsin_abi::{Error, MessageStatus, Syscall, Trigger};

use super::world::{SMALL, Size, World};

pub const EDGE: u64 = Trigger::Edge as u64;
pub const LEVEL: u64 = Trigger::Level as u64;

pub fn world() -> World {
    let world = World::new(Size { cpus: 3, ..SMALL });
    world.k.platform.shared.set(true);
    world
}

pub fn message(world: &World) -> u64 {
    world.must(world.root.thread, Syscall::MessageCreate, &[world.roots.control, 0, 0, 0])
}

/// A message that is bound to a port of its own.
pub fn bound(world: &World) -> (u64, u64) {
    let port = world.must(world.root.thread, Syscall::PortCreate, &[]);
    let message = message(world);
    world.must(world.root.thread, Syscall::MessageBind, &[message, port, 7]);
    (message, port)
}

pub fn ask(world: &World, call: Syscall, arguments: &[u64]) -> Result<u64, Error> {
    world.ask(world.root.thread, call, arguments)
}

pub fn activate(
    world: &World,
    message: u64,
    cpu: u64,
    vector: impl Into<u64>,
    trigger: u64,
) -> Result<u64, Error> {
    ask(world, Syscall::MessageActivate, &[message, cpu, vector.into(), trigger])
}

pub fn status(world: &World, message: u64) -> MessageStatus {
    world.must(world.root.thread, Syscall::MessageRead, &[message]);
    let [a, b, c, d, e, _] = world.values(world.root.thread);
    MessageStatus::from_values([a, b, c, d, e])
}

/// Events in the packet that waits.
pub fn packet(world: &World, port: u64) -> Result<u32, Error> {
    ask(world, Syscall::PortWait, &[port, 0, 1, 0])?;
    Ok(world.packet(world.root.thread).count)
}
