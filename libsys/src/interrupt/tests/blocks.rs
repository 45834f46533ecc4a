//! PCI MSI with several messages: blocks that come in parts, and masks where the device has
//! none.

use super::*;
use crate::store::StoreError;
use alloc::format;

/// A driver of a device with an MSI capability.
struct Msi {
    server: FakeInterrupts,
    pci: FakePci,
    store: Store,
    port: Port,
    interrupts: Interrupts,
    handles: usize,
}

impl Msi {
    fn new(pci: FakePci, limits: Limits) -> Msi {
        fake::reset();
        let server = FakeInterrupts::new(limits);
        let port = Port::new().expect("a port");
        let store = Store::pci_msi(Device::new(pci.client(0x18))).expect("has MSI");
        let interrupts = Interrupts::new(server.client(0x18), port.handle());
        let _ = fake::take_trace();
        Msi { server, pci, store, port, interrupts, handles: fake::handle_count() }
    }

    fn packet(&self) -> Option<u64> {
        self.port.wait_until(0).ok().map(|packet| packet.key)
    }

    fn assert_clean(&self) {
        assert_eq!((self.server.live(), self.server.active(), self.store.used()), (0, 0, 0));
        assert_eq!(fake::handle_count(), self.handles);
    }
}

const WIDE: Limits = Limits { entries: 64, vectors: 64, is_isolated: true };

#[test]
fn a_block_comes_in_parts_and_is_one_run() {
    for count in [1, 2, 4, 8, 16, 32] {
        let msi = Msi::new(FakePci::new(32), WIDE);
        let mut all = msi.interrupts.add_block(&msi.store, count, 100).expect("a block");
        let calls = fake::take_trace();
        let asked = |what: &str| calls.iter().filter(|line| line.starts_with(what)).count() as u32;
        assert_eq!((asked("alloc"), asked("Collect")), (1, count.div_ceil(8) - 1));
        assert_eq!((asked("msi mask"), asked("msi write"), asked("bind")), (count, count, count));
        let last_mask = calls.iter().rposition(|line| line.starts_with("msi mask"));
        let first_write = calls.iter().position(|line| line.starts_with("msi write"));
        assert!(last_mask < first_write, "all are masked before the first is written");
        let first = all[0].pair();
        for (number, interrupt) in (0..).zip(&mut all) {
            let pair = Pair { data: first.data + number, ..first };
            assert_eq!((interrupt.pair(), interrupt.slot()), (pair, number));
            interrupt.activate().expect("a vector");
        }
        for number in 0..count {
            assert!(msi.pci.raise(number as u8));
            assert_eq!(msi.packet(), Some(100 + u64::from(number)));
        }
        drop(all);
        msi.assert_clean();
    }
}

#[test]
fn a_block_that_can_not_be_says_why_and_takes_nothing() {
    let msi = Msi::new(FakePci::new(16), WIDE);
    let refused = |count| msi.interrupts.add_block(&msi.store, count, 0).map(drop);
    let bad = Err(InterruptError::Server(protocol::Error::BadArgument));
    for count in [0, 3, 12, 15] {
        assert_eq!(refused(count), bad, "{count}");
    }
    for count in [17, 32, 33, 256, u32::MAX] {
        assert_eq!(refused(count), Err(InterruptError::Store(StoreError::TooManySlots)));
    }
    assert_eq!(fake::take_trace(), Vec::<String>::new(), "nobody was asked");
    // A slot of it is in use.
    let other = msi.interrupts.add(&msi.store, 0, 0).expect("a message");
    assert_eq!(refused(4), Err(InterruptError::Store(StoreError::SlotTaken)));
    drop(other);
    msi.assert_clean();
    // Where nobody can promise consecutive pairs.
    let plain = Msi::new(FakePci::new(16), Limits { is_isolated: false, ..WIDE });
    let refused = plain.interrupts.add_block(&plain.store, 4, 0).map(drop);
    assert_eq!(refused, Err(InterruptError::Server(protocol::Error::NoContiguous)));
    plain.assert_clean();
}

/// Each request of the server fails once: before, between and after the parts.
#[test]
fn a_block_is_whole_or_not_at_all() {
    for after in 0..4 {
        let msi = Msi::new(FakePci::new(32), WIDE);
        msi.server.fail_after(after, protocol::Error::NoMemory);
        let refused = msi.interrupts.add_block(&msi.store, 32, 0).map(drop);
        assert_eq!(refused, Err(InterruptError::Server(protocol::Error::NoMemory)));
        msi.assert_clean();
    }
}

/// Mask bits: the device keeps the event and sends it afterwards; the server is not asked.
#[test]
fn a_slot_with_a_mask_bit_is_masked_at_the_device() {
    let msi = Msi::new(FakePci::new(4), WIDE);
    let mut all = msi.interrupts.add_block(&msi.store, 4, 0).expect("a block");
    for interrupt in &mut all {
        interrupt.activate().expect("a vector");
    }
    let _ = fake::take_trace();
    all[2].mask().expect("masked");
    assert!(!msi.pci.raise(2));
    assert_eq!((msi.store.is_pending(2), msi.packet()), (Ok(Some(true)), None));
    assert!(msi.pci.raise(1), "the others go on");
    assert_eq!((msi.store.is_pending(1), msi.packet()), (Ok(Some(false)), Some(1)));
    all[2].unmask().expect("unmasked");
    assert_eq!((msi.store.is_pending(2), msi.packet()), (Ok(Some(false)), Some(2)));
    assert_eq!(fake::take_trace(), ["msi mask 2", "msi unmask 2"]);
    drop(all);
    msi.assert_clean();
}

/// None: the remapper is the mask, for the one slot, and what it stopped is told afterwards.
#[test]
fn a_slot_without_a_mask_bit_is_masked_at_the_remapper() {
    let msi = Msi::new(FakePci::without_masks(4), WIDE);
    let mut all = msi.interrupts.add_block(&msi.store, 4, 0).expect("a block");
    all[0].mask().expect("not active: nothing to stop");
    for interrupt in &mut all {
        interrupt.activate().expect("a vector");
    }
    let _ = fake::take_trace();
    assert_eq!(msi.store.is_pending(2), Ok(None), "the device can not tell");
    all[2].mask().expect("masked");
    all[2].mask().expect("twice is once");
    assert!(msi.pci.raise(2), "the device writes");
    assert_eq!(msi.packet(), None, "and nobody hears of it");
    assert!(msi.pci.raise(3));
    assert_eq!(msi.packet(), Some(3));
    // A block of the driver's own on top: it takes both to let the message through.
    all[2].block().expect("blocked as it is");
    all[2].unmask().expect("still blocked");
    assert!(msi.pci.raise(2) && msi.packet().is_none());
    all[2].unblock().expect("unblocked");
    assert_eq!(msi.packet(), Some(2), "told once");
    let id = all[2].id();
    let steps = [
        format!("{:?}", protocol::Request::Block(protocol::Block { id })),
        format!("{:?}", protocol::Request::Unblock(protocol::Unblock { id })),
    ];
    assert_eq!(fake::take_trace(), steps);
    // A mask ends with the activation that it is about.
    all[2].mask().expect("masked");
    all[2].deactivate().expect("deactivated");
    all[2].activate().expect("active and unmasked");
    assert!(msi.pci.raise(2));
    assert_eq!(msi.packet(), Some(2));
    drop(all);
    assert!(!msi.pci.raise(0), "off with the last one");
    msi.assert_clean();
}
