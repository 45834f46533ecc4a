//! What the table's store does to the device, in order.

use super::super::{Pair, Store};
use super::*;
use crate::fake::{self, DeviceMemory, FakePci};
use crate::ipc::AskError;
use tocsin_abi::Handle;
use tocsin_proto::pci::BarOffset;

const MESSAGE: Prepared =
    Prepared { pair: Pair { address: 0x1_fee0_0010, data: 0x42 }, message: Handle::NONE };

const MSIX: MsiX = MsiX {
    slots: 3,
    table: BarOffset { bar: 0, offset: 0x40 },
    pending: BarOffset { bar: 4, offset: 0x10 },
};

/// A table in memory that begins 0x20 before its BAR does, and pending bits.
fn msix_table(
    device: &FakePci,
    table: &DeviceMemory,
    pending: &DeviceMemory,
) -> Result<MsixTable<DeviceMemory, DeviceMemory>, StoreError> {
    let device = Device::new(device.client(0x18));
    MsixTable::new(device, MSIX, (table.clone(), 0x20), (pending.clone(), 0))
}

#[test]
fn an_msix_table_is_masked_as_a_whole_until_every_slot_is() {
    fake::reset();
    let (device, table) = (FakePci::with_msix(MSIX), DeviceMemory::new(0x90));
    let watched = device.clone();
    table.watch(move |_, _, _| assert_eq!(watched.msix(), Some(MsiXSet::AllMasked)));
    let store = msix_table(&device, &table, &DeviceMemory::new(0x18)).expect("fits");
    assert_eq!(device.msix(), Some(MsiXSet::On));
    assert_eq!([0x6c, 0x7c, 0x8c].map(|control| table.peek(control)), [1; 3]);
    assert_eq!((store.kind(), store.capacity()), (StoreKind::MsiX, Some(3)));
    drop(store);
    assert_eq!(device.msix(), Some(MsiXSet::Off), "a dropped store sends nothing");
}

#[test]
fn an_msix_slot_is_masked_written_and_unmasked_with_read_back() {
    fake::reset();
    let (device, table) = (FakePci::with_msix(MSIX), DeviceMemory::new(0x90));
    let mut store = msix_table(&device, &table, &DeviceMemory::new(0x18)).expect("fits");
    let _ = fake::take_trace();
    store.mask(1).expect("masks");
    store.write(1, MESSAGE).expect("writes");
    store.unmask(1).expect("unmasks");
    let expected = [
        "read 0x7c",
        "write 0x7c 0x1",
        "read 0x7c",
        "write 0x70 0xfee00010",
        "write 0x74 0x1",
        "write 0x78 0x42",
        "read 0x78",
        "read 0x7c",
        "write 0x7c 0x0",
        "read 0x7c",
    ];
    assert_eq!(fake::take_trace(), expected);
    assert_eq!(store.mask(3), Err(StoreError::BadSlot));
    table.set_stuck(true);
    assert_eq!(store.mask(1), Err(StoreError::NotMasked));
}

#[test]
fn an_msix_slot_says_what_waits_in_it() {
    fake::reset();
    let (table, pending) = (DeviceMemory::new(0x90), DeviceMemory::new(0x18));
    let made = msix_table(&FakePci::with_msix(MSIX), &table, &pending).expect("fits");
    let store = Store::custom(made).expect("a table");
    assert_eq!(store.is_pending(2), Ok(Some(false)));
    pending.write32(0x10, 1 << 2);
    let all = [0, 1, 2, 3].map(|slot| store.is_pending(slot));
    assert_eq!(all, [Ok(Some(false)), Ok(Some(false)), Ok(Some(true)), Err(StoreError::BadSlot)]);
}

#[test]
fn an_msix_table_that_does_not_fit_or_answer_is_refused() {
    fake::reset();
    let device = FakePci::with_msix(MSIX);
    let made = |table: &DeviceMemory, pending: u64| {
        msix_table(&device, table, &DeviceMemory::new(pending)).map(drop)
    };
    assert_eq!(made(&DeviceMemory::new(0x8c), 0x18), Err(StoreError::OutOfRange));
    assert_eq!(made(&DeviceMemory::new(0x90), 0x14), Err(StoreError::OutOfRange));
    let stuck = DeviceMemory::new(0x90);
    stuck.set_stuck(true);
    assert_eq!(made(&stuck, 0x18), Err(StoreError::NotMasked));
    assert_eq!(device.msix(), Some(MsiXSet::Off), "a table that is not masked stays off");
    let without = FakePci::new(1);
    let refused = msix_table(&without, &DeviceMemory::new(0x90), &DeviceMemory::new(0x18));
    let not_supported = AskError::Refused(tocsin_proto::pci::Error::NotSupported);
    assert_eq!(refused.map(drop), Err(StoreError::Pci(not_supported)));
    let store = Store::msix_table(Device::new(without.client(0x18)));
    assert_eq!(store.map(drop), Err(StoreError::NoCapacity));
}
