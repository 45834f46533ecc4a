//! Every protocol at once: constants worked out by hand, round trips, decode on anything.

use crate::interrupt::{self, Activated, Allocated, Contiguity, MessageId, MessageIds};
use crate::pci::{self, Enables, Width};
use crate::wire::Reader;
use crate::{DecodeError, ErrorCode, Nothing, Operation, Refusal, Reply, StoreKind, Text, Words};
use crate::{console, inspect, report};
use proptest::prelude::*;
use std::vec::Vec;

fn reply_round_trip<R: Reply + PartialEq + core::fmt::Debug>(reply: R, handles: usize) {
    let frame = reply.frame();
    let mut reader = Reader::new(&frame.words);
    assert_eq!(R::get(&mut reader, handles).as_ref(), Ok(&reply));
    assert_eq!(reader.left(), 0);
    assert!(R::get(&mut Reader::new(&frame.words), handles + 1).is_err());
}

#[test]
fn alloc_is_the_words_of_the_plan() {
    let alloc = interrupt::Alloc {
        count: 3,
        kind: StoreKind::QueueMemory,
        contiguity: Contiguity::Consecutive,
        cpus: 0b101,
    };
    assert_eq!(alloc.frame().label, 1);
    assert_eq!(&*alloc.frame().words, &[3, 0x104, 0b101]);
    assert_eq!(interrupt::Alloc::decode(&[0, 4, 1], 0), Err(DecodeError::BadValue));
    assert_eq!(interrupt::Alloc::decode(&[9, 4, 1], 0), Err(DecodeError::BadValue));
    // A block may be larger than a reply, and no larger than a capability.
    let block = interrupt::Alloc { count: 32, ..alloc };
    assert_eq!(&*block.frame().words, &[32, 0x104, 0b101]);
    assert_eq!(interrupt::Alloc::decode(&[32, 0x104, 0b101], 0), Ok(block));
    assert_eq!(interrupt::Alloc::decode(&[33, 0x104, 1], 0), Err(DecodeError::BadValue));
    assert_eq!(interrupt::Alloc::decode(&[1, 0x204, 1], 0), Err(DecodeError::BadValue));
    assert_eq!(interrupt::Alloc::decode(&[1, 4], 0), Err(DecodeError::WrongLength));
    assert_eq!(interrupt::Alloc::decode(&[1, 4, 1, 1], 0), Err(DecodeError::WrongLength));
    assert_eq!(interrupt::Alloc::decode(&[1, 4, 1], 1), Err(DecodeError::WrongHandles));
}

#[test]
fn one_message_is_asked_for_and_given_as_many_are() {
    let one = interrupt::AllocOne { kind: StoreKind::DeviceArray, cpus: 1 };
    let (kind, cpus) = (one.kind, one.cpus);
    let many = interrupt::Alloc { count: 1, kind, contiguity: Contiguity::Any, cpus };
    assert_eq!(one.frame(), many.frame());
    assert_eq!(interrupt::AllocOne::decode(&one.frame().words, 0), Ok(one));
    assert!(interrupt::AllocOne::decode(&[2, 3, 1], 0).is_err());
    assert!(interrupt::AllocOne::decode(&[1, 0x103, 1], 0).is_err());
    let ids = MessageIds { id: MessageId(7), address: 0xfee0_0010, data: 3 };
    let mut reply = Allocated::default();
    reply.messages.push(ids).expect("room");
    assert_eq!(ids.frame(), reply.frame());
    reply_round_trip(ids, 1);
    assert!(MessageIds::get(&mut Reader::new(&ids.frame().words), 0).is_err());
}

#[test]
fn activated_is_the_words_of_the_plan() {
    let activated = Activated { vector: 0x31, cpu: 2, entry: Some(0x1234) };
    assert_eq!(&*activated.frame().words, &[0x2_0031, 0x8000_0000_0000_1234]);
    reply_round_trip(activated, 0);
    reply_round_trip(Activated { entry: None, ..activated }, 0);
    let bad = [0x2_0031, 0x4000_0000_0000_0000];
    assert!(Activated::get(&mut Reader::new(&bad), 0).is_err());
}

#[test]
fn allocated_has_a_handle_per_message() {
    let mut reply = Allocated::default();
    for n in 0..8 {
        let message =
            MessageIds { id: MessageId(n), address: 0xfee0_0010 | n << 5, data: n as u32 };
        reply.messages.push(message).expect("eight fit");
    }
    assert_eq!(reply.frame().words.len(), 24);
    reply_round_trip(reply, 8);
    let nine = [0; 27];
    assert!(Allocated::get(&mut Reader::new(&nine), 9).is_err());
}

#[test]
fn inspector_replies_round_trip() {
    for remapper in interrupt::RemapperKind::ALL {
        reply_round_trip(
            interrupt::Information {
                remapper,
                isolated: true,
                entries: interrupt::DomainRow { total: 65536, free: 65000 },
                vectors: interrupt::DomainRow { total: 400, free: 0 },
            },
            0,
        );
    }
    reply_round_trip(interrupt::FaultCount { faults: 3, own: 2 }, 0);
    assert!(interrupt::FaultCount::get(&mut Reader::new(&[3, 4]), 0).is_err());
    reply_round_trip(interrupt::FaultWatch, 1);
}

#[test]
fn wires_are_the_words_of_the_plan() {
    use interrupt::{Acknowledge, LineId, Polarity, Trigger, WireMode, WireOpen, Wiring};
    let wiring = Wiring { trigger: Trigger::Level, polarity: Polarity::Low };
    let open = WireOpen { line: LineId(35), wiring, mode: WireMode::Shared, cpus: 0b10 };
    assert_eq!((open.frame().label, &*open.frame().words), (32, &[0x103_0000_0023, 0b10][..]));
    assert_eq!(WireOpen::decode(&open.frame().words, 0), Ok(open));
    for bad in [0x203_0000_0023, 0x104_0000_0023, 0x1_0003_0000_0023] {
        assert_eq!(WireOpen::decode(&[bad, 1], 0), Err(DecodeError::BadValue), "{bad:#x}");
    }
    let (id, vector) = (MessageId(0x1_8000_0002), 0x23);
    for acknowledge in [Acknowledge::Nobody, Acknowledge::Kernel, Acknowledge::Server] {
        reply_round_trip(interrupt::WireOpened { id, acknowledge, cpu: 1, vector }, 1);
    }
    let opened = interrupt::WireOpened { id, acknowledge: Acknowledge::Server, cpu: 1, vector };
    assert_eq!(&*opened.frame().words, &[0x1_8000_0002, 0x201_0023]);
    let bad = [1, 0x301_0023];
    assert!(interrupt::WireOpened::get(&mut Reader::new(&bad), 1).is_err());
    for bits in 0..=u8::MAX {
        assert_eq!(Wiring::from_bits(bits).map(Wiring::to_bits), (bits < 4).then_some(bits));
    }
}

#[test]
fn pci_is_the_words_of_the_plan() {
    let claim = pci::Claim { vendor: 0x1000, device: 0x0012, nth: 1, dma_quota: 1 << 20 };
    assert_eq!(&*claim.frame().words, &[0x0012_1000, 1, 1 << 20]);
    let enable = pci::Enable { on: Enables::MEMORY_AND_MASTER };
    assert_eq!(&*enable.frame().words, &[0b110]);
    let write = pci::ConfigWrite { offset: 4, width: Width::Byte, value: 0x106 };
    assert_eq!(pci::ConfigWrite::decode(&write.frame().words, 0), Err(DecodeError::BadValue));
    assert_eq!(pci::MsiWrite::decode(&[0], 0), Err(DecodeError::WrongHandles));
    assert_eq!(pci::MsiWrite::decode(&[0], 1), Ok(pci::MsiWrite { slot: 0 }));
    assert_eq!((pci::PinLine.frame().label, pci::PinSet::On.frame().label), (13, 14));
    assert_eq!(pci::PinSet::decode(&[1], 0), Ok(pci::PinSet::On));
    assert_eq!(pci::PinSet::decode(&[2], 0), Err(DecodeError::BadValue));
}

#[test]
fn pci_replies_round_trip() {
    use interrupt::{LineId, Polarity, Trigger, Wiring};
    reply_round_trip(pci::Claimed { requester: 0x18 }, 2);
    let msi = pci::Msi { slots: 32, per_slot_mask: true, wide_address: true };
    let description = pci::Description {
        requester: 0x18,
        vendor: 0x1234,
        device: 0x11e8,
        revision: 0x10,
        class: [0, 0xff, 3],
        msi: Some(msi),
        msix: Some(pci::MsiX {
            slots: 2048,
            table: pci::BarOffset { bar: 5, offset: 0x2000 },
            pending: pci::BarOffset { bar: 0, offset: !7 },
        }),
    };
    reply_round_trip(description, 0);
    reply_round_trip(pci::Description { msi: None, ..description }, 0);
    reply_round_trip(pci::Description { msix: None, ..description }, 0);
    let words = description.frame().words;
    for (place, bad) in [(3, 2049), (4, 6), (5, 7), (5, 1 << 40)] {
        let mut words = words.to_vec();
        words[place] = bad;
        assert!(pci::Description::get(&mut Reader::new(&words), 0).is_err(), "{place} {bad:#x}");
    }
    let bar = pci::Bar {
        size_bytes: 8192,
        kind: pci::BarKind::Memory,
        prefetchable: true,
        bus_address: 0xfebf_0000,
    };
    reply_round_trip(bar, 1);
    reply_round_trip(pci::ConfigValue { value: u32::MAX }, 0);
    reply_round_trip(pci::MsiPendingSlots { slots: u32::MAX }, 0);
    reply_round_trip(pci::DmaMemory { bus_address: 1 << 32, size_bytes: 4096 }, 1);
    let wiring = Wiring { trigger: Trigger::Level, polarity: Polarity::High };
    let wire = pci::PinWire { pin: 1, line: LineId(22), wiring };
    assert_eq!(&*wire.frame().words, [0x0101_0000_0016]);
    reply_round_trip(wire, 0);
    reply_round_trip(pci::PinWire { pin: 4, line: LineId(u32::MAX), wiring }, 0);
    for bad in [0x0100_0000_0016, 0x0105_0000_0016, 0x0401_0000_0016, 0x1_0101_0000_0016] {
        assert!(pci::PinWire::get(&mut Reader::new(&[bad]), 0).is_err(), "{bad:x?}");
    }
    reply_round_trip(Nothing, 0);
}

#[test]
fn text_is_split_at_characters_and_must_be_text() {
    let long: std::string::String = "é".repeat(300);
    let (first, rest) = Text::split(&long);
    assert_eq!((first.as_str().len(), rest.len()), (504, 96));
    let frame = console::Write { text: first.clone() }.frame();
    assert_eq!(frame.words.len(), 64);
    assert_eq!(console::Write::decode(&frame.words, 0), Ok(console::Write { text: first }));
    let hello = console::Write { text: Text::split("hi").0 }.frame();
    assert_eq!(&*hello.words, &[2, 0x6968]);
    assert_eq!(console::Write::decode(&[1, 0xff], 0), Err(DecodeError::BadValue));
    assert_eq!(console::Write::decode(&[1, 0x6968], 0), Err(DecodeError::BadValue));
    assert_eq!(console::Write::decode(&[505, 0], 0), Err(DecodeError::BadValue));
    assert_eq!(console::Write::decode(&[u64::MAX], 0), Err(DecodeError::BadValue));
    assert_eq!(console::Write::decode(&[9, 0], 0), Err(DecodeError::WrongLength));
}

#[test]
fn typed_is_a_line_or_none() {
    let line = Text::split("hi").0;
    assert_eq!(&*console::Typed { line: Some(line.clone()) }.frame().words, &[2, 0x6968]);
    // An empty line is a line.
    let empty = console::Typed { line: Some(Text::default()) };
    assert_eq!(&*empty.frame().words, &[0]);
    for typed in [empty, console::Typed { line: None }, console::Typed { line: Some(line) }] {
        reply_round_trip(typed, 0);
    }
    assert_eq!(console::Listen.frame().label, 3);
    assert_eq!(console::Listen::decode(&[], 0), Err(DecodeError::WrongHandles));
    assert_eq!(console::Read::decode(&[0], 0), Err(DecodeError::WrongLength));
}

#[test]
fn errors_survive_the_label() {
    fn check<E: ErrorCode + PartialEq>(all: &[E]) {
        for &error in all {
            assert_ne!(error.code(), 0);
            assert_eq!(E::from_code(error.code()), Some(error));
        }
        assert_eq!(E::from_code(0), None);
        assert_eq!(E::from_code(u32::MAX), None);
    }
    check(interrupt::Error::ALL);
    check(pci::Error::ALL);
    check(console::Error::ALL);
    check(report::Error::ALL);
    let refused = interrupt::Activate::decode_reply(3, &[], 0);
    assert_eq!(refused, Err(Refusal::Refused(interrupt::Error::NoVectors)));
    let unknown = interrupt::Activate::decode_reply(999, &[], 0);
    assert_eq!(unknown, Err(Refusal::Malformed(DecodeError::UnknownLabel)));
}

/// Words that often make sense, so that the strict decoders are left through their ends.
fn words() -> impl Strategy<Value = Vec<u64>> {
    let word = prop_oneof![
        0u64..6,
        any::<u64>(),
        any::<u16>().prop_map(u64::from),
        any::<u32>().prop_map(u64::from),
        any::<u16>().prop_map(|entry| 1 << 63 | u64::from(entry)),
        (1u64..6).prop_map(|kind| kind << 48 | 0x12_1000_0018),
    ];
    prop::collection::vec(word, 0..12)
}

proptest! {
    #[test]
    fn what_decodes_encodes_to_the_same_words(label in 0u32..16, words in words(), handles in 0usize..3) {
        macro_rules! check {
            ($($protocol:ident)*) => {$(
                if let Ok(request) = $protocol::Request::decode(label, &words, handles) {
                    let frame = request.frame();
                    prop_assert_eq!(frame.label, label);
                    prop_assert_eq!(&*frame.words, &words[..]);
                    prop_assert_eq!(request.handles(), handles);
                }
            )*};
        }
        check!(interrupt pci console inspect report);
    }

    #[test]
    fn decode_is_total(label: u32, words in prop::collection::vec(any::<u64>(), 0..70), handles in 0usize..10) {
        let _ = interrupt::Request::decode(label % 16, &words, handles);
        let _ = pci::Request::decode(label % 16, &words, handles);
        let _ = console::Request::decode(label % 4, &words, handles);
        let _ = report::Request::decode(label % 8, &words, handles);
        let _ = inspect::Request::decode(label % 4, &words, handles);
        let _ = interrupt::Request::decode(label, &words, handles);
        for request in 0..16 {
            let _ = interrupt::Request::check_reply(request, label % 20, &words, handles);
            let _ = pci::Request::check_reply(request, label % 20, &words, handles);
            let _ = interrupt::Request::check_reply(request, 0, &words, handles);
            let _ = pci::Request::check_reply(request, 0, &words, handles);
        }
    }

    #[test]
    fn rows_round_trip(
        requester: u16, vendor: u16, device: u16, kind in 0usize..5, slot: u32,
        entry in prop::option::of(any::<u32>()), vector: u16, cpu: u8, address: u64, data: u32,
        counts: [u64; 3],
    ) {
        let [fired, delivered, coalesced] = counts;
        let kind = StoreKind::ALL[kind];
        let row = report::Row {
            requester, vendor, device, kind, slot, entry, vector, cpu, address, data,
            fired, delivered, coalesced,
        };
        prop_assert_eq!(report::Row::decode(&row.frame().words, 0), Ok(row));
        let done = report::Done { ok: slot % 2 == 0, slots: address, fired, delivered, kind };
        prop_assert_eq!(report::Done::decode(&done.frame().words, 0), Ok(done));
        let summary = report::Summary {
            requester, kind, reserved: address, active: fired, fired, delivered, coalesced, wrong: 1,
        };
        prop_assert_eq!(report::Summary::decode(&summary.frame().words, 0), Ok(summary));
        let standing = report::Standing {
            requester, kind, messages: address, active: fired, delivered, coalesced,
        };
        prop_assert_eq!(report::Standing::decode(&standing.frame().words, 0), Ok(standing));
    }

    #[test]
    fn text_round_trips(text in "\\PC{0,140}") {
        let (piece, rest) = Text::split(&text);
        prop_assert_eq!(piece.as_str().len() + rest.len(), text.len());
        let line = report::Line { text: piece };
        prop_assert_eq!(report::Line::decode(&line.frame().words, 0), Ok(line));
    }

    #[test]
    fn split_loses_nothing(text in "\\PC{0,900}") {
        let mut rest = text.as_str();
        let mut whole = std::string::String::new();
        while !rest.is_empty() {
            let (piece, after) = Text::split(rest);
            whole.push_str(piece.as_str());
            rest = after;
        }
        prop_assert_eq!(whole, text);
    }

    #[test]
    fn words_never_overflow(count in 0usize..64) {
        let mut words = Words::new();
        for n in 0..count {
            words.put(n as u64);
        }
        prop_assert_eq!(words.len(), count);
    }
}
