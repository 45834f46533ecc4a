//! Invalidation descriptors (VT-d §6.5.2), fault records, registers (§11.4).

use interrupt_core::vtd::{
    CacheInvalidate, Capability, Descriptor, ExtendedCapability, FaultRecord, FaultStatus,
    GlobalStatus, Malformed, QueueAddress, TableAddress, Wait,
};
use interrupt_core::{EntryIndex, Fault, FaultReason, RequesterId};
use proptest::prelude::*;

/// Interrupt entry cache invalidate.
///
/// ```text
/// bits  3:0    type 4                                     0x4
/// bit   4      G: 0 global
/// ```
///
/// ```text
/// bits  3:0    type 4                                     0x04
/// bit   4      G: 1 index-selective                       0x10
/// bits 31:27   IM 3, << 27                                0x1800_0000
/// bits 47:32   IIDX 0x1234                                0x1234_0000_0000
/// ```
#[test]
fn cache_constants() {
    assert_eq!(Descriptor::Cache(CacheInvalidate::Global).encode(), [4, 0]);
    let index = EntryIndex::new(0x1234);
    let some = Descriptor::Cache(CacheInvalidate::Selective { index, mask: 3 });
    assert_eq!(some.encode(), [0x0000_1234_1800_0014, 0]);
}

/// Invalidation wait.
///
/// ```text
/// bits  3:0    type 5                                     0x05
/// bit   5      SW status write                            0x20
/// bit   6      FN fence                                   0x40
/// bits 63:32   status data 0xcafe_0001
/// bits 127:66  status address 0x1234_5678 (a multiple of 4)
/// ```
#[test]
fn wait_constant() {
    let wait = Wait { fence: true, status_data: 0xcafe_0001, status_address: 0x1234_5678 };
    assert_eq!(Descriptor::Wait(wait).encode(), [0xcafe_0001_0000_0065, 0x1234_5678]);
}

#[test]
fn refused_descriptors() {
    let field = |field| Err(Malformed { field });
    for kind in (0..16).filter(|kind| ![4, 5].contains(kind)) {
        assert_eq!(Descriptor::decode([kind, 0]), field("type"));
    }
    // Type bits 6:4 lie in 11:9.
    assert_eq!(Descriptor::decode([4 | 1 << 9, 0]), field("type"));
    for bit in [5, 8, 12, 26, 48, 63] {
        let halves = [0x14 | 1 << bit, 0];
        assert_eq!(Descriptor::decode(halves), field("reserved (63:48, 26:12, 8:5)"), "{bit}");
    }
    assert_eq!(Descriptor::decode([0x14, 1]), field("reserved (127:64)"));
    assert_eq!(Descriptor::decode([0x14 | 16 << 27, 0]), field("IM"));
    assert_eq!(Descriptor::decode([4 | 1 << 32, 0]), field("IIDX, IM"));
    assert_eq!(Descriptor::decode([5, 0]), field("SW"));
    assert_eq!(Descriptor::decode([0x35, 0]), field("IF"));
    assert_eq!(Descriptor::decode([0xa5, 0]), field("reserved (31:12, 8:7)"));
    assert_eq!(Descriptor::decode([0x25, 2]), field("reserved (65:64)"));
}

/// A wrong source id on entry 0x1234, from 00:02.0.
///
/// ```text
/// bits 63:48   FI: interrupt index                        0x1234_0000_0000_0000
/// bits 79:64   SID 0x0010                                 high 0x0000_0010
/// bits 103:96  FR 0x26                                    high 0x26_0000_0000
/// bit  127     F                                          high 0x8000_0000_0000_0000
/// ```
#[test]
fn fault_constant() {
    let source = RequesterId::new(0, 2, 0).unwrap();
    let entry = EntryIndex::new(0x1234);
    let record = FaultRecord::interrupt(source, FaultReason::WrongSource, entry);
    let halves = [0x1234_0000_0000_0000, 0x8000_0026_0000_0010];
    assert_eq!(record.encode(), halves);
    assert_eq!(FaultRecord::decode(halves), Some(record));
    let fault = Fault { source, entry: Some(entry), reason: FaultReason::WrongSource };
    assert_eq!(record.fault(), fault);
    assert_eq!(FaultRecord::CLEAR, 0x8000_0000_0000_0000);
    // F clear: no record.
    assert_eq!(FaultRecord::decode([halves[0], halves[1] & !FaultRecord::CLEAR]), None);
    // Compatibility format names no entry.
    let other = FaultRecord::interrupt(source, FaultReason::Compatibility, entry);
    assert_eq!(other.fault().entry, None);
    assert_eq!(other.encode()[1], 0x8000_0025_0000_0010);
}

/// QEMU 7.2's CAP_REG with 39 bits: FRO 0x22 at 33:24, NFR 0 at 47:40; CM is bit 7, RWBF 4.
#[test]
fn capability_constants() {
    let plain = Capability::decode(0x0012_008c_2226_0206);
    assert_eq!(plain.fault_record_offset(), 0x220);
    assert_eq!(plain.fault_records(), 1);
    assert!(!plain.caching_mode() && !plain.write_buffer_flush());
    let other = Capability::decode(0x0000_0700_1000_0090);
    assert_eq!((other.fault_record_offset(), other.fault_records()), (0x100, 8));
    assert!(other.caching_mode() && other.write_buffer_flush());
    // C 0, QI 1, IR 3, EIM 4, MHMV 23:20.
    let full = ExtendedCapability::decode(0x00f0_001b);
    assert!(full.coherent() && full.queued_invalidation());
    assert!(full.interrupt_remapping() && full.extended_mode());
    assert_eq!(full.maximum_handle_mask(), 15);
    let none = ExtendedCapability::decode(!0x00f0_001b);
    assert!(!none.coherent() && !none.queued_invalidation());
    assert!(!none.interrupt_remapping() && !none.extended_mode());
    assert_eq!(none.maximum_handle_mask(), 0);
}

/// A command carries the states along (TE 31, QIE 26, IRE 25) and drops the acknowledgements
/// (RTPS 30, IRTPS 24): 0xc700_0000 & 0x96ff_ffff = 0x8600_0000.
#[test]
fn command_constants() {
    let status = GlobalStatus::decode(0xc700_0000);
    assert_eq!(status.command_set(GlobalStatus::TABLE_POINTER), 0x8700_0000);
    assert_eq!(status.command_clear(GlobalStatus::INTERRUPT_REMAPPING), 0x8400_0000);
    assert!(status.has(GlobalStatus::TABLE_POINTER) && !status.has(GlobalStatus::COMPATIBILITY));
    assert_eq!(GlobalStatus::TRANSLATION, 0x8000_0000);
    assert_eq!(GlobalStatus::QUEUED_INVALIDATION, 0x0400_0000);
    assert_eq!(GlobalStatus::INTERRUPT_REMAPPING, 0x0200_0000);
    assert_eq!(GlobalStatus::TABLE_POINTER, 0x0100_0000);
    assert_eq!(GlobalStatus::COMPATIBILITY, 0x0080_0000);
    // PFO 0, PPF 1, IQE 4, ICE 5, ITE 6, FRI 15:8.
    let status = FaultStatus::decode(0x0573);
    assert_eq!(status.of(FaultStatus::OVERFLOW), 1);
    assert_eq!(status.of(FaultStatus::PENDING), 2);
    assert_eq!(status.of(FaultStatus::QUEUE_ERRORS), 0x70);
    assert_eq!(status.first_record(), 5);
}

/// IRTA: address 0x1_0000_0000, EIME bit 11, 65,536 = 2^(15+1) entries: S = 15. IQA: four
/// pages: QS = 2.
#[test]
fn address_constants() {
    let table = TableAddress { address: 0x1_0000_0000, extended: true, entries_log2: 16 };
    assert_eq!(table.encode(), 0x1_0000_080f);
    let queue = QueueAddress { address: 0x7000, pages_log2: 2 };
    assert_eq!(queue.encode(), 0x7002);
    assert!(TableAddress::decode(0x1_0000_0810).is_err());
    assert!(QueueAddress::decode(0x7802).is_err());
    assert!(QueueAddress::decode(0x7008).is_err());
}

proptest! {
    #[test]
    fn descriptor_round_trip(
        index in any::<u16>(),
        mask in 0..=15_u8,
        status_data in any::<u32>(),
        word in any::<u64>(),
        fence in any::<bool>(),
    ) {
        let index = EntryIndex::new(index);
        let wait = Wait { fence, status_data, status_address: word & !3 };
        for descriptor in [
            Descriptor::Cache(CacheInvalidate::Global),
            Descriptor::Cache(CacheInvalidate::Selective { index, mask }),
            Descriptor::Wait(wait),
        ] {
            prop_assert_eq!(Descriptor::decode(descriptor.encode()), Ok(descriptor));
        }
    }

    #[test]
    fn descriptor_decode_total(low in any::<u64>(), high in any::<u64>(), kind in 4..6_u64) {
        let likely = low & 0xffff_ffff_f800_0070 | kind;
        for halves in [[low, high], [likely, high & !3], [likely & 0xffff_f800_007f, 0]] {
            if let Ok(descriptor) = Descriptor::decode(halves) {
                prop_assert_eq!(descriptor.encode(), halves);
            }
        }
    }

    #[test]
    fn fault_round_trip(source in any::<u16>(), reason in any::<u8>(), information in any::<u64>()) {
        let source = RequesterId::from_bits(source);
        let record = FaultRecord { source, reason, information: information & !0xfff };
        prop_assert_eq!(FaultRecord::decode(record.encode()), Some(record));
    }

    /// Hardware's word is taken as it is: valid exactly when F is set, never a panic.
    #[test]
    fn fault_decode_total(low in any::<u64>(), high in any::<u64>()) {
        let record = FaultRecord::decode([low, high]);
        prop_assert_eq!(record.is_some(), high >> 63 == 1);
        if let Some(record) = record {
            prop_assert_eq!(record.fault().source.bits() as u64, high & 0xffff);
        }
    }

    #[test]
    fn address_round_trip(word in any::<u64>(), entries_log2 in 1..=16_u8, pages_log2 in 0..8_u8) {
        let address = word & !0xfff;
        let table = TableAddress { address, extended: word & 1 == 1, entries_log2 };
        prop_assert_eq!(TableAddress::decode(table.encode()), Ok(table));
        let queue = QueueAddress { address, pages_log2 };
        prop_assert_eq!(QueueAddress::decode(queue.encode()), Ok(queue));
        if let Ok(table) = TableAddress::decode(word) {
            prop_assert_eq!(table.encode(), word);
        }
        if let Ok(queue) = QueueAddress::decode(word) {
            prop_assert_eq!(queue.encode(), word);
        }
    }
}
