//! Order of the steps, failures half-way, and a model that everything must agree with.

use super::*;
use crate::fake::{self, DeviceMemory, FakeInterrupts, FakePci, Limits};
use crate::map::Access;
use crate::object::Port;
use crate::pci::Device;
use crate::store::{EntryLayout, MaskField, StoreKind, Template};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use proptest::prelude::*;
use tocsin_abi::PacketKind;

mod blocks;

const SLOTS: u32 = 16;
const LAYOUT: EntryLayout = EntryLayout {
    base: 0,
    stride: 16,
    slots: SLOTS,
    address: 0,
    address_high: None,
    data: 4,
    mask: Some(MaskField::word(8, 1, 0)),
};
const LIMITS: Limits = Limits { entries: 12, vectors: 4, is_isolated: true };

/// A driver with its device.
struct Bench {
    server: FakeInterrupts,
    memory: DeviceMemory,
    store: Store,
    port: Port,
    interrupts: Interrupts,
    handles: usize,
}

impl Bench {
    fn new(limits: Limits, kind: StoreKind) -> Bench {
        fake::reset();
        let memory = DeviceMemory::new(u64::from(SLOTS) * 16);
        // Invariant 6: the device never sees a change of the pair in an unmasked slot.
        // A new device has all slots masked; the mask word is 1 for "masked".
        for slot in 0..SLOTS {
            memory.write32(u64::from(slot) * 16 + 8, 1);
        }
        memory.watch(|words, offset, _| {
            let (slot, field) = (offset as usize / 16, offset % 16);
            assert!(field == 8 || words[slot * 4 + 2] == 1, "torn pair");
        });
        let store = match kind {
            StoreKind::QueueMemory => Store::queue_memory(memory.clone(), LAYOUT),
            _ => Store::device_array(memory.clone(), LAYOUT),
        }
        .expect("a good layout");
        let server = FakeInterrupts::new(limits);
        let port = Port::new().expect("a port");
        let interrupts = Interrupts::new(server.client(0x18), port.handle());
        let _ = fake::take_trace();
        Bench { server, memory, store, port, interrupts, handles: fake::handle_count() }
    }

    /// The device uses a slot as its memory says. True when the write met a message.
    fn fire(&self, slot: u32) -> bool {
        let start = u64::from(slot) * 16;
        let pair = (self.memory.peek(start), self.memory.peek(start + 4));
        self.memory.peek(start + 8) == 0 && fake::device_write(pair.0.into(), pair.1)
    }

    fn packet(&self) -> Option<u64> {
        let packet = self.port.wait_until(0).ok()?;
        assert_eq!(packet.kind, PacketKind::Message as u32);
        Some(packet.key)
    }

    /// Nothing is left of any interrupt.
    fn assert_clean(&self) {
        assert_eq!((self.server.live(), self.server.active(), self.store.used()), (0, 0, 0));
        assert_eq!(fake::handle_count(), self.handles);
        for slot in 0..SLOTS {
            assert_eq!(self.memory.peek(u64::from(slot) * 16 + 8), 1, "slot {slot} is live");
        }
    }
}

/// The trace without device reads, masks written out.
fn steps() -> Vec<String> {
    fake::take_trace().into_iter().filter(|line| !line.starts_with("read")).collect()
}

#[test]
fn activation_opens_from_the_server_to_the_device() {
    let bench = Bench::new(LIMITS, StoreKind::DeviceArray);
    let mut interrupt = bench.interrupts.add(&bench.store, 2, 77).expect("added");
    let expected = ["alloc 1", "write 0x28 0x1", "write 0x20 0xfee00030", "write 0x24 0x1", "bind"];
    assert_eq!(steps(), expected);
    assert!(!bench.fire(2), "reserved is masked");
    let route = interrupt.activate().expect("activated");
    assert_eq!(interrupt.route(), Some(route));
    assert_eq!(steps(), ["activate", "write 0x28 0x0"]);
    assert!(bench.fire(2));
    assert_eq!(bench.packet(), Some(77));
    assert_eq!(interrupt.activate(), Ok(route), "a second time does nothing");
    assert_eq!(steps(), Vec::<String>::new());
}

#[test]
fn release_closes_from_the_device_to_the_server() {
    let bench = Bench::new(LIMITS, StoreKind::DeviceArray);
    let mut interrupt = bench.interrupts.add(&bench.store, 0, 1).expect("added");
    interrupt.activate().expect("activated");
    let _ = fake::take_trace();
    drop(interrupt);
    let expected =
        ["write 0x8 0x1", "read 0x8", "deactivate", "unbind", "free", "last handle closed"];
    assert_eq!(fake::take_trace(), expected);
    bench.assert_clean();
}

#[test]
fn queue_memory_is_written_before_the_message_is_active() {
    let bench = Bench::new(LIMITS, StoreKind::QueueMemory);
    let mut interrupt = bench.interrupts.add(&bench.store, 1, 5).expect("added");
    let expected = ["alloc 1", "write 0x18 0x1", "write 0x10 0xfee00030", "write 0x14 0x1", "bind"];
    assert_eq!(steps(), expected);
    interrupt.activate().expect("activated");
    assert_eq!(steps(), ["activate", "write 0x18 0x0"]);
    assert!(bench.fire(1));
    assert_eq!(bench.packet(), Some(5));
    drop(interrupt);
    bench.assert_clean();
}

#[test]
fn msi_goes_the_same_way() {
    fake::reset();
    let pci = FakePci::new(1);
    let server = FakeInterrupts::new(Limits { is_isolated: false, ..LIMITS });
    let port = Port::new().expect("a port");
    let store = Store::pci_msi(Device::new(pci.client(0x18))).expect("has MSI");
    let interrupts = Interrupts::new(server.client(0x18), port.handle());
    let mut interrupt = interrupts.add(&store, 0, 9).expect("MSI needs no isolation");
    interrupt.activate().expect("activated");
    let expected = ["alloc 1", "msi mask 0", "msi write", "bind", "activate", "msi unmask 0"];
    assert_eq!(fake::take_trace(), expected);
    assert!(pci.raise(0));
    assert_eq!(port.wait_one().map(|packet| packet.key), Ok(9));
    let status = interrupt.status().expect("readable");
    assert_eq!((status.address, status.delivered), (interrupt.pair().address, 1));
    drop(interrupt);
    assert!(!pci.raise(0));
    assert_eq!((server.live(), store.is_pending(0)), (0, Ok(Some(true))), "kept by the device");
    // The slot is known to be masked now: asking the PCI server again would be in vain.
    let _ = fake::take_trace();
    let again = interrupts.add(&store, 0, 9).expect("the slot came back");
    assert_eq!(fake::take_trace(), ["alloc 1", "msi write", "bind"]);
    assert!(!pci.raise(0));
    drop(again);
}

#[test]
fn the_servers_errors_reach_the_caller_as_themselves() {
    let bench = Bench::new(Limits { vectors: 1, ..LIMITS }, StoreKind::DeviceArray);
    let mut first = bench.interrupts.add(&bench.store, 0, 0).expect("added");
    let mut second = bench.interrupts.add(&bench.store, 1, 1).expect("added");
    first.activate().expect("one vector");
    let none_left = Err(InterruptError::Server(protocol::Error::NoVectors));
    assert_eq!(second.activate(), none_left);
    assert!(!bench.fire(1), "still masked");
    // Released, the vector serves the other one.
    first.deactivate().expect("deactivated");
    assert!(!bench.fire(0));
    second.activate().expect("the vector is free");
    assert!(bench.fire(1));
    drop((first, second));
    bench.assert_clean();

    let alone = Bench::new(Limits { is_isolated: false, ..LIMITS }, StoreKind::DeviceArray);
    let refused = alone.interrupts.add(&alone.store, 0, 0).map(drop);
    assert_eq!(refused, Err(InterruptError::Server(protocol::Error::NotSupported)));
    alone.assert_clean();
}

#[test]
fn many_come_in_groups_of_eight_or_not_at_all() {
    let bench = Bench::new(LIMITS, StoreKind::DeviceArray);
    let slots: Vec<u32> = (0..12).collect();
    let all = bench.interrupts.add_many(&bench.store, &slots, 100).expect("twelve entries");
    assert_eq!(all.iter().map(Interrupt::key).collect::<Vec<_>>(), (100..112).collect::<Vec<_>>());
    let allocs = steps().iter().filter(|line| line.starts_with("alloc")).count();
    assert_eq!(allocs, 2);
    drop(all);
    bench.assert_clean();
    let slots: Vec<u32> = (0..13).collect();
    let refused = bench.interrupts.add_many(&bench.store, &slots, 0).map(drop);
    assert_eq!(refused, Err(InterruptError::Server(protocol::Error::NoEntries)));
    bench.assert_clean();
    let twice = bench.interrupts.add_many(&bench.store, &[1, 2, 1], 0).map(drop);
    assert_eq!(twice, Err(InterruptError::Store(StoreError::SlotTaken)));
    bench.assert_clean();
}

#[test]
fn a_slot_that_can_not_be_written_returns_everything() {
    fake::reset();
    let server = FakeInterrupts::new(LIMITS);
    let port = Port::new().expect("a port");
    let template = Template::new(StoreKind::DeviceArray, Some(2))
        .mask(|_| Ok(()))
        .unmask(|_| Err(StoreError::Device(2)))
        .write(|slot, _| if slot == 0 { Err(StoreError::Device(1)) } else { Ok(()) });
    let store = Store::new(template).expect("complete");
    let interrupts = Interrupts::new(server.client(0x18), port.handle());
    let handles = fake::handle_count();
    let refused = interrupts.add(&store, 0, 0).map(drop);
    assert_eq!(refused, Err(InterruptError::Store(StoreError::Device(1))));
    assert_eq!((server.live(), store.used(), fake::handle_count()), (0, 0, handles));
    // An unmask that fails takes the vector back.
    let mut interrupt = interrupts.add(&store, 1, 0).expect("added");
    assert_eq!(interrupt.activate(), Err(InterruptError::Store(StoreError::Device(2))));
    assert_eq!((server.active(), interrupt.route()), (0, None));
}

#[test]
fn a_slot_that_can_not_be_masked_is_stopped_and_not_used_again() {
    let bench = Bench::new(LIMITS, StoreKind::DeviceArray);
    let mut interrupt = bench.interrupts.add(&bench.store, 3, 0).expect("added");
    interrupt.activate().expect("activated");
    bench.memory.set_stuck(true);
    assert_eq!(interrupt.release(), Err(InterruptError::Store(StoreError::NotMasked)));
    assert_eq!((bench.server.live(), bench.store.used()), (0, 1));
    assert!(!bench.fire(3), "its pair belongs to no message");
    let again = bench.interrupts.add(&bench.store, 3, 0).map(drop);
    assert_eq!(again, Err(InterruptError::Store(StoreError::SlotTaken)));
}

#[test]
fn a_client_gets_its_own_message_and_no_more() {
    let bench = Bench::new(LIMITS, StoreKind::QueueMemory);
    let mut interrupt = bench.interrupts.add_for_client(&bench.store, 4).expect("added");
    let client = interrupt.client_message().expect("not bound here");
    let its_port = Port::new().expect("a port");
    client.bind(its_port.handle(), 1234).expect("the client may bind");
    interrupt.activate().expect("activated");
    assert!(bench.fire(4));
    assert_eq!(its_port.wait_one().map(|packet| packet.key), Ok(1234));
    assert_eq!(bench.packet(), None, "the driver is not in the path");
    assert_eq!(client.signal(), Err(Error::MissingRight));
    let own = bench.interrupts.add(&bench.store, 5, 0).expect("added");
    assert_eq!(own.client_message().map(drop), Err(Error::AlreadyBound));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Add(u32),
    Activate(u32),
    Deactivate(u32),
    Drop(u32),
    Fire(u32),
    Drain,
    FailSoon(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let slot = 0..SLOTS;
    prop_oneof![
        3 => slot.clone().prop_map(Step::Add),
        3 => slot.clone().prop_map(Step::Activate),
        1 => slot.clone().prop_map(Step::Deactivate),
        1 => slot.clone().prop_map(Step::Drop),
        4 => slot.prop_map(Step::Fire),
        1 => Just(Step::Drain),
        1 => (0u32..3).prop_map(Step::FailSoon),
    ]
}

/// Runs steps against a model: which slots exist, which are active, which packets wait.
fn agree(kind: StoreKind, list: Vec<Step>) {
    let bench = Bench::new(LIMITS, kind);
    let mut own: BTreeMap<u32, Interrupt> = BTreeMap::new();
    let mut waiting: alloc::collections::BTreeSet<u32> = Default::default();
    for step in list {
        match step {
            Step::Add(slot) => {
                let had = own.contains_key(&slot);
                match bench.interrupts.add(&bench.store, slot, slot.into()) {
                    Ok(interrupt) => {
                        assert!(!had && own.insert(slot, interrupt).is_none());
                    }
                    Err(InterruptError::Store(StoreError::SlotTaken)) => assert!(had),
                    Err(InterruptError::Server(_)) => assert_eq!(bench.server.live(), own.len()),
                    Err(other) => panic!("{other:?}"),
                }
            }
            Step::Activate(slot) => {
                if let Some(interrupt) = own.get_mut(&slot)
                    && interrupt.activate().is_ok()
                {
                    assert!(bench.fire(slot), "active and silent");
                    waiting.insert(slot);
                }
            }
            Step::Deactivate(slot) => {
                if let Some(interrupt) = own.get_mut(&slot) {
                    // A failure of the server here must leave the slot silent all the same.
                    let _ = interrupt.deactivate();
                    assert!(!bench.fire(slot));
                }
            }
            Step::Drop(slot) => {
                bench.server.no_more_failures();
                own.remove(&slot);
                // Its packet went with the binding.
                waiting.remove(&slot);
                assert!(!bench.fire(slot));
            }
            Step::Fire(slot) => {
                let live = bench.memory.peek(u64::from(slot) * 16 + 8) == 0;
                let is_active = own.get(&slot).is_some_and(|one| one.route().is_some());
                assert!(!live || is_active, "a slot is live without its message");
                if bench.fire(slot) {
                    waiting.insert(slot);
                }
            }
            Step::Drain => {
                while let Some(key) = bench.packet() {
                    assert!(waiting.remove(&(key as u32)), "a packet that nobody caused");
                }
                assert!(waiting.is_empty(), "lost {waiting:?}");
            }
            Step::FailSoon(after) => bench.server.fail_after(after, protocol::Error::Hardware),
        }
        assert_eq!(bench.server.live(), own.len());
        assert_eq!(bench.store.used() as usize, own.len());
        assert!(bench.server.active() <= LIMITS.vectors as usize);
    }
    bench.server.no_more_failures();
    drop(own);
    bench.assert_clean();
}

proptest! {
    #[test]
    fn device_arrays_agree_with_the_model(list in prop::collection::vec(step(), 0..80)) {
        agree(StoreKind::DeviceArray, list);
    }

    #[test]
    fn queue_memory_agrees_with_the_model(list in prop::collection::vec(step(), 0..80)) {
        agree(StoreKind::QueueMemory, list);
    }
}

/// A fault is a packet on the driver's port, and a new watch ends the one before.
#[test]
fn faults_are_heard_of_on_the_port() {
    let bench = Bench::new(LIMITS, StoreKind::DeviceArray);
    let next = |bench: &Bench| {
        let packet = bench.port.wait_until(0).ok()?;
        Some((packet.key, packet.count))
    };
    bench.server.fault();
    let watch = bench.interrupts.watch_faults(7).expect("watches");
    assert_eq!(next(&bench), None, "what was before is counted, not told");
    bench.server.fault();
    bench.server.fault();
    assert_eq!(next(&bench), Some((7, 2)));
    assert_eq!(watch.counts().expect("answers").faults, 3);
    let second = bench.interrupts.watch_faults(8).expect("watches");
    bench.server.fault();
    assert_eq!(next(&bench), Some((8, 1)));
    drop((watch, second));
    bench.server.fault();
    assert_eq!(next(&bench), None);
}
