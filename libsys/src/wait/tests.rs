//! Futures over the model's port and clock.

use super::*;
use crate::fake;
use crate::object::Timer;
use alloc::rc::Rc;
use core::cell::Cell;
use proptest::prelude::*;

fn reactor() -> Reactor {
    fake::reset();
    Reactor::new(Port::new().expect("a port"))
}

#[test]
fn packets_go_to_who_waits_for_their_key() {
    let reactor = reactor();
    let early = Timer::new(reactor.port(), 1).expect("a timer");
    let late = Timer::new(reactor.port(), 2).expect("a timer");
    early.set(100).expect("set");
    late.set(200).expect("set");
    let order = RefCell::new(Vec::new());
    let wait = |key| {
        let (reactor, order) = (&reactor, &order);
        Box::pin(async move {
            let packet = reactor.packet(PacketKind::Timer, key).await;
            order.borrow_mut().push((packet.key, now_ns()));
        }) as Pin<Box<dyn Future<Output = ()> + '_>>
    };
    assert_eq!(reactor.run(alloc::vec![wait(2), wait(1)]), Ok(()));
    assert_eq!(*order.borrow(), [(1, 100), (2, 200)]);
}

#[test]
fn a_packet_before_its_wait_is_kept() {
    let reactor = reactor();
    reactor.port().signal(0b01).expect("signals");
    let timer = Timer::new(reactor.port(), 5).expect("a timer");
    timer.set(50).expect("set");
    let value = reactor.block_on(async {
        // While this waits, the signal arrives and has no taker.
        reactor.packet(PacketKind::Timer, 5).await;
        reactor.port().signal(0b10).expect("signals");
        reactor.sleep_until(60).await;
        reactor.packet(PacketKind::Signal, 0).await.value
    });
    // Nobody took the first one, so the second was folded into it, as on the port.
    assert_eq!(value, Ok(0b11));
}

#[test]
fn sleepers_wake_in_time_and_in_order() {
    let reactor = reactor();
    let log = Rc::new(RefCell::new(Vec::new()));
    let sleep = |until: u64| {
        let (log, reactor) = (log.clone(), &reactor);
        Box::pin(async move {
            reactor.sleep_until(until).await;
            log.borrow_mut().push((until, now_ns()));
        }) as Pin<Box<dyn Future<Output = ()> + '_>>
    };
    assert_eq!(reactor.run(alloc::vec![sleep(30), sleep(10), sleep(0), sleep(30)]), Ok(()));
    assert_eq!(*log.borrow(), [(0, 0), (10, 10), (30, 30), (30, 30)]);
    assert!(reactor.state.borrow().sleepers.is_empty());
}

#[test]
fn a_task_can_wake_another() {
    let reactor = reactor();
    let shared = Cell::new(0);
    let first = async {
        reactor.packet(PacketKind::Signal, 0).await;
        shared.set(1);
    };
    let second = async {
        reactor.port().signal(1).expect("signals");
        reactor.sleep_until(1).await;
        assert_eq!(shared.get(), 1);
        shared.set(2);
    };
    assert_eq!(reactor.run(alloc::vec![Box::pin(first), Box::pin(second)]), Ok(()));
    assert_eq!(shared.get(), 2);
}

#[test]
fn a_dead_port_ends_the_wait() {
    let reactor = reactor();
    // Nothing is bound and no time is set: the model calls such a wait dead.
    let ended = reactor.block_on(async { reactor.message(1).await });
    assert_eq!(ended, Err(Error::PeerDied));
}

proptest! {
    /// However the signals and waits interleave, no bit is lost and none is invented.
    #[test]
    fn no_signal_is_lost(steps in prop::collection::vec(prop::option::of(0u32..64), 1..60)) {
        let reactor = reactor();
        let (mut sent, mut got) = (0u64, 0u64);
        for step in steps {
            match step {
                Some(bit) => {
                    reactor.port().signal(1 << bit).expect("signals");
                    sent |= 1 << bit;
                }
                None if sent != got => {
                    let wait = async { reactor.packet(PacketKind::Signal, 0).await.value };
                    let value = reactor.block_on(wait).expect("a signal waits");
                    prop_assert_eq!(value & !sent, 0);
                    got |= value;
                    prop_assert_eq!(sent, got);
                }
                None => {}
            }
        }
    }
}
