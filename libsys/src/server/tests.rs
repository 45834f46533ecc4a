//! A service between scripted callers.

use super::*;
use crate::fake::{self, Call, Incoming};
use crate::ipc::{AskError, ask_with, call};
use crate::object::{Endpoint, Port};
use alloc::vec::Vec;
use tocsin_abi::PacketKind;
use tocsin_proto::interrupt::{self, Allocated, MessageId, MessageIds};
use tocsin_proto::{DecodeError, Nothing};

/// Notes what it sees; label 1 keeps a handle, label 2 gives one away, the rest is echoed.
#[derive(Default)]
struct Notes {
    seen: Vec<(u64, u32, Vec<u64>, usize)>,
    packets: Vec<u64>,
    kept: Handles,
}

impl Service for Notes {
    fn call(&mut self, request: Request, words: &[u64], handles: &mut Handles) -> Answer {
        self.seen.push((request.badge, request.label, words.to_vec(), request.handles));
        match request.label {
            1 => {
                let kept = handles.pop().expect("a handle came");
                self.kept.push(kept).expect("there is room");
                Answer::ok(&Nothing)
            }
            2 => {
                let port = Port::new().expect("a port");
                Answer::ok(&Nothing).giving(Capability::own(port.leak()), Rights::WAIT)
            }
            3 => Answer::refused(interrupt::Error::NoVectors),
            label => Answer::frame(Frame::plain(label, words)),
        }
    }

    fn packet(&mut self, packet: Packet) {
        self.packets.push(packet.key);
    }
}

fn from(badge: u64, label: u32, words: Vec<u64>, handles: Vec<Handle>) -> Incoming {
    Incoming::Call(Call { badge, label, words, handles })
}

#[test]
fn a_service_sees_calls_and_packets_and_leaks_no_handle() {
    fake::reset();
    let port = || Port::new().map(Port::leak).expect("a port");
    let before = fake::handle_count();
    let long: Vec<u64> = (0..64).collect();
    let kind = PacketKind::Timer as u32;
    fake::incoming([
        from(7, 9, long.clone(), Vec::new()),
        from(7, 1, alloc::vec![5], alloc::vec![port(), port()]),
        Incoming::Packet(Packet { key: 42, kind, count: 1, ..Packet::default() }),
        from(8, 2, Vec::new(), Vec::new()),
        from(8, 3, Vec::new(), Vec::new()),
    ]);
    let mut notes = Notes::default();
    assert_eq!(serve(Handle(1), &mut notes), Error::PeerDied);
    assert_eq!(notes.seen[0], (7, 9, long.clone(), 0));
    assert_eq!(notes.seen[1], (7, 1, alloc::vec![5], 2));
    assert_eq!(notes.packets, [42]);
    let replies = fake::take_replies();
    assert_eq!(replies[0], (Frame::plain(9, &long), 0));
    assert_eq!(replies[1], (Frame::empty(0), 0));
    assert_eq!(replies[2], (Frame::empty(0), 1));
    assert_eq!(replies[3], (Frame::empty(3), 0));
    // One of the two handles was kept, the other closed; the one given away is closed here.
    assert_eq!((notes.kept.len(), fake::handle_count()), (1, before + 1));
    drop(notes);
    assert_eq!(fake::handle_count(), before);
}

#[test]
fn a_caller_that_can_not_take_its_reply_stops_nobody() {
    fake::reset();
    fake::incoming([
        from(1, 9, Vec::new(), Vec::new()),
        Incoming::BadReply(Error::NoHandles),
        from(2, 9, Vec::new(), Vec::new()),
    ]);
    let mut notes = Notes::default();
    assert_eq!(serve(Handle(1), &mut notes), Error::PeerDied);
    assert_eq!(notes.seen.iter().map(|seen| seen.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(fake::take_replies().len(), 1);
}

#[test]
fn words_and_handles_make_the_round_trip() {
    fake::reset();
    let endpoint = fake::endpoint(3, |call| {
        assert_eq!((call.badge, call.handles.len()), (3, 1));
        let words: Vec<u64> = call.words.iter().map(|word| word + 1).collect();
        fake::Return {
            frame: Frame::plain(call.label, &words),
            handles: alloc::vec![(call.handles[0], Rights::all())],
        }
    });
    let port = Port::new().expect("a port");
    let before = fake::handle_count();
    for count in [0, 1, 4, 5, 64] {
        let words: Vec<u64> = (0..count).collect();
        let reply = call(endpoint, 6, &words, &[(port.handle(), Rights::WAIT | Rights::TRANSFER)])
            .expect("answered");
        assert_eq!((reply.label, reply.handles.len()), (6, 1));
        assert_eq!(&*reply.words, (1..=count).collect::<Vec<u64>>());
    }
    assert_eq!(fake::handle_count(), before, "every handle that came was closed");
    assert_eq!(call(endpoint, 0, &[0; 65], &[]).map(drop), Err(Error::BadArgument));
    assert_eq!(call(Handle(99), 0, &[], &[]).map(drop), Err(Error::BadHandle));
}

#[test]
fn a_reply_that_makes_no_sense_is_an_error_and_leaks_nothing() {
    fake::reset();
    let alloc = interrupt::Alloc {
        count: 1,
        kind: tocsin_proto::StoreKind::PciMsi,
        contiguity: interrupt::Contiguity::Any,
        cpus: 1,
    };
    let ids = MessageIds { id: MessageId(1), address: 2, data: 3 };
    let mut reply = Allocated::default();
    reply.messages.push(ids).expect("room");
    reply.messages.push(ids).expect("room");
    let frame = reply.frame();
    let endpoint = fake::endpoint(0, move |_| {
        let port = Port::new().map(Port::leak).expect("a port");
        // Two messages, one handle.
        fake::Return { frame: frame.clone(), handles: alloc::vec![(port, Rights::all())] }
    });
    let before = fake::handle_count();
    let got = ask_with(endpoint, &alloc, &[]).map(drop);
    assert_eq!(got, Err(AskError::Malformed(DecodeError::WrongHandles)));
    // The server's own port is left, the caller's copy is closed.
    assert_eq!(fake::handle_count(), before + 1);
}

#[test]
fn endpoints_are_closed_by_their_owner() {
    fake::reset();
    let made = fake::endpoint(1, |_| unreachable!("nobody calls"));
    let before = fake::handle_count();
    let copy = Endpoint::own(made).duplicate(Rights::CALL).expect("may be duplicated");
    // `made` was closed with the temporary owner.
    assert_eq!(fake::handle_count(), before);
    assert_eq!(copy.duplicate(Rights::CALL).map(drop), Err(Error::MissingRight));
    drop(copy);
    assert_eq!(fake::handle_count(), before - 1);
}
