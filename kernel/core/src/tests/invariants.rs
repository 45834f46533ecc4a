//! What holds between any two operations: handles, the tree of derivation, mappings,
//! processes and their accounts. `queues` does the same for everything that waits.

use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

use tocsin_abi::limits::PAGE_BYTES;
use tocsin_abi::{Kind, Rights};

use super::queues;
use super::world::TestKernel;
use crate::arena::Id;
use crate::budget::Share;
use crate::create::{
    ENDPOINT_BYTES, MAPPING_BYTES, MEMORY_BYTES, MESSAGE_BYTES, PORT_BYTES, PROCESS_BYTES,
    RANGE_BYTES, SLOT_BYTES, THREAD_BYTES, TIMER_BYTES,
};
use crate::objects::{ProcessId, SlotId};
use crate::process::Phase;
use crate::thread::State;

/// Walks every list of the kernel and checks it against the others.
pub fn check_invariants(k: &TestKernel) {
    let slots = check_slots(k);
    check_tree(k, &slots);
    check_handle_counts(k, &slots);
    check_mappings(k);
    check_processes(k);
    check_accounts(k, &slots);
    check_shares(k);
    check_frames(k, &slots);
    queues::check(k, &slots);
}

fn check_slots(k: &TestKernel) -> Vec<SlotId> {
    let slots = k.slots.in_use();
    let mut owned = 0;
    for process_id in k.processes.in_use() {
        let process = k.process(process_id);
        let (mut at, mut prev, mut count) = (process.slots.get(), SlotId::NONE, 0);
        while at.is_some() {
            let slot = k.slots.get(at);
            assert_eq!(slot.owner.get(), process_id, "slot {at:?} in a foreign list");
            assert_eq!(slot.owner_prev.get(), prev, "back link of slot {at:?}");
            (prev, at) = (at, slot.owner_next.get());
            count += 1;
            assert!(count <= slots.len(), "a circle of slots");
        }
        assert_eq!(count as u32, process.handle_count.get(), "handles of {process_id:?}");
        assert!(process.phase.get() != Phase::Dead || count == 0, "the dead hold handles");
        owned += count;
    }
    assert_eq!(owned, slots.len(), "a slot in nobody's list");
    slots
}

fn check_tree(k: &TestKernel, slots: &[SlotId]) {
    let mut children = 0;
    for &id in slots {
        let slot = k.slots.get(id);
        let (mut at, mut prev) = (slot.child.get(), SlotId::NONE);
        while at.is_some() {
            let child = k.slots.get(at);
            assert_eq!(child.parent.get(), id, "parent of slot {at:?}");
            assert_eq!(child.prev.get(), prev, "back link of slot {at:?} in the tree");
            assert!(slot.rights().contains(child.rights()), "slot {at:?} has more rights");
            assert_eq!(child.kind(), slot.kind(), "slot {at:?} is of another kind");
            let slice = matches!(slot.kind(), Kind::Physical | Kind::IoPorts);
            assert!(slice || child.object.get() == slot.object.get(), "slot {at:?}");
            let badge = slot.badge.get();
            assert!(badge == 0 || child.badge.get() == badge, "badge of slot {at:?}");
            (prev, at) = (at, child.next.get());
            children += 1;
            assert!(children <= slots.len(), "a circle in the tree");
        }
        // Every way up ends.
        let (mut up, mut height) = (slot.parent.get(), 0);
        while up.is_some() {
            up = k.slots.get(up).parent.get();
            height += 1;
            assert!(height <= slots.len(), "a circle upwards");
        }
    }
    let with_parent = slots.iter().filter(|id| k.slots.get(**id).parent.get().is_some()).count();
    assert_eq!(children, with_parent, "a child that its parent does not know");
}

/// Handles by object, with those for which `also` holds.
fn counts(
    k: &TestKernel,
    slots: &[SlotId],
    kinds: &[Kind],
    also: impl Fn(Rights) -> bool,
) -> BTreeMap<u32, (u32, u32)> {
    let mut counts = BTreeMap::<u32, (u32, u32)>::new();
    for slot in slots.iter().map(|id| k.slots.get(*id)) {
        if kinds.contains(&slot.kind()) {
            let count = counts.entry(slot.object.get()).or_default();
            count.0 += 1;
            count.1 += u32::from(also(slot.rights()));
        }
    }
    counts
}

fn check_handle_counts(k: &TestKernel, slots: &[SlotId]) {
    let any = |_| true;
    let of = |kind| counts(k, slots, &[kind], any);
    let processes = of(Kind::Process);
    for id in k.processes.in_use() {
        let count = processes.get(&id.index()).map_or(0, |count| count.0);
        let process = k.process(id);
        assert_eq!(process.handles.get(), count, "handles of process {id:?}");
        let dead = process.phase.get() == Phase::Dead;
        let kept = count > 0 || process.used.get() > 0;
        assert!(!dead || kept, "process {id:?} is forgotten");
    }
    assert!(processes.keys().all(|index| k.processes.in_use().contains(&Id::new(*index))));
    let threads = of(Kind::Thread);
    for id in k.threads.in_use() {
        let count = threads.get(&id.index()).map_or(0, |count| count.0);
        let thread = k.threads.get(id);
        assert_eq!(thread.handles.get(), count, "handles of thread {id:?}");
        assert!(thread.state.get() != State::Dead || count > 0, "thread {id:?} is forgotten");
    }
    let endpoints = counts(k, slots, &[Kind::Endpoint], |r| r.contains(Rights::RECEIVE));
    let found: BTreeMap<_, _> = k
        .endpoints
        .in_use()
        .into_iter()
        .map(|id| {
            let endpoint = k.endpoints.get(id);
            (id.index(), (endpoint.handles.get(), endpoint.receive_handles.get()))
        })
        .collect();
    assert_eq!(found, endpoints, "handles of endpoints");
    let messages = counts(k, slots, &[Kind::Message], |r| !r.contains(Rights::CONTROL));
    let found: BTreeMap<_, _> = k
        .messages
        .in_use()
        .into_iter()
        .map(|id| {
            let message = k.messages.get(id);
            (id.index(), (message.handles.get(), message.clients.get()))
        })
        .collect();
    assert_eq!(found, messages, "handles of messages");
    let plain = |found: Vec<(u32, u32)>, expected: BTreeMap<u32, (u32, u32)>, what| {
        let expected: Vec<_> = expected.into_iter().map(|(id, count)| (id, count.0)).collect();
        assert_eq!(found, expected, "handles of {what}");
    };
    let found = k.ports.in_use().into_iter().map(|id| (id.index(), k.ports.get(id).handles.get()));
    plain(found.collect(), of(Kind::Port), "ports");
    let found =
        k.timers.in_use().into_iter().map(|id| (id.index(), k.timers.get(id).handles.get()));
    plain(found.collect(), of(Kind::Timer), "timers");
    let found = k.memories.in_use().into_iter();
    let found = found.map(|id| (id.index(), k.memories.get(id).handles.get()));
    let kinds = [Kind::Memory, Kind::Physical, Kind::IoPorts];
    plain(found.collect(), counts(k, slots, &kinds, any), "memories");
}

fn check_mappings(k: &TestKernel) {
    let all = k.mappings.in_use();
    let mut listed = BTreeSet::new();
    for process_id in k.processes.in_use() {
        let process = k.process(process_id);
        let (mut at, mut prev) = (process.mappings.get(), Id::NONE);
        let mut pages = BTreeMap::new();
        while at.is_some() {
            let mapping = k.mappings.get(at);
            assert_eq!(mapping.process.get(), process_id);
            assert_eq!(mapping.prev.get(), prev, "back link of mapping {at:?}");
            assert!(listed.insert(at.index()), "mapping {at:?} twice");
            for page in 0..mapping.pages.get() {
                let number = mapping.address.get() / PAGE_BYTES + page;
                pages.insert(number, mapping.physical.get() + page * PAGE_BYTES);
            }
            (prev, at) = (at, mapping.next.get());
        }
        if process.phase.get() == Phase::Dead {
            assert!(pages.is_empty(), "the dead have mappings");
            continue;
        }
        let space = process.space.get();
        let real = k.platform.pages(space).into_iter().map(|(page, is)| (page, is.physical));
        assert_eq!(real.collect::<BTreeMap<_, _>>(), pages, "pages of {process_id:?}");
        let (real, charged) = (k.platform.tables(space), process.tables.get());
        // A dying process's tables go in steps, their charge at the end.
        let dying = process.phase.get() == Phase::Dying && real < charged;
        assert!(real == charged || dying, "tables of {process_id:?}: {real}, not {charged}");
    }
    assert_eq!(listed.len(), all.len(), "a mapping in nobody's list");
    let mut through_slots = 0;
    for id in k.slots.in_use() {
        let (mut at, mut prev) = (k.slots.get(id).mappings.get(), Id::NONE);
        while at.is_some() {
            let mapping = k.mappings.get(at);
            assert_eq!(mapping.slot.get(), id, "slot of mapping {at:?}");
            assert_eq!(mapping.slot_prev.get(), prev, "back link of mapping {at:?} at its slot");
            (prev, at) = (at, mapping.slot_next.get());
            through_slots += 1;
            assert!(through_slots <= all.len(), "a circle of mappings");
        }
    }
    let named = all.iter().filter(|id| k.mappings.get(**id).slot.get().is_some()).count();
    assert_eq!(through_slots, named, "a mapping that its slot does not know");
}

fn check_processes(k: &TestKernel) {
    let all = k.processes.in_use();
    let mut children = 0;
    for &id in &all {
        let process = k.process(id);
        let (mut at, mut prev) = (process.child.get(), ProcessId::NONE);
        while at.is_some() {
            let child = k.process(at);
            assert_eq!(child.creator.get(), id, "creator of {at:?}");
            assert_eq!(child.sibling_prev.get(), prev, "back link of {at:?}");
            (prev, at) = (at, child.sibling_next.get());
            children += 1;
            assert!(children <= all.len(), "a circle of children");
        }
        let (mut at, mut prev) = (process.threads.get(), Id::NONE);
        while at.is_some() {
            let thread = k.thread(at);
            assert_eq!(process.phase.get(), Phase::Alive, "a thread outlives its process");
            assert_eq!(thread.process.get(), id);
            assert_eq!(thread.space.get(), process.space.get());
            assert_ne!(thread.state.get(), State::Dead);
            assert_eq!(thread.sibling_prev.get(), prev, "back link of thread {at:?}");
            (prev, at) = (at, thread.sibling_next.get());
        }
    }
    let roots = all.iter().filter(|id| k.process(**id).creator.get().is_none()).count();
    assert_eq!(children + roots, all.len(), "a process that its creator does not know");
    let mut dying = BTreeSet::new();
    let mut at = k.dying.get();
    while at.is_some() {
        assert!(dying.insert(at.index()), "dies twice");
        at = k.process(at).dying_next.get();
    }
    let expected = all.iter().filter(|id| k.process(**id).phase.get() == Phase::Dying);
    assert_eq!(dying, expected.map(|id| id.index()).collect(), "the list of the dying");
}

/// Everybody's account is the sum of what they pay for.
fn check_accounts(k: &TestKernel, slots: &[SlotId]) {
    let mut sums = BTreeMap::<u32, u64>::new();
    let mut pays = |payer: ProcessId, bytes: u64| *sums.entry(payer.index()).or_default() += bytes;
    for slot in slots.iter().map(|id| k.slots.get(*id)) {
        pays(slot.owner.get(), SLOT_BYTES);
    }
    for id in k.endpoints.in_use() {
        pays(k.endpoints.get(id).payer.get(), ENDPOINT_BYTES);
    }
    for id in k.ports.in_use() {
        pays(k.ports.get(id).payer.get(), PORT_BYTES);
    }
    for id in k.timers.in_use() {
        pays(k.timers.get(id).payer.get(), TIMER_BYTES);
    }
    for id in k.messages.in_use() {
        pays(k.messages.get(id).payer.get(), MESSAGE_BYTES);
    }
    for id in k.threads.in_use() {
        pays(k.threads.get(id).payer.get(), THREAD_BYTES + PAGE_BYTES);
    }
    for id in k.mappings.in_use() {
        pays(k.mappings.get(id).payer.get(), MAPPING_BYTES);
    }
    let frames = counts(k, slots, &[Kind::Memory], |_| true);
    for id in k.memories.in_use() {
        let memory = k.memories.get(id);
        let real = frames.contains_key(&id.index());
        let bytes = if real { MEMORY_BYTES + memory.size.get() } else { RANGE_BYTES };
        pays(memory.payer.get(), bytes);
    }
    for id in k.processes.in_use() {
        let process = k.process(id);
        pays(id, process.tables.get() * PAGE_BYTES);
        pays(process.creator.get(), PROCESS_BYTES + process.budget.get());
    }
    for id in k.processes.in_use() {
        let process = k.process(id);
        let (used, budget) = (process.used.get(), process.budget.get());
        assert_eq!(used, sums.get(&id.index()).copied().unwrap_or(0), "account of {id:?}");
        assert!(used <= budget, "{id:?} has spent more than it has");
        assert!(process.phase.get() != Phase::Dead || used == budget, "the dead keep a budget");
    }
}

/// Who pays for an object has it in its share.
fn check_shares(k: &TestKernel) {
    let mut sums = BTreeMap::<(u32, u32), u32>::new();
    let mut pays = |payer: ProcessId, share: Share| {
        *sums.entry((payer.index(), share as u32)).or_default() += 1;
    };
    k.endpoints
        .in_use()
        .iter()
        .for_each(|id| pays(k.endpoints.get(*id).payer.get(), Share::Endpoint));
    k.ports.in_use().iter().for_each(|id| pays(k.ports.get(*id).payer.get(), Share::Port));
    k.timers.in_use().iter().for_each(|id| pays(k.timers.get(*id).payer.get(), Share::Timer));
    k.messages.in_use().iter().for_each(|id| pays(k.messages.get(*id).payer.get(), Share::Message));
    k.threads.in_use().iter().for_each(|id| pays(k.threads.get(*id).payer.get(), Share::Thread));
    k.mappings.in_use().iter().for_each(|id| pays(k.mappings.get(*id).payer.get(), Share::Mapping));
    k.memories.in_use().iter().for_each(|id| pays(k.memories.get(*id).payer.get(), Share::Memory));
    k.processes.in_use().iter().for_each(|id| pays(k.process(*id).creator.get(), Share::Process));
    let all = [
        Share::Process,
        Share::Thread,
        Share::Endpoint,
        Share::Port,
        Share::Memory,
        Share::Mapping,
        Share::Timer,
        Share::Message,
    ];
    for id in k.processes.in_use() {
        for share in all {
            let expected = sums.get(&(id.index(), share as u32)).copied().unwrap_or(0);
            assert_eq!(k.process(id).shares.held(share), expected, "{share:?} of {id:?}");
        }
    }
}

fn check_frames(k: &TestKernel, slots: &[SlotId]) {
    let mut frames = 0;
    for space in k.platform.spaces() {
        frames += 1 + k.platform.tables(space);
    }
    for index in counts(k, slots, &[Kind::Memory], |_| true).into_keys() {
        frames += k.memories.get(Id::new(index)).size.get() / PAGE_BYTES;
    }
    let threads = k.threads.in_use();
    frames +=
        threads.iter().filter(|id| k.threads.get(**id).state.get() != State::Dead).count() as u64;
    assert_eq!(frames, k.platform.frames_in_use() as u64, "frames");
    let alive =
        k.processes.in_use().into_iter().filter(|id| k.process(*id).phase.get() != Phase::Dead);
    assert_eq!(alive.count(), k.platform.spaces().len(), "address spaces");
}
