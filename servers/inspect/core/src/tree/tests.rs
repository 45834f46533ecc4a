use super::*;
use crate::samples::{self, small};
use alloc::string::ToString;
use proptest::prelude::*;
use tocsin_proto::interrupt::{Event, LineState, MessageId, Polarity, RowState, WireMode};

fn problem(change: impl FnOnce(&mut Vec<Row>)) -> Problem {
    let mut rows = small();
    change(&mut rows);
    Tree::build(&rows).expect_err("it contradicts itself")
}

/// The message in this place of the rows.
fn message(rows: &mut [Row], place: usize) -> &mut MessageRow {
    match &mut rows[place] {
        Row::Message(row) => row,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rows_become_a_tree() {
    let tree = Tree::build(&small()).expect("whole");
    let kinds: Vec<Vec<StoreKind>> = tree
        .clients
        .iter()
        .map(|client| client.stores.iter().map(|store| store.kind).collect())
        .collect();
    use StoreKind::{DeviceArray, PciMsi, QueueMemory};
    assert_eq!(kinds, [alloc::vec![PciMsi], alloc::vec![DeviceArray, QueueMemory]]);
    let sums = tree.sums();
    assert_eq!((sums.messages(), sums.states), (6, [1, 2, 2, 1]));
    assert_eq!((sums.storms, sums.bound, sums.delivered, sums.coalesced), (1, 4, 20, 5));
    // Known slots first, in their order.
    let slots: Vec<_> = tree.clients[1].stores[1].messages.iter().map(|row| row.slot).collect();
    assert_eq!(slots, [Some(7), None, None]);
}

#[test]
fn nothing_may_be_missing_or_come_twice() {
    for place in 0..small().len() {
        if place == 1 || place == 2 {
            // Vectors of a CPU: without them nothing is compared with them.
            continue;
        }
        problem(|rows| {
            rows.remove(place);
        });
        problem(|rows| rows.push(rows[place]));
    }
    assert_eq!(Tree::build(&[]), Err(Problem::NoServer));
}

#[test]
fn everything_that_is_said_twice_is_compared() {
    assert_eq!(
        problem(|rows| rows[0] = Row::Server(samples::server(7))),
        Problem::Messages { said: 7, counted: 6 }
    );
    assert_eq!(
        problem(|rows| rows[3] = Row::Client(samples::client(0x18, "edu", 2))),
        Problem::Held { client: 0x18, said: 2, counted: 1 }
    );
    assert_eq!(
        problem(|rows| message(rows, 5).owner = 0x28),
        Problem::NobodysMessage { owner: 0x28 }
    );
    let other = message(&mut small(), 6).id;
    assert_eq!(problem(|rows| message(rows, 7).id = other), Problem::SecondMessage(other));
    let id = message(&mut small(), 7).id;
    assert_eq!(
        problem(|rows| message(rows, 7).entry = Some(1)),
        Problem::SharedEntry { id, entry: 1 }
    );
    let event = Event { cpu: 1, vector: 0x30 };
    assert_eq!(
        problem(|rows| message(rows, 7).event = Some(event)),
        Problem::SharedEvent { id, event }
    );
    let few = problem(|rows| {
        let [one, other] = samples::spaces([2, 1]);
        (rows[1], rows[2]) = (one, other);
    });
    assert_eq!(few, Problem::Vectors { cpu: 1, taken: 1, counted: 2 });
    assert_eq!(few.to_string(), "2 messages are on CPU 1, where 1 vectors are taken");
}

#[test]
fn lines_are_compared_too() {
    let whole = samples::wired();
    let first = whole.iter().position(|row| matches!(row, Row::Wire(_))).expect("there are some");
    let problem = |change: &dyn Fn(&mut Vec<Row>)| {
        let mut rows = whole.clone();
        change(&mut rows);
        Tree::build(&rows).expect_err("it contradicts itself")
    };
    for place in first..whole.len() {
        let missing = problem(&|rows| {
            rows.remove(place);
        });
        assert_eq!(missing, Problem::Wires { said: 4, counted: 3 });
        problem(&|rows| rows.push(rows[place]));
    }
    let wire = |place: usize, change: &dyn Fn(&mut WireRow)| {
        problem(&|rows| match &mut rows[first + place] {
            Row::Wire(row) => change(row),
            other => panic!("{other:?}"),
        })
    };
    let id = samples::wire(1, 35, 0, "").id;
    assert_eq!(wire(2, &|row| row.id = id), Problem::SecondWire(id));
    for place in [1, 2] {
        for change in [
            (|row| row.mode = WireMode::Exclusive) as fn(&mut WireRow),
            |row| row.wiring.polarity = Polarity::Low,
            |row| row.event.cpu = 0,
            |row| row.state = LineState::HeldOff,
            |row| row.direct = false,
            |row| (row.state, row.owner) = (LineState::Closing, None),
        ] {
            assert_eq!(wire(place, &change), Problem::Line(35));
        }
    }
    let twice = wire(2, &|row| row.owner = samples::wire(0, 0, 0x18, "edu").owner);
    assert_eq!(twice, Problem::Line(35));
    let message = Problem::WireMessage { line: 4, id: MessageId(6) };
    assert_eq!(wire(0, &|row| row.event.vector += 1), message);
    let lost = wire(0, &|row| row.message = Some(MessageId(5)));
    assert_eq!(lost, Problem::WireMessage { line: 4, id: MessageId(5) });
}

#[test]
fn devices_with_tables_of_their_own_may_use_the_same_numbers() {
    let mut rows = small();
    message(&mut rows, 5).device = Some(0x18);
    for place in 6..11 {
        message(&mut rows, place).device = Some(0);
    }
    message(&mut rows, 5).entry = Some(1);
    assert!(Tree::build(&rows).is_ok());
}

#[test]
fn a_tree_gives_its_rows_back() {
    for rows in [small(), samples::large(40), samples::wired()] {
        let tree = Tree::build(&rows).expect("whole");
        let again: Vec<Row> = tree.rows().collect();
        assert_eq!(again.len(), rows.len());
        assert!(again.iter().all(|row| rows.contains(row)));
        assert_eq!(Tree::build(&again), Ok(tree));
    }
}

proptest! {
    /// Whatever order rows come in, the tree is the same.
    #[test]
    fn order_does_not_matter(order in Just(small()).prop_shuffle()) {
        prop_assert_eq!(Tree::build(&order), Tree::build(&small()));
    }

    /// Each message is in one place, and counted in one.
    #[test]
    fn every_message_is_counted_once(queue in 0u32..600) {
        let tree = Tree::build(&samples::large(queue)).expect("whole");
        prop_assert_eq!(tree.messages().count() as u32, 257 + queue);
        prop_assert_eq!(tree.sums().messages(), u64::from(257 + queue));
        let active = u64::from(queue + 257).min(400);
        prop_assert_eq!(tree.sums().state(RowState::Active), active);
    }
}
