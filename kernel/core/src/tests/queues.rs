//! What holds between any two operations for everything that waits: threads, packets,
//! deadlines, and vectors.

use std::collections::{BTreeMap, BTreeSet};
use std::string::String;
use std::vec::Vec;

use tocsin_abi::{Kind, MessageState, Rights};

use super::platform::{FIRST_WIRE, LAST_VECTOR};
use super::world::TestKernel;
use crate::arena::Id;
use crate::level::Held;
use crate::objects::{NO_CPU, SlotId, ThreadId, ThreadQueue, TimerId};
use crate::platform::Platform as _;
use crate::port::Node;
use crate::thread::State;
use crate::vectors::Use;

const TIMER_BIT: u32 = 1 << 31;
const END: u32 = u32::MAX;

/// Checks everything.
pub fn check(k: &TestKernel, slots: &[SlotId]) {
    check_threads(k);
    check_running(k);
    check_places(k);
    check_packets(k);
    check_deadlines(k);
    check_vectors(k);
    check_messages(k, slots);
    check_first_places(k);
}

/// "Nobody" is the first place of each arena: short cuts look there, nothing changes it.
fn check_first_places(k: &TestKernel) {
    let (port, endpoint) = (k.ports.get(Id::NONE), k.endpoints.get(Id::NONE));
    assert!(port.waiter.get().is_none() && port.queued.get() == 0 && port.endpoint.get().is_none());
    assert!(endpoint.receivers.head.get().is_none() && endpoint.senders.head.get().is_none());
    assert!(k.slots.get(Id::NONE).owner.get().is_none());
    let thread = k.threads.get(Id::NONE);
    assert!(thread.caller.get().is_none() && thread.server.get().is_none());
    for index in 0..k.cpu_count.get() {
        assert!(k.cpu(index).handoff.get().is_none(), "CPU {index} left a thread in between");
    }
}

fn members(k: &TestKernel, queue: &ThreadQueue) -> Vec<ThreadId> {
    let (mut at, mut prev, mut found) = (queue.head.get(), ThreadId::NONE, Vec::new());
    while at.is_some() {
        assert_eq!(k.thread(at).prev.get(), prev, "back link of thread {at:?}");
        found.push(at);
        assert!(found.len() <= k.threads.capacity() as usize, "a circle of threads");
        (prev, at) = (at, k.thread(at).next.get());
    }
    assert_eq!(queue.tail.get(), prev, "tail of a queue");
    found
}

/// Each thread is where its state says, and nowhere else.
fn check_threads(k: &TestKernel) {
    let mut places = BTreeMap::<u32, Vec<String>>::new();
    let mut found = |id: ThreadId, place: String| places.entry(id.index()).or_default().push(place);
    for index in 0..k.cpu_count.get() {
        let cpu = k.cpu(index);
        for (priority, queue) in cpu.queues.iter().enumerate() {
            let threads = members(k, queue);
            let bit = cpu.ready.get() >> priority & 1 != 0;
            assert_eq!(bit, !threads.is_empty(), "ready bit {priority} of CPU {index}");
            for id in threads {
                assert_eq!(usize::from(k.thread(id).priority.get()), priority);
                found(id, std::format!("ready {index}"));
            }
        }
        for (id, what) in [(cpu.handoff.get(), "ready"), (cpu.current.get(), "running")] {
            if id.is_some() {
                found(id, std::format!("{what} {index}"));
            }
        }
    }
    for id in k.endpoints.in_use() {
        let endpoint = k.endpoints.get(id);
        for thread in members(k, &endpoint.senders) {
            found(thread, std::format!("sending {}", id.index()));
        }
        for thread in members(k, &endpoint.receivers) {
            found(thread, std::format!("receiving {}", id.index()));
        }
    }
    for id in k.ports.in_use() {
        let waiter = k.ports.get(id).waiter.get();
        if waiter.is_some() {
            found(waiter, std::format!("waiting {}", id.index()));
        }
    }
    for id in k.threads.in_use() {
        let thread = k.threads.get(id);
        let id = ThreadId::new(id.index());
        let caller = thread.caller.get();
        if caller.is_some() {
            assert_eq!(k.thread(caller).server.get(), id, "server of {caller:?}");
            assert_eq!(k.thread(caller).state.get(), State::Calling);
            found(caller, String::from("calling"));
        }
    }
    for id in k.threads.in_use() {
        let thread = k.threads.get(id);
        assert_eq!(thread.level.get(), 1 << thread.priority.get(), "level of {id:?}");
        // Whoever waits holds the handle through which he waits.
        let (cpu, via) = (thread.cpu.get(), k.slots.get(thread.via.get()));
        let place = via.object.get();
        let needs = match thread.state.get() {
            State::Sending => Some((Kind::Endpoint, Rights::CALL)),
            State::Receiving => Some((Kind::Endpoint, Rights::RECEIVE)),
            State::Waiting => Some((Kind::Port, Rights::WAIT)),
            _ => None,
        };
        if let Some((kind, rights)) = needs {
            assert_eq!(via.owner.get(), thread.process.get(), "{id:?} waits by no right");
            assert!(via.kind() == kind && via.rights().contains(rights), "{id:?} waits wrongly");
        }
        let expected = match thread.state.get() {
            State::New | State::Dead => None,
            State::Ready => Some(std::format!("ready {cpu}")),
            State::Running => Some(std::format!("running {cpu}")),
            State::Sending => Some(std::format!("sending {place}")),
            State::Receiving => Some(std::format!("receiving {place}")),
            State::Calling => Some(String::from("calling")),
            State::Waiting => Some(std::format!("waiting {place}")),
        };
        let real = places.remove(&id.index()).unwrap_or_default();
        assert_eq!(real, expected.into_iter().collect::<Vec<_>>(), "where thread {id:?} is");
    }
    assert!(places.is_empty(), "threads that do not live: {places:?}");
}

/// Nobody waits for a CPU that runs somebody less urgent, or nobody.
fn check_running(k: &TestKernel) {
    for index in 0..k.cpu_count.get() {
        let cpu = k.cpu(index);
        // Who was woken from afar is seen when the poke arrives.
        if k.platform.poked[index].get() || cpu.ready.get() == 0 {
            continue;
        }
        assert!(cpu.current.get().is_some(), "CPU {index} idles");
        let priority = k.thread(cpu.current.get()).priority.get();
        assert!(cpu.ready.get() >> priority <= 1, "CPU {index} runs somebody less urgent");
    }
}

/// Endpoints and ports: homes, ties, and nobody waits for what is there.
fn check_places(k: &TestKernel) {
    for id in k.endpoints.in_use() {
        let endpoint = k.endpoints.get(id);
        let receivers = members(k, &endpoint.receivers);
        let senders = members(k, &endpoint.senders);
        assert!(receivers.is_empty() || senders.is_empty(), "endpoint {id:?}: both wait");
        if endpoint.receive_handles.get() == 0 {
            assert!(receivers.is_empty() && senders.is_empty(), "endpoint {id:?} is deaf");
        }
        let port = endpoint.port.get();
        if port.is_some() {
            let port = k.ports.get(port);
            assert_eq!(port.endpoint.get(), id, "the port of endpoint {id:?}");
            assert_eq!(port.home.get(), endpoint.home.get(), "homes of endpoint {id:?}");
            assert!(
                receivers.is_empty() || port.queued.get() == 0,
                "{id:?}: a packet nobody takes"
            );
        }
    }
    for id in k.ports.in_use() {
        let port = k.ports.get(id);
        let endpoint = port.endpoint.get();
        if endpoint.is_some() {
            assert_eq!(k.endpoints.get(endpoint).port.get(), id, "the endpoint of port {id:?}");
        }
        let waiter = port.waiter.get();
        if waiter.is_some() {
            assert_eq!(k.thread(waiter).cpu.get(), port.home.get(), "port {id:?} is not at home");
            assert_eq!(port.queued.get(), 0, "port {id:?}: a packet nobody takes");
        }
    }
}

fn node(k: &TestKernel, source: u32) -> &Node {
    let index = source & 0x0fff_ffff;
    match source >> 28 {
        0 => &k.messages.get(Id::new(index)).node,
        1 => &k.messages.get(Id::new(index)).notice,
        2 => &k.ports.get(Id::new(index)).signal,
        3 => &k.timers.get(Id::new(index)).node,
        4 => &k.process(Id::new(index)).death,
        _ => &k.log.node,
    }
}

fn check_packets(k: &TestKernel) {
    let mut queued = BTreeSet::new();
    for id in k.ports.in_use() {
        let port = k.ports.get(id);
        let (head, tail) = port.ends();
        let (mut at, mut prev, mut count) = (head, END, 0);
        while at != END {
            let node = node(k, at);
            assert!(node.queued.get(), "packet {at:#x} is queued");
            assert!(k.is_tied(node) && node.port.get() == id, "packet {at:#x} at a foreign port");
            assert_eq!(node.links().1, prev, "back link of packet {at:#x}");
            assert!(queued.insert(at), "packet {at:#x} twice");
            assert!(node.count.get() > 0, "packet {at:#x} of no events");
            (prev, at) = (at, node.links().0);
            count += 1;
        }
        assert_eq!(tail, prev, "tail of port {id:?}");
        assert_eq!(count, port.queued.get(), "packets of port {id:?}");
    }
    let mut flagged = BTreeSet::new();
    let mut look = |source: u32, node: &Node| {
        if node.queued.get() {
            flagged.insert(source);
        }
    };
    for id in k.messages.in_use() {
        look(id.index(), &k.messages.get(id).node);
        look(1 << 28 | id.index(), &k.messages.get(id).notice);
    }
    for id in k.ports.in_use() {
        look(2 << 28 | id.index(), &k.ports.get(id).signal);
    }
    for id in k.timers.in_use() {
        look(3 << 28 | id.index(), &k.timers.get(id).node);
    }
    for id in k.processes.in_use() {
        look(4 << 28 | id.index(), &k.process(id).death);
    }
    look(5 << 28, &k.log.node);
    assert_eq!(queued, flagged, "packets in queues, and those that think so");
}

fn check_deadlines(k: &TestKernel) {
    let mut queued = BTreeSet::new();
    for index in 0..k.cpu_count.get() {
        let cpu = k.cpu(index);
        let (mut at, mut prev, mut last) = (cpu.due.get(), END, 0);
        while at != END {
            let due = if at & TIMER_BIT != 0 {
                &k.timers.get(TimerId::new(at & !TIMER_BIT)).due
            } else {
                &k.thread(ThreadId::new(at)).due
            };
            assert_eq!(usize::from(due.cpu.get()), index, "deadline {at:#x} is elsewhere");
            assert_eq!(due.prev.get(), prev, "back link of deadline {at:#x}");
            assert!(due.deadline.get() >= last, "deadlines out of order");
            assert!(queued.insert(at), "deadline {at:#x} twice");
            last = due.deadline.get();
            (prev, at) = (at, due.next.get());
        }
        let first = cpu.due.get();
        if first != END {
            assert!(cpu.armed.get() <= last, "CPU {index} sleeps through a deadline");
        }
        assert_eq!(cpu.armed.get(), k.platform.timers[index].get(), "timer of CPU {index}");
    }
    let mut flagged = BTreeSet::new();
    for id in k.timers.in_use() {
        if k.timers.get(id).due.cpu.get() != NO_CPU {
            flagged.insert(id.index() | TIMER_BIT);
        }
    }
    for id in k.threads.in_use() {
        let thread = k.threads.get(id);
        if thread.due.cpu.get() != NO_CPU {
            assert_eq!(thread.state.get(), State::Waiting, "a deadline for nothing");
            assert_eq!(thread.due.cpu.get(), thread.cpu.get());
            flagged.insert(id.index());
        }
    }
    assert_eq!(queued, flagged, "deadlines in queues, and those that think so");
}

fn check_vectors(k: &TestKernel) {
    let live = k.messages.in_use();
    let shared = k.platform.shared.get();
    let place = |cpu: u8, vector| k.platform.vector_place(cpu.into(), vector);
    let mut owned = BTreeSet::new();
    // What the interrupt controller holds back, as the kernel knows it.
    let mut known = BTreeSet::new();
    let mut known_private = BTreeSet::new();
    let space = k.platform.vector_space();
    for id in live.iter().copied() {
        let message = k.messages.get(id);
        let (vector, old) = (message.vector.get(), message.old_vector.get());
        let mut places = BTreeSet::new();
        for (cpu, vector) in [(message.cpu.get(), vector), (message.old_cpu.get(), old)] {
            if vector != 0 {
                places.insert(place(cpu, vector));
            }
        }
        assert!(shared || places.len() == usize::from(vector != 0) + usize::from(old != 0));
        for place in places {
            assert!(owned.insert(place), "a vector of two messages");
            let entry = &k.vectors[place];
            assert_eq!((entry.message.get(), entry.usage.get()), (id, Use::Live));
        }
        if message.held.get() != Held::No {
            let is_private = space.is_private(vector);
            let is_wire = is_private || vector >= FIRST_WIRE;
            assert!(message.is_level.get() && is_wire, "{id:?} holds an edge back");
            if is_private {
                known_private.insert((usize::from(message.cpu.get()), vector));
            } else {
                known.insert(vector);
            }
        }
        let blocked = message.state.get() == MessageState::Blocked;
        assert!(blocked || message.held.get() != Held::Muted, "message {id:?} is muted");
        let reserved = message.state.get() == MessageState::Reserved;
        assert_eq!(reserved, vector == 0, "state of message {id:?}");
        assert!(old == 0 || vector != 0, "message {id:?} moves from nowhere");
        let home = if vector != 0 && old == 0 { message.cpu.get() } else { NO_CPU };
        assert_eq!(message.home.get(), home, "home of message {id:?}");
    }
    let all = k.platform.all_vectors(k.cpu_count.get());
    let vectors: BTreeMap<_, _> =
        all.into_iter().map(|(cpu, vector)| (place(cpu as u8, vector), vector)).collect();
    let cpus = 0..k.cpu_count.get();
    let private: BTreeMap<_, _> = cpus
        .flat_map(|cpu| (space.private.0..space.private.1).map(move |vector| (cpu, vector)))
        .map(|(cpu, vector)| (place(cpu as u8, vector), (cpu, vector)))
        .collect();
    for (place, entry) in k.vectors.iter().enumerate() {
        let (usage, vector) = (entry.usage.get(), vectors.get(&place));
        assert_eq!(usage == Use::Live, owned.contains(&place), "vector {vector:?} at {place}");
        let own = private.get(&place);
        let is_on = own.is_some_and(|own| k.platform.private.borrow().contains_key(own));
        assert_eq!(own.is_some() && usage == Use::Live, is_on, "private vector {own:?}");
        let exists = vector.is_some() || own.is_some();
        assert!(exists || usage == Use::Free, "the vector at {place} is no device's");
        assert!(usage != Use::Free || entry.message.get().is_none(), "a free vector leads on");
        if entry.left.get() {
            assert_ne!(usage, Use::Live, "vector {vector:?} is held back for nobody");
            known.extend(vector);
            known_private.extend(own);
        }
    }
    // What is no device's is held back for good.
    let held = k.platform.held.borrow();
    let held: BTreeSet<_> = held.iter().copied().filter(|vector| *vector <= LAST_VECTOR).collect();
    assert_eq!(known, held, "what the kernel knows, and what is held back");
    assert_eq!(known_private, *k.platform.held_private.borrow());
    assert!(k.round.begun.get() - k.round.done.get() <= 1, "two rounds at once");
}

fn check_messages(k: &TestKernel, slots: &[SlotId]) {
    for id in k.messages.in_use() {
        let message = k.messages.get(id);
        if !k.is_tied(&message.node) {
            assert!(!message.node.queued.get());
            continue;
        }
        let binder = message.binder.get();
        assert!(slots.contains(&binder), "message {id:?} is bound by nobody");
        let slot = k.slots.get(binder);
        assert_eq!((slot.kind(), slot.object.get()), (Kind::Message, id.index()));
        assert!(slot.rights().contains(Rights::BIND));
        assert_eq!(message.pending.get(), 0, "message {id:?} is bound and has pending events");
    }
}
