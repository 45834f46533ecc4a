//! Rows that drivers may and may not report.

use super::*;
use alloc::string::ToString;

pub(crate) fn row(kind: StoreKind, slot: u32) -> Row {
    Row {
        requester: 0x20,
        vendor: 0x1000,
        device: 0x0012,
        kind,
        slot,
        entry: Some(slot),
        vector: 0x31,
        cpu: 1,
        address: 0xfee0_0010,
        data: slot,
        fired: 4,
        delivered: 2,
        coalesced: 1,
    }
}

pub(crate) fn summary(kind: StoreKind, slots: u64) -> Summary {
    Summary {
        requester: 0x20,
        kind,
        reserved: slots,
        active: 99,
        fired: 4 * slots,
        delivered: 2 * slots,
        coalesced: slots,
        wrong: 0,
    }
}

fn store_of(rows: u32) -> Table {
    let mut table = Table::default();
    for slot in 0..rows {
        table.add(row(StoreKind::QueueMemory, slot));
    }
    table
}

#[test]
fn good_rows_pass_and_add_up() {
    let mut table = store_of(2048);
    table.summary(summary(StoreKind::QueueMemory, 2048));
    assert_eq!(table.problems(), []);
    let sums = Totals { slots: 2048, fired: 8192, delivered: 4096, coalesced: 2048 };
    assert_eq!(table.totals(), sums);
    assert_eq!(table.device(0x20), sums);
    assert_eq!(table.device(0x21), Totals::default());
    let store = &table.stores()[0];
    let slots = |rows: &[Row]| rows.iter().map(|row| row.slot).collect::<Vec<_>>();
    assert_eq!(slots(&store.first), [0, 1, 2]);
    assert_eq!(slots(&store.last), [2046, 2047]);
    assert_eq!(store.hidden(), 2043);
}

#[test]
fn short_stores_hide_nothing() {
    for rows in 0..=5 {
        assert!(store_of(rows).stores().iter().all(|store| store.hidden() == 0));
    }
    assert_eq!(store_of(6).stores()[0].hidden(), 1);
}

#[test]
fn every_wrong_row_is_named() {
    let good = row(StoreKind::QueueMemory, 9);
    let cases = [
        (Row { fired: 0, delivered: 0, coalesced: 0, ..good }, "0 fired, 0 delivered"),
        (Row { delivered: 0, ..good }, "4 fired, 0 delivered"),
        (Row { delivered: 4, ..good }, "but only 4 fired"),
        (Row { coalesced: u64::MAX, ..good }, "but only 4 fired"),
        (Row { data: 0, ..good }, "pair of another slot"),
    ];
    for (bad, text) in cases {
        let mut table = store_of(2);
        table.add(bad);
        let problems = table.problems();
        assert!(problems[0].to_string().contains(text), "{problems:?}");
    }
    let mut table = store_of(2);
    table.add(Row { data: 77, ..row(StoreKind::QueueMemory, 1) });
    assert!(matches!(table.problems()[0], Problem::RepeatedSlot(_)));
}

#[test]
fn sums_must_be_those_of_the_rows() {
    let good = summary(StoreKind::QueueMemory, 5);
    for bad in [
        Summary { reserved: 6, ..good },
        Summary { fired: 19, ..good },
        Summary { delivered: 11, ..good },
        Summary { coalesced: 0, ..good },
    ] {
        let mut table = store_of(5);
        table.summary(bad);
        assert!(matches!(table.problems()[..], [Problem::Sums { .. }]));
    }
    let mut table = store_of(5);
    table.summary(Summary { wrong: 1, ..good });
    assert!(matches!(table.problems()[..], [Problem::WrongSlots(_)]));
}

#[test]
fn rows_without_sums_are_a_problem() {
    let problems = store_of(1).problems();
    assert_eq!(problems, [Problem::NoSummary { requester: 0x20, kind: StoreKind::QueueMemory }]);
}
