//! The domain tree in pieces: complete, each node once, and nobody else's.

use crate::common::{A, B, Rig, Server, alloc, over_each, settle};
use interrupt_core::fake::{FakeHandle, fake_config};
use interrupt_core::{ClientId, Domain, Kind, MessageId, Node, Place, RequesterId, Step};
use std::collections::BTreeMap;

over_each!(
    walk_survives_what_happens_meanwhile,
    step_looks_no_further_than_asked,
    quarantined_messages_are_seen,
    any_place_is_answered,
);

/// All nodes of a walk in steps of so many looks.
pub(crate) fn survey<R: Rig + ?Sized>(
    server: &Server<R>,
    only: Option<ClientId>,
    looks: u32,
) -> Vec<Node<FakeHandle>> {
    let mut place = Place::START;
    let mut nodes = Vec::new();
    for _ in 0..10_000 {
        let mut left = looks;
        match server.survey(only, place, &mut left) {
            Step::Node(node, next) => {
                nodes.push(node);
                place = next;
            }
            Step::Later(next) => {
                assert!(left == 0 && next != place, "it goes on");
                place = next;
            }
            Step::End => return nodes,
        }
        assert_ne!(place.bits(), 0, "no walk goes on at its start");
    }
    panic!("the walk has no end");
}

/// What the pieces say is what the whole says, and the sums are right.
pub(crate) fn agrees<R: Rig + ?Sized>(server: &Server<R>, clients: &[RequesterId]) {
    let nodes = survey::<R>(server, None, 7);
    let mut held: BTreeMap<ClientId, (u32, u32)> = BTreeMap::new();
    let mut live = BTreeMap::new();
    let mut records = 0;
    for node in &nodes {
        match node {
            Node::Client(client) => {
                assert!(held.insert(client.client, (client.held, 0)).is_none());
            }
            Node::Message(message) => {
                records += 1;
                let sums = held.get_mut(&message.info.client).expect("after its client");
                sums.1 += 1;
                if message.dead {
                    assert!(message.waiting > 0 || message.handle.is_some(), "why is it here?");
                } else {
                    assert!(live.insert(message.info.id, message.info).is_none(), "twice");
                }
            }
            Node::Server(_) | Node::Space(_) => {}
        }
    }
    let Some(Node::Server(root)) = nodes.first() else { panic!("it begins with the server") };
    assert_eq!(root.messages.1, records);
    assert_eq!(root.entries_used, records, "an entry for each, quarantine included");
    assert!(held.values().all(|(said, counted)| said == counted), "{held:?}");
    for node in server.describe() {
        match node {
            Domain::Message(info) => assert_eq!(live.remove(&info.id), Some(info)),
            Domain::Vectors(space) => assert!(nodes.contains(&Node::Space(space))),
            Domain::Remapper { .. } | Domain::Client { .. } => {}
        }
    }
    assert!(live.is_empty(), "{live:?}");
    for client in clients {
        let own = survey::<R>(server, Some((*client).into()), 3);
        let is_own = |node: &&Node<FakeHandle>| match node {
            Node::Client(node) => node.client == (*client).into(),
            Node::Message(node) => node.info.client == (*client).into(),
            Node::Server(_) | Node::Space(_) => false,
        };
        assert!(own.iter().eq(nodes.iter().filter(is_own)), "its own, and nothing else");
    }
}

fn walk_survives_what_happens_meanwhile<R: Rig>() {
    let machine = R::machine(2);
    let mut core = R::server(&machine, &fake_config(0x3f, 64, 64));
    let old: Vec<_> = (0..20).map(|_| alloc(&mut core, A, Kind::Msix).unwrap().id).collect();
    let mut met: BTreeMap<MessageId, u32> = BTreeMap::new();
    let (mut place, mut step) = (Place::START, 0);
    loop {
        match core.survey(None, place, &mut 1) {
            Step::Node(node, next) => {
                if let Node::Message(message) = node {
                    *met.entry(message.info.id).or_default() += 1;
                }
                place = next;
            }
            Step::Later(next) => place = next,
            Step::End => break,
        }
        // Every second step an old message goes or a new one comes, of either client.
        match step % 4 {
            0 => drop(alloc(&mut core, B, Kind::Msix)),
            2 if step / 4 < 10 => core.free(A, old[step / 4 * 2]).unwrap(),
            _ => {}
        }
        step += 1;
    }
    for id in old.iter().skip(1).step_by(2) {
        assert_eq!(met.get(id), Some(&1), "lived all the time");
    }
    assert!(met.values().all(|times| *times == 1), "nothing twice");
    agrees::<R>(&core, &[A, B]);
}

fn step_looks_no_further_than_asked<R: Rig>() {
    let machine = R::machine(1);
    let mut core = R::server(&machine, &fake_config(0x3f, 64, 64));
    for _ in 0..30 {
        alloc(&mut core, B, Kind::Msix).unwrap();
    }
    let (mut place, mut steps, mut looked) = (Place::START, 0, 0);
    loop {
        let mut left = 8;
        let step = core.survey(Some(A.into()), place, &mut left);
        looked += 8 - left;
        steps += 1;
        match step {
            Step::Node(_, next) | Step::Later(next) => place = next,
            Step::End => break,
        }
    }
    // 64 records, and a few places before them: for a client that has nothing as well.
    assert!((64..80).contains(&looked) && steps >= 8, "{looked} looks in {steps} steps");
    assert_eq!(core.survey(None, Place::START, &mut 0), Step::Later(Place::START));
}

fn quarantined_messages_are_seen<R: Rig>() {
    let machine = R::machine(1);
    let mut core = R::server(&machine, &fake_config(0x3f, 64, 64));
    let message = alloc(&mut core, A, Kind::Msix).unwrap();
    core.activate(A, message.id).unwrap();
    machine.write(Some(A), message.pair);
    machine.acknowledge();
    core.free(A, message.id).unwrap();
    let dead = |core: &Server<R>| {
        let nodes = survey::<R>(core, Some(A.into()), 100);
        nodes.into_iter().filter(|node| matches!(node, Node::Message(it) if it.dead)).count()
    };
    assert_eq!(dead(&core), 1);
    agrees::<R>(&core, &[A, B]);
    settle(&machine, &mut core);
    assert_eq!(dead(&core), 0);
    agrees::<R>(&core, &[A, B]);
}

/// Whatever word a caller takes for a place, and however often, nothing happens.
fn any_place_is_answered<R: Rig>() {
    let machine = R::machine(1);
    let mut core = R::server(&machine, &fake_config(0x3f, 64, 64));
    alloc(&mut core, A, Kind::Msix).unwrap();
    let odd = [1, 0xff, 1 << 31, u64::from(u32::MAX)];
    let parts = [0, 1 << 32, 2 << 32, 3 << 32, 4 << 32, u64::MAX << 32];
    for bits in odd.iter().flat_map(|low| parts.map(|high| low | high)) {
        let mut place = Place::from_bits(bits);
        for _ in 0..200 {
            match core.survey(Some(B.into()), place, &mut 9) {
                Step::Node(Node::Client(node), next) => {
                    assert_eq!(node.client, B.into());
                    place = next;
                }
                Step::Node(node, _) => panic!("not B's: {node:?}"),
                Step::Later(next) => place = next,
                Step::End => break,
            }
        }
        assert_eq!(core.survey(Some(B.into()), place, &mut 9), Step::End, "{bits:#x}");
    }
}
