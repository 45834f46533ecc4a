//! All of the kernel's state as numbers, each with the CPU whose local context owns it.

use std::string::{String, ToString};
use std::vec::Vec;

use tocsin_abi::Error;

use super::world::TestKernel;
use crate::arena::Id;
use crate::objects::{NO_CPU, ThreadQueue};
use crate::platform::Platform as _;
use crate::port::Node;
use crate::thread::{Due, State};
use crate::vectors::Use;

/// Only an exclusive context may change it.
const NOBODY: u8 = NO_CPU;

/// One field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Field {
    /// The CPU whose local context may change it, or nobody.
    home: u8,
    /// Whether a process could tell the difference.
    visible: bool,
    value: u64,
}

/// The state at one moment.
#[derive(Default)]
pub struct Snapshot {
    fields: Vec<Field>,
    names: Option<Vec<String>>,
}

struct Writer<'a> {
    into: &'a mut Snapshot,
    home: u8,
    what: &'static str,
    index: u32,
}

impl Writer<'_> {
    fn put(&mut self, name: &str, value: u64) {
        self.field(name, value, true);
    }

    fn hidden(&mut self, name: &str, value: u64) {
        self.field(name, value, false);
    }

    fn field(&mut self, name: &str, value: u64, visible: bool) {
        self.into.fields.push(Field { home: self.home, visible, value });
        if let Some(names) = &mut self.into.names {
            names.push(std::format!("{} {}: {name}", self.what, self.index));
        }
    }

    fn at(&mut self, what: &'static str, index: u32, home: u8) -> &mut Self {
        self.what = what;
        self.index = index;
        self.home = home;
        self
    }

    fn queue(&mut self, name: &str, queue: &ThreadQueue) {
        self.put(name, pair(queue.head.get(), queue.tail.get()));
    }

    fn due(&mut self, due: &Due) {
        self.put("deadline", due.deadline.get());
        self.put("due links", u64::from(due.next.get()) << 32 | u64::from(due.prev.get()));
        self.put("due cpu", due.cpu.get().into());
    }
}

fn pair<A, B>(a: Id<A>, b: Id<B>) -> u64 {
    u64::from(a.index()) << 32 | u64::from(b.index())
}

impl Snapshot {
    /// Takes the state.
    pub fn take(&mut self, k: &TestKernel) {
        self.fields.clear();
        let mut writer = Writer { into: self, home: NOBODY, what: "", index: 0 };
        cpus(k, &mut writer);
        vectors(k, &mut writer);
        threads(k, &mut writer);
        slots(k, &mut writer);
        processes(k, &mut writer);
        places(k, &mut writer);
        sources(k, &mut writer);
        rest(k, &mut writer);
    }

    /// The name of field `index`, from a kernel with the same arenas.
    fn name(k: &TestKernel, index: usize) -> String {
        let mut named = Snapshot { names: Some(Vec::new()), ..Snapshot::default() };
        named.take(k);
        let name = &named.names.expect("asked for")[index];
        name.to_string()
    }
}

fn cpus(k: &TestKernel, w: &mut Writer<'_>) {
    for index in 0..k.cpu_count.get() {
        let cpu = k.cpu(index);
        w.at("cpu", index as u32, index as u8);
        w.put("current, handoff", pair(cpu.current.get(), cpu.handoff.get()));
        w.put("ready", cpu.ready.get().into());
        for queue in &cpu.queues {
            w.queue("queue", queue);
        }
        w.put("due", cpu.due.get().into());
        w.put("armed", cpu.armed.get());
        w.put("timer", k.platform.timers[index].get());
        w.put("slice end", cpu.slice_end.get());
        w.put("strays", cpu.strays.get());
        w.home = NOBODY;
        w.put("pokes asked", cpu.pokes_asked.get());
        w.put("pokes done", cpu.pokes_done.get());
        w.put("poked", k.platform.poked[index].get().into());
        w.put("round poke", cpu.round_poke.get());
    }
}

/// Vectors change in exclusive contexts; what the interrupt controller holds back of a live
/// one, where its message is at home.
fn vectors(k: &TestKernel, w: &mut Writer<'_>) {
    for (cpu, vector) in k.platform.all_vectors(k.cpu_count.get()) {
        let entry = &k.vectors[k.platform.vector_place(cpu, vector)];
        w.at("vector", u32::from(vector) | (cpu as u32) << 16, NOBODY);
        w.put("message", entry.message.get().index().into());
        w.put("use, left", (entry.usage.get() as u64) << 8 | u64::from(entry.left.get()));
        w.put("generation, token", u64::from(entry.generation.get()) << 32 | entry.token.get());
        if entry.usage.get() == Use::Live {
            w.home = k.messages.get(entry.message.get()).home.get();
        }
        w.put("held back", k.platform.held.borrow().contains(&vector).into());
    }
}

fn threads(k: &TestKernel, w: &mut Writer<'_>) {
    for index in 1..k.threads.capacity() {
        let thread = k.threads.get(Id::new(index));
        w.at("thread", index, thread.cpu.get());
        w.put("state", thread.state.get() as u64);
        // The links belong to the queue that the thread is in.
        w.home = match thread.state.get() {
            State::Sending | State::Receiving => {
                k.endpoints.get(k.slots.get(thread.via.get()).id()).home.get()
            }
            _ => thread.cpu.get(),
        };
        w.put("links", pair(thread.next.get(), thread.prev.get()));
        w.home = thread.cpu.get();
        w.hidden("via", thread.via.get().index().into());
        w.put("server, caller", pair(thread.server.get(), thread.caller.get()));
        for cell in &thread.message {
            w.hidden("message", cell.get());
        }
        w.due(&thread.due);
        w.hidden("result", thread.frame.result.get());
        w.hidden("answers", thread.frame.answers.get());
        for value in &thread.frame.values {
            w.hidden("value", value.get());
        }
        w.home = NOBODY;
        w.put("cpu, priority", u64::from(thread.cpu.get()) << 8 | u64::from(thread.priority.get()));
        w.put("process", thread.process.get().index().into());
        w.put("buffer", thread.ipc_buffer.get());
        w.put("space", thread.space.get());
        w.put("siblings", pair(thread.sibling_next.get(), thread.sibling_prev.get()));
        w.put("handles", thread.handles.get().into());
    }
}

fn slots(k: &TestKernel, w: &mut Writer<'_>) {
    for index in 1..k.slots.capacity() {
        let slot = k.slots.get(Id::new(index));
        w.at("slot", index, NOBODY);
        w.put("owner", pair(slot.owner.get(), slot.parent.get()));
        if slot.owner.get().is_none() {
            // As many fields as a used one, so that all lie where they did.
            (0..7).for_each(|_| w.put("unused", 0));
            continue;
        }
        w.put("object", slot.object.get().into());
        w.put("rights, kind", u64::from(slot.rights.get()) << 8 | u64::from(slot.kind.get()));
        w.put("badge", slot.badge.get());
        w.put("child", slot.child.get().index().into());
        w.put("links", pair(slot.next.get(), slot.prev.get()));
        w.put("owner links", pair(slot.owner_next.get(), slot.owner_prev.get()));
        w.put("mappings", slot.mappings.get().index().into());
    }
}

fn processes(k: &TestKernel, w: &mut Writer<'_>) {
    for index in 1..k.processes.capacity() {
        let process = k.process(Id::new(index));
        w.at("process", index, NOBODY);
        w.put("phase", process.phase.get() as u64);
        w.put("creator, child", pair(process.creator.get(), process.child.get()));
        w.put("siblings", pair(process.sibling_next.get(), process.sibling_prev.get()));
        w.put("space", process.space.get());
        w.put("tables", process.tables.get());
        w.put("budget", process.budget.get());
        w.put("used", process.used.get());
        w.put("slots, mappings", pair(process.slots.get(), process.mappings.get()));
        w.put("threads", process.threads.get().index().into());
        w.put(
            "handles",
            u64::from(process.handle_count.get()) << 32 | u64::from(process.handles.get()),
        );
        node(k, w, &process.death, NOBODY);
    }
    for index in 1..k.mappings.capacity() {
        let mapping = k.mappings.get(Id::new(index));
        w.at("mapping", index, NOBODY);
        w.put("process, slot", pair(mapping.process.get(), mapping.slot.get()));
        w.put("address", mapping.address.get());
        w.put("physical", mapping.physical.get() | mapping.pages.get());
        w.put("links", pair(mapping.next.get(), mapping.prev.get()));
        w.put("slot links", pair(mapping.slot_next.get(), mapping.slot_prev.get()));
    }
    for index in 1..k.memories.capacity() {
        let memory = k.memories.get(Id::new(index));
        w.at("memory", index, NOBODY);
        w.put("base", memory.base.get());
        w.put("size", memory.size.get());
        w.put("handles", memory.handles.get().into());
    }
}

/// Endpoints and ports: their home may use them.
fn places(k: &TestKernel, w: &mut Writer<'_>) {
    for index in 1..k.endpoints.capacity() {
        let endpoint = k.endpoints.get(Id::new(index));
        w.at("endpoint", index, endpoint.home.get());
        w.queue("receivers", &endpoint.receivers);
        w.queue("senders", &endpoint.senders);
        w.home = NOBODY;
        w.hidden("home", endpoint.home.get().into());
        w.put("port", endpoint.port.get().index().into());
        w.put(
            "handles",
            u64::from(endpoint.receive_handles.get()) << 32 | u64::from(endpoint.handles.get()),
        );
    }
    for index in 1..k.ports.capacity() {
        let port = k.ports.get(Id::new(index));
        w.at("port", index, port.home.get());
        w.put("waiter", port.waiter.get().index().into());
        w.put("queued", port.queued.get().into());
        let (head, tail) = port.ends();
        w.put("ends", u64::from(head) << 32 | u64::from(tail));
        w.home = NOBODY;
        w.hidden("home", port.home.get().into());
        w.put("endpoint", port.endpoint.get().index().into());
        w.put("handles", port.handles.get().into());
        node(k, w, &port.signal, NOBODY);
    }
}

/// A node belongs to the home of the port that it leads to.
fn node(k: &TestKernel, w: &mut Writer<'_>, node: &Node, otherwise: u8) {
    let home = if k.is_tied(node) { k.ports.get(node.port.get()).home.get() } else { otherwise };
    w.home = home;
    w.put("node queued", node.queued.get().into());
    w.put("node count", node.count.get().into());
    w.put("node first", node.first.get());
    w.put("node value", node.value.get());
    let (next, prev) = node.links();
    w.put("node links", u64::from(next) << 32 | u64::from(prev));
    w.home = NOBODY;
    w.put(
        "node port",
        u64::from(node.port.get().index()) << 32 | u64::from(node.port_generation.get()),
    );
    w.put("node key", node.key.get());
    w.put("node kind", node.kind.get().into());
}

/// Messages and timers.
fn sources(k: &TestKernel, w: &mut Writer<'_>) {
    for index in 1..k.messages.capacity() {
        let message = k.messages.get(Id::new(index));
        let home = message.home.get();
        w.at("message", index, home);
        w.put("delivered", message.delivered.get());
        w.put("coalesced", message.coalesced.get());
        w.put("blocked", message.blocked.get());
        w.put("pending", message.pending.get().into());
        w.put("last cpu", message.last_cpu.get().into());
        w.put("window", u64::from(message.window_events.get()));
        w.put("window start", message.window_start.get());
        w.put("held", message.held.get() as u64);
        w.home = NOBODY;
        w.put("home", home.into());
        w.put("state", message.state.get() as u64);
        let (cpu, old) = (message.cpu.get(), message.old_cpu.get());
        w.put(
            "vectors",
            u64::from(cpu) << 40
                | u64::from(old) << 32
                | u64::from(message.vector.get()) << 16
                | u64::from(message.old_vector.get()),
        );
        w.put("stormed", message.stormed.get().into());
        w.put("level", message.is_level.get().into());
        w.put("binder", message.binder.get().index().into());
        w.put("rate", u64::from(message.rate_events.get()) ^ message.window_ticks.get() << 32);
        w.put("handles", u64::from(message.clients.get()) << 32 | u64::from(message.handles.get()));
        node(k, w, &message.node, home);
        node(k, w, &message.notice, NOBODY);
    }
    for index in 1..k.timers.capacity() {
        let timer = k.timers.get(Id::new(index));
        w.at("timer", index, timer.due.cpu.get());
        w.due(&timer.due);
        w.home = NOBODY;
        w.put("handles", timer.handles.get().into());
        node(k, w, &timer.node, NOBODY);
    }
}

fn rest(k: &TestKernel, w: &mut Writer<'_>) {
    w.at("kernel", 0, NOBODY);
    w.put("dying", k.dying.get().index().into());
    w.put("control", pair(k.control.port.get(), k.control.port.get()));
    node(k, w, &k.log.node, NOBODY);
    w.put("slots", k.slots.live().into());
    w.put("processes", k.processes.live().into());
    w.put("threads", k.threads.live().into());
    w.put("endpoints", k.endpoints.live().into());
    w.put("ports", k.ports.live().into());
    w.put("memories", k.memories.live().into());
    w.put("mappings", k.mappings.live().into());
    w.put("timers", k.timers.live().into());
    w.put("messages", k.messages.live().into());
    w.put("frames", k.platform.frames_in_use() as u64);
}

fn first_difference(
    before: &Snapshot,
    after: &Snapshot,
    matters: impl Fn(&Field, &Field) -> bool,
) -> Option<usize> {
    let pairs = before.fields.iter().zip(&after.fields);
    pairs
        .enumerate()
        .find(|(_, (old, new))| old.value != new.value && matters(old, new))
        .map(|(n, _)| n)
}

/// How many fields have changed.
pub fn changes(before: &Snapshot, after: &Snapshot) -> usize {
    let pairs = before.fields.iter().zip(&after.fields);
    pairs.filter(|(old, new)| old.value != new.value).count()
}

/// Nothing has changed.
pub fn assert_same(k: &TestKernel, before: &Snapshot, after: &Snapshot, why: &str) {
    if let Some(index) = first_difference(before, after, |_, _| true) {
        let (old, new) = (before.fields[index].value, after.fields[index].value);
        panic!("{why}, but {} changed: {old:#x} to {new:#x}", Snapshot::name(k, index));
    }
    assert_eq!(before.fields.len(), after.fields.len());
}

/// Nothing that a process could notice has changed.
pub fn assert_same_visible(k: &TestKernel, before: &Snapshot, after: &Snapshot, error: Error) {
    if let Some(index) = first_difference(before, after, |old, _| old.visible) {
        let (old, new) = (before.fields[index].value, after.fields[index].value);
        panic!("{error:?}, but {} changed: {old:#x} to {new:#x}", Snapshot::name(k, index));
    }
    assert_eq!(before.fields.len(), after.fields.len());
}

/// Only what is homed on `cpu` has changed.
pub fn assert_local(k: &TestKernel, before: &Snapshot, after: &Snapshot, cpu: usize) {
    let foreign = |old: &Field, _: &Field| usize::from(old.home) != cpu;
    if let Some(index) = first_difference(before, after, foreign) {
        let (old, new) = (before.fields[index], after.fields[index]);
        panic!("CPU {cpu} changed {}: {old:?} to {new:?}", Snapshot::name(k, index));
    }
    assert_eq!(before.fields.len(), after.fields.len(), "a local context changed handles");
}
