//! Rows: words worked out by hand, round trips, one form each, decode on anything.

use super::*;
use crate::interrupt::{LineId, MessageId, Polarity, RemapperKind, Trigger, WireMode, Wiring};
use crate::{ProgramName, StoreKind};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

fn description(rows: impl IntoIterator<Item = Row>, next: Option<Cursor>) -> Description {
    let mut description = Description { next, ..Description::default() };
    rows.into_iter().for_each(|row| assert!(description.push(row), "room"));
    description
}

fn decode(words: &[u64]) -> Result<Description, DecodeError> {
    let mut reader = Reader::new(words);
    Description::get(&mut reader, 0).inspect(|_| assert_eq!(reader.left(), 0))
}

fn message() -> MessageRow {
    MessageRow {
        id: MessageId(0x5_0000_0006),
        owner: 0x20,
        kind: StoreKind::QueueMemory,
        slot: Some(7),
        state: RowState::Blocked,
        storm: true,
        moving: false,
        address: 0xfee0_0010,
        data: 0x1234,
        entry: Some(0x56),
        device: None,
        event: Some(Event { cpu: 1, vector: 0x31 }),
        cpus: 0b11,
        waiting: 2,
        faults: 9,
        counters: Some(Counters { delivered: 10, coalesced: 11, blocked: 12, last_cpu: 3 }),
        binding: Some(Binding { port: 0x14, process: 8, key: u64::MAX }),
    }
}

#[test]
fn a_message_is_the_words_of_the_plan() {
    // Flags: storm 0, slot 2, entry 3, event 5, counters 6, binding 7.
    let words = [
        0x99,
        0x02ed_0204_0d04,
        0x5_0000_0006,
        0x1234_0000_0020,
        0xfee0_0010,
        0x0009_0301_0031,
        0x56,
        7,
        0x8_0000_0014,
        u64::MAX,
        0b11,
        10,
        11,
        12,
    ];
    let whole = description([Row::Message(message())], Some(Cursor(0x99)));
    assert_eq!(&*whole.frame().words, &words);
    assert_eq!(decode(&words), Ok(whole));
}

#[test]
fn a_client_is_the_words_of_the_plan() {
    let row = ClientRow {
        client: 0x1_0003,
        owner: ProgramName::new("hpet").expect("short"),
        kind: Some(DeviceKind { vendor: 0x8086, device: 0x2918 }),
        quota: 64,
        held: 3,
        faults: 1,
        arrives: Arrives::Buses { first: 2, last: 5 },
        dma_arrives: Some(0xa0),
        past_remapper: false,
        device: Some(0x18),
        dma_device: None,
    };
    let words = [
        0,
        0x0001_0003_001e_0903,
        0x3_0000_0040,
        1,
        0x00a0_0502_2918_8086,
        0x18,
        0x7465_7068,
        0,
        0,
        0,
    ];
    let whole = description([Row::Client(row)], None);
    assert_eq!(&*whole.frame().words, &words);
    assert_eq!(decode(&words), Ok(whole));
    for (place, bad) in [
        // A flag that is none, bits that are none, buses the wrong way round, a name after its end.
        (1, 0x0001_0003_009e_0903),
        (1, 0x0001_0003_011e_0903),
        (4, 0x00a0_0205_2918_8086),
        (9, 1),
    ] {
        let mut words = words;
        words[place] = bad;
        assert_eq!(decode(&words), Err(DecodeError::BadValue), "{place} {bad:#x}");
    }
}

#[test]
fn a_server_and_a_space_are_the_words_of_the_plan() {
    let server = ServerRow {
        remapper: RemapperKind::AmdVi,
        isolated: true,
        allow_unisolated: false,
        cpus: 4,
        entries_total: 65_536,
        entries_used: 3,
        messages_total: 20_480,
        messages_used: 2,
        quarantined: 1,
        undo_failures: 0,
        faults: 5,
        flushes_late: 6,
        changes: 7,
        wires: 8,
    };
    let one = SpaceRow { cpu: Some(2), total: 200, free: 190, quarantined: 4 };
    let all = SpaceRow { cpu: None, total: 16_384, free: 16_384, quarantined: 0 };
    let words = [
        0,
        0x0004_0103_0801,
        0x3_0001_0000,
        0x2_0000_5000,
        1,
        5,
        6,
        7,
        8,
        0x0201_0302,
        0xbe_0000_00c8,
        4,
        0x0302,
        0x4000_0000_4000,
        0,
    ];
    let whole = description([Row::Server(server), Row::Space(one), Row::Space(all)], None);
    assert_eq!(&*whole.frame().words, &words);
    assert_eq!(decode(&words), Ok(whole));
    for (place, bad) in
        [(1, 0x0004_0403_0801), (2, 0x1_0001_0001_0000), (8, 0x1_0000_0000), (10, 0xc9_0000_00c8)]
    {
        let mut words = words;
        words[place] = bad;
        assert_eq!(decode(&words), Err(DecodeError::BadValue), "{place} {bad:#x}");
    }
}

fn wire() -> WireRow {
    WireRow {
        id: MessageId(0x2_8000_0001),
        line: LineId(35),
        wiring: Wiring { trigger: Trigger::Level, polarity: Polarity::Low },
        mode: WireMode::Shared,
        state: LineState::HeldOff,
        direct: false,
        owner: Some(WireOwner {
            client: 0x18,
            name: ProgramName::new("edu").expect("short"),
            state: OwnerState::Late,
        }),
        message: Some(MessageId(0x5_0000_0006)),
        event: Event { cpu: 1, vector: 0x31 },
        counters: Some(Counters { delivered: 10, coalesced: 11, blocked: 12, last_cpu: 3 }),
        binding: Some(Binding { port: 0x14, process: 8, key: 9 }),
    }
}

#[test]
fn a_wire_is_the_words_of_the_plan() {
    // Wiring: level 0, low 1. Flags: shared 0, owner 2, message 3, counters 4, binding 5.
    let words = [
        0,
        0x013d_0203_0e05,
        0x2_8000_0001,
        0x18_0000_0023,
        0x5_0000_0006,
        0x0301_0031,
        0x8_0000_0014,
        9,
        10,
        11,
        12,
        0x75_6465,
        0,
        0,
        0,
    ];
    let whole = description([Row::Wire(wire())], None);
    assert_eq!(&*whole.frame().words, &words);
    assert_eq!(decode(&words), Ok(whole));
    for (place, bad) in [
        // A wiring, a state, a flag, a standing that are none; bits behind them.
        (1, 0x013d_0207_0e05),
        (1, 0x013d_0403_0e05),
        (1, 0x017d_0203_0e05),
        (1, 0x033d_0203_0e05),
        (1, 0x0001_013d_0203_0e05),
        // Closing with an owner, open without; direct with a message.
        (1, 0x013d_0303_0e05),
        (1, 0x0139_0203_0e05),
        (1, 0x013f_0203_0e05),
        // What is absent is zero: message, counters, binding.
        (1, 0x0135_0203_0e05),
        (1, 0x012d_0203_0e05),
        (1, 0x011d_0203_0e05),
        (5, 0x1_0301_0031),
    ] {
        let mut words = words;
        words[place] = bad;
        assert_eq!(decode(&words), Err(DecodeError::BadValue), "{place} {bad:#x}");
    }
    let closing = WireRow { state: LineState::Closing, owner: None, message: None, ..wire() };
    let whole = description([Row::Wire(closing)], None);
    assert_eq!(decode(&whole.frame().words), Ok(whole));
}

#[test]
fn what_is_absent_is_zero() {
    let bare = MessageRow {
        slot: None,
        entry: None,
        device: None,
        event: None,
        counters: None,
        binding: None,
        ..message()
    };
    let words = description([Row::Message(bare)], None).frame().words;
    assert_eq!(decode(&words).as_ref().map(Description::rows), Ok(&[Row::Message(bare)][..]));
    // CPU and vector, entry and DeviceID, slot and what is behind it, port, key, counters.
    for (place, bit) in [
        (5, 0),
        (5, 23),
        (5, 24),
        (6, 0),
        (6, 63),
        (7, 0),
        (7, 32),
        (8, 0),
        (9, 5),
        (11, 0),
        (13, 9),
    ] {
        let mut words = words.to_vec();
        words[place] |= 1 << bit;
        assert_eq!(decode(&words), Err(DecodeError::BadValue), "word {place} bit {bit}");
    }
}

#[test]
fn a_reply_is_as_long_as_a_message_can_be() {
    let mut full = Description::default();
    while full.has_room() {
        assert!(full.push(Row::Message(message())));
    }
    assert_eq!(full.rows().len(), 4);
    assert!(!full.push(Row::Message(message())));
    let frame = full.frame();
    assert!(frame.words.len() <= IPC_WORDS);
    assert_eq!(decode(&frame.words), Ok(full));
    // Handles never come along, rows are never cut, and a kind nobody knows is no row.
    assert_eq!(Description::get(&mut Reader::new(&frame.words), 1), Err(DecodeError::WrongHandles));
    assert_eq!(decode(&frame.words[..20]), Err(DecodeError::WrongLength));
    assert_eq!(decode(&[]), Err(DecodeError::WrongLength));
    for header in [0, 0x0d00, 0x0d05, 0x0e06, 0x0c04, 0x0e04, 0x0dff] {
        assert_eq!(
            decode(&[[0, header].as_slice(), &[0; 12]].concat()),
            Err(DecodeError::BadValue)
        );
    }
    assert_eq!(description([], Some(Cursor(1))).frame().words.len(), 1);
}

fn option<T: core::fmt::Debug + Clone>(
    of: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Option<T>> {
    prop::option::of(of)
}

prop_compose! {
    fn any_message()(
        ids in any::<(u64, u32, u64, u32, u64, u16, u32)>(), flags in any::<(bool, bool)>(),
        kind in 0usize..5, state in 0usize..4,
        slot in option(any::<u32>()), entry in option(any::<u32>()), device in option(any::<u32>()),
        event in option(any::<(u8, u16)>()), counters in option(any::<(u64, u64, u64, u8)>()),
        binding in option(any::<(u32, u32, u64)>()),
    ) -> MessageRow {
        let (id, owner, address, data, cpus, waiting, faults) = ids;
        let states =
            [RowState::Reserved, RowState::Active, RowState::Blocked, RowState::Quarantined];
        MessageRow {
            id: MessageId(id), owner, kind: StoreKind::ALL[kind], slot, state: states[state],
            storm: flags.0, moving: flags.1, address, data, entry, device,
            event: event.map(|(cpu, vector)| Event { cpu, vector }), cpus, waiting, faults,
            counters: counters.map(|(delivered, coalesced, blocked, last_cpu)| {
                Counters { delivered, coalesced, blocked, last_cpu }
            }),
            binding: binding.map(|(port, process, key)| Binding { port, process, key }),
        }
    }
}

prop_compose! {
    fn any_client()(
        ids in any::<(u32, u32, u32, u64)>(), name in "[a-z-]{0,32}",
        kind in option(any::<(u16, u16)>()), arrives in 0usize..4, from in any::<(u8, u8)>(),
        dma_arrives in option(any::<u16>()), past_remapper in any::<bool>(),
        devices in any::<(Option<u32>, Option<u32>)>(),
    ) -> ClientRow {
        let (client, quota, held, faults) = ids;
        let (first, last) = (from.0.min(from.1), from.0.max(from.1));
        let arrives = [
            Arrives::Own,
            Arrives::Function(u16::from_le_bytes([first, last])),
            Arrives::Device(u16::from_le_bytes([first, last])),
            Arrives::Buses { first, last },
        ][arrives];
        ClientRow {
            client, owner: ProgramName::new(&name).expect("fits"),
            kind: kind.map(|(vendor, device)| DeviceKind { vendor, device }), quota, held, faults,
            arrives, dma_arrives, past_remapper, device: devices.0, dma_device: devices.1,
        }
    }
}

prop_compose! {
    fn any_wire()(
        ids in any::<(u64, u32, u32, u8, u16)>(), name in "[a-z-]{0,32}",
        how in (0u8..4, any::<bool>(), any::<bool>()), state in 0usize..4, standing in 0usize..3,
        message in option(any::<u64>()), counters in option(any::<(u64, u64, u64, u8)>()),
        binding in option(any::<(u32, u32, u64)>()),
    ) -> WireRow {
        let (id, line, client, cpu, vector) = ids;
        let (wiring, shared, direct) = how;
        let state = [LineState::Open, LineState::Held, LineState::HeldOff, LineState::Closing][state];
        let owner = WireOwner {
            client,
            name: ProgramName::new(&name).expect("fits"),
            state: [OwnerState::Good, OwnerState::Late, OwnerState::Dropped][standing],
        };
        WireRow {
            id: MessageId(id), line: LineId(line), wiring: Wiring::from_bits(wiring).expect("2 bits"),
            mode: if shared { WireMode::Shared } else { WireMode::Exclusive }, state, direct,
            owner: Some(owner).filter(|_| state != LineState::Closing),
            message: message.filter(|_| !direct).map(MessageId), event: Event { cpu, vector },
            counters: counters.map(|(delivered, coalesced, blocked, last_cpu)| {
                Counters { delivered, coalesced, blocked, last_cpu }
            }),
            binding: binding.map(|(port, process, key)| Binding { port, process, key }),
        }
    }
}

proptest! {
    #[test]
    fn wires_round_trip_and_every_bit_counts(row in any_wire(), word in 0usize..14, bit in 0u32..64) {
        let whole = description([Row::Wire(row)], None);
        let mut words = whole.frame().words.to_vec();
        prop_assert_eq!(decode(&words), Ok(whole.clone()));
        words[1 + word] ^= 1 << bit;
        prop_assert_ne!(decode(&words), Ok(whole));
    }

    #[test]
    fn rows_round_trip(message in any_message(), client in any_client(), next: u64) {
        let next = Some(Cursor(next)).filter(|next| *next != Cursor::START);
        let whole = description([Row::Message(message), Row::Client(client)], next);
        prop_assert_eq!(decode(&whole.frame().words), Ok(whole));
    }

    /// Any words behind a header that a row could have: a row and its one form, or an error.
    #[test]
    fn decode_is_total_and_rows_have_one_form(
        kind in 0u8..7, high: u64, small in any::<bool>(), body in prop::collection::vec(any::<u64>(), 0..63),
    ) {
        let words = [
            0, ServerRow::WORDS, SpaceRow::WORDS, ClientRow::WORDS, MessageRow::WORDS,
            WireRow::WORDS, 5,
        ];
        let words = words[usize::from(kind)];
        // Small numbers decode now and then.
        let high = if small { high & 0x0000_00ff_0707_0000 } else { high & !0xffff };
        let body = body.into_iter().map(|word| if small { word & 0x3_0000_0003 } else { word });
        let row = high | (words as u64) << 8 | u64::from(kind);
        let reply: Vec<u64> = vec![0, row].into_iter().chain(body).take(1 + words.max(1)).collect();
        if let Ok(whole) = decode(&reply) {
            prop_assert_eq!(&*whole.frame().words, &reply[..]);
        }
    }

    /// A single bit changed is another row or none.
    #[test]
    fn every_bit_means_something(row in any_message(), word in 0usize..13, bit in 0u32..64) {
        let whole = description([Row::Message(row)], None);
        let mut words = whole.frame().words.to_vec();
        words[1 + word] ^= 1 << bit;
        prop_assert_ne!(decode(&words), Ok(whole));
    }
}
