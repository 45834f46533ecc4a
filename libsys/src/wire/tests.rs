//! The life of a wire over the model of the interrupt server.

use super::*;
use crate::fake::{self, FakeInterrupts, Limits};
use crate::object::Port;
use crate::wait::Reactor;
use tocsin_abi::PacketKind;
use tocsin_proto::interrupt::Error as Refusal;

const LINE: Line =
    Line { id: LineId(33), wiring: Wiring { trigger: Trigger::Level, polarity: Polarity::High } };
const LIMITS: Limits = Limits { entries: 4, vectors: 4, is_isolated: true };

struct Bench {
    server: FakeInterrupts,
    endpoint: Handle,
    port: Port,
}

impl Bench {
    fn new() -> Bench {
        fake::reset();
        let server = FakeInterrupts::new(LIMITS);
        server.wire(LINE.id, LINE.wiring);
        let (endpoint, port) = (server.client(0x18), Port::new().expect("a port"));
        let _ = fake::take_trace();
        Bench { server, endpoint, port }
    }

    fn open(&self, mode: WireMode, key: u64) -> Result<Wire, InterruptError> {
        Wire::open(self.endpoint, self.port.handle(), LINE, mode, key)
    }

    fn packet(&self) -> Option<u64> {
        let packet = self.port.wait_until(0).ok()?;
        assert_eq!(packet.kind, PacketKind::Message as u32);
        Some(packet.key)
    }
}

#[test]
fn a_wire_s_life_is_in_this_order() {
    let bench = Bench::new();
    let handles = fake::handle_count();
    let wire = bench.open(WireMode::Exclusive, 7).expect("opened");
    assert_eq!(fake::take_trace(), ["open line 33", "bind"]);
    assert!(bench.server.fire_line(LINE.id));
    assert!(!bench.server.fire_line(LINE.id), "it is held");
    assert_eq!((bench.packet(), bench.packet()), (Some(7), None));
    wire.acknowledge().expect("told");
    wire.acknowledge().expect("nothing is held, which is what was wanted");
    assert!(bench.server.fire_line(LINE.id));
    let _ = fake::take_trace();
    drop(wire);
    let expected = ["unbind", "close", "last handle closed"];
    assert_eq!(fake::take_trace(), expected);
    assert_eq!((bench.server.open_wires(), fake::handle_count()), (0, handles));
    assert!(!bench.server.fire_line(LINE.id));
}

#[test]
fn refusals_are_the_server_s_and_hold_nothing() {
    let bench = Bench::new();
    let handles = fake::handle_count();
    let refused = |line, mode| {
        let wire = Wire::open(bench.endpoint, bench.port.handle(), line, mode, 1);
        wire.map(drop).expect_err("refused")
    };
    let other = Line { id: LineId(34), ..LINE };
    let refusal = InterruptError::Server(Refusal::NotYours);
    assert_eq!(refused(other, WireMode::Exclusive), refusal);
    let wiring = Wiring { trigger: Trigger::Edge, ..LINE.wiring };
    let edge = Line { wiring, ..LINE };
    let refusal = InterruptError::Server(Refusal::WrongTrigger);
    assert_eq!(refused(edge, WireMode::Exclusive), refusal);
    let wire = bench.open(WireMode::Shared, 1).expect("opened");
    let refusal = InterruptError::Server(Refusal::LineInUse);
    assert_eq!(refused(LINE, WireMode::Exclusive), refusal);
    wire.close().expect("its own");
    // A port that is none: the server had opened it, and hears that it is not wanted.
    let none = Wire::open(bench.endpoint, Handle::NONE, LINE, WireMode::Exclusive, 1);
    assert!(matches!(none, Err(InterruptError::Kernel(_))));
    assert_eq!((bench.server.open_wires(), fake::handle_count()), (0, handles));
}

#[test]
fn a_busy_line_is_waited_for() {
    let bench = Bench::new();
    bench.server.fail_after(0, Refusal::LineBusy);
    let wire = bench.open(WireMode::Exclusive, 1).expect("the second time");
    assert_eq!(fake::take_trace(), ["open line 33", "open line 33", "bind"]);
    drop(wire);
}

#[test]
fn owners_of_a_shared_line_are_all_waited_for() {
    let bench = Bench::new();
    let wires = [1, 2].map(|key| bench.open(WireMode::Shared, key).expect("shared"));
    assert!(bench.server.fire_line(LINE.id));
    assert_eq!((bench.packet(), bench.packet()), (Some(1), Some(2)));
    wires[0].acknowledge().expect("told");
    assert_eq!(bench.server.waiting(LINE.id), 1);
    assert!(!bench.server.fire_line(LINE.id));
    wires[1].acknowledge().expect("told");
    assert!(bench.server.fire_line(LINE.id));
}

#[test]
fn a_wire_is_awaited_like_a_message() {
    let bench = Bench::new();
    let wire = bench.open(WireMode::Exclusive, 5).expect("opened");
    assert!(bench.server.fire_line(LINE.id));
    let Bench { server, port, .. } = bench;
    let reactor = Reactor::new(port);
    let seen = reactor.block_on(async {
        let first = reactor.message(wire.key()).await;
        wire.acknowledge().expect("told");
        assert!(server.fire_line(LINE.id));
        (first.key, reactor.message(wire.key()).await.key)
    });
    assert_eq!(seen, Ok((5, 5)));
}
