//! The drill against good rigs and against every way in which delivery can be wrong.

use super::*;
use crate::account::Fault;
use alloc::collections::{BTreeSet, VecDeque};

/// What a rig does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flaw {
    None,
    /// Loses every write to this key.
    Loses(u64),
    /// Loses the last write of every burst to this key.
    LosesLast(u64),
    /// Delivers every write to this key twice.
    Doubles(u64),
    /// Delivers this key's writes under another key.
    Misdirects(u64, u64),
    /// Ignores the mask.
    NoMask,
    /// Says masked when it is not.
    AlwaysMasked,
    /// Delivers what it should block.
    NoBlock,
    /// One more packet for this key when everything is quiet.
    Late(u64),
}

/// A port with one packet per key, as the kernel's: writes coalesce until taken.
struct Model {
    flaw: Flaw,
    queue: VecDeque<Arrival>,
    masked: BTreeSet<u64>,
    blocked: BTreeSet<u64>,
    /// Packets coalesce in the port.
    coalesce: bool,
    writes: u32,
}

impl Model {
    fn new(flaw: Flaw) -> Model {
        Model {
            flaw,
            queue: VecDeque::new(),
            masked: BTreeSet::new(),
            blocked: BTreeSet::new(),
            coalesce: true,
            writes: 0,
        }
    }

    fn event(&mut self, key: u64) {
        let waiting = self.queue.iter_mut().find(|packet| packet.key == key);
        match waiting.filter(|_| self.coalesce) {
            Some(packet) => packet.events += 1,
            None => self.queue.push_back(Arrival { key, events: 1 }),
        }
    }
}

impl Rig for Model {
    type Error = ();

    fn fire(&mut self, key: u64) -> Result<Raised, ()> {
        let masked = self.masked.contains(&key) && self.flaw != Flaw::NoMask;
        if masked || self.flaw == Flaw::AlwaysMasked {
            return Ok(Raised::Masked);
        }
        if self.blocked.contains(&key) && self.flaw != Flaw::NoBlock {
            return Ok(Raised::Written);
        }
        self.writes += 1;
        let last = self.writes.is_multiple_of(BURST);
        match self.flaw {
            Flaw::Loses(lost) if lost == key => {}
            Flaw::LosesLast(lost) if lost == key && last => {}
            Flaw::Doubles(doubled) if doubled == key => {
                self.event(key);
                self.event(key);
            }
            Flaw::Misdirects(from, to) if from == key => self.event(to),
            _ => self.event(key),
        }
        Ok(Raised::Written)
    }

    fn next(&mut self, patience_ns: u64) -> Result<Option<Arrival>, ()> {
        let packet = self.queue.pop_front();
        if let (None, QUIET_NS, Flaw::Late(key)) = (packet, patience_ns, self.flaw) {
            self.flaw = Flaw::None;
            return Ok(Some(Arrival { key, events: 1 }));
        }
        Ok(packet)
    }
}

const KEYS: core::ops::Range<u64> = 0..8;

fn run_singles(flaw: Flaw) -> Result<Ledger, Failure<()>> {
    let mut ledger = Ledger::new(8);
    singles(&mut Model::new(flaw), &mut ledger, KEYS).map(|()| ledger)
}

fn run_bursts(flaw: Flaw, coalesce: bool) -> Result<Ledger, Failure<()>> {
    let mut ledger = Ledger::new(8);
    let mut rig = Model { coalesce, ..Model::new(flaw) };
    bursts(&mut rig, &mut ledger, KEYS)?;
    close(&mut ledger, KEYS)?;
    Ok(ledger)
}

#[test]
fn a_good_rig_passes() {
    let single = run_singles(Flaw::None).expect("good").totals(KEYS);
    assert_eq!((single.slots, single.fired, single.delivered, single.coalesced), (8, 8, 8, 0));
    for coalesce in [true, false] {
        let burst = run_bursts(Flaw::None, coalesce).expect("good").totals(KEYS);
        assert_eq!((burst.slots, burst.fired), (8, 24));
        assert_eq!(burst.delivered + burst.coalesced, 24);
        assert_eq!(burst.coalesced > 0, coalesce);
    }
}

fn fault(result: Result<Ledger, Failure<()>>) -> (u64, Fault) {
    match result {
        Err(Failure::Mismatch(Mismatch::Slot { key, fault })) => (key, fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn singles_find_what_is_lost_doubled_misdirected_and_late() {
    let lost = fault(run_singles(Flaw::Loses(3)));
    assert_eq!(lost, (3, Fault::NotOnce { fired: 1, packets: 0, events: 0 }));
    let doubled = fault(run_singles(Flaw::Doubles(7)));
    assert_eq!(doubled, (7, Fault::Stray { fired: 1, events: 2 }));
    assert_eq!(
        run_singles(Flaw::Misdirects(2, 5)).map(drop),
        Err(Failure::Mismatch(Mismatch::WrongSlot { fired: 2, came: 5 }))
    );
    let late = fault(run_singles(Flaw::Late(4)));
    assert_eq!(late, (4, Fault::Stray { fired: 0, events: 1 }));
}

#[test]
fn bursts_find_what_is_lost_doubled_and_misdirected() {
    assert_eq!(fault(run_bursts(Flaw::Loses(3), true)), (3, Fault::Lost { fired: 3 }));
    assert_eq!(fault(run_bursts(Flaw::Misdirects(2, 5), true)).0, 5);
    assert!(matches!(fault(run_bursts(Flaw::Doubles(2), true)), (2, Fault::Stray { .. })));
    assert!(matches!(fault(run_bursts(Flaw::Doubles(2), false)), (2, Fault::Stray { .. })));
}

/// Where the port was emptied before it, a last write that is lost is found, although the
/// writes before it were delivered.
#[test]
fn bursts_find_a_lost_last_write() {
    assert_eq!(fault(run_bursts(Flaw::LosesLast(5), true)), (5, Fault::Lost { fired: 3 }));
}

#[test]
fn masked_slots_are_silent_or_named() {
    let run = |flaw| {
        let mut rig = Model::new(flaw);
        rig.masked.extend(KEYS);
        masked(&mut rig, KEYS)
    };
    assert_eq!(run(Flaw::None), Ok(()));
    assert_eq!(run(Flaw::NoMask), Err(Failure::Mask { key: 0, did: Raised::Written }));
    let liar = run_singles(Flaw::AlwaysMasked).map(drop);
    assert_eq!(liar, Err(Failure::Mask { key: 0, did: Raised::Masked }));
}

#[test]
fn blocked_messages_are_silent_or_named() {
    let run = |flaw| {
        let mut rig = Model::new(flaw);
        rig.blocked.extend(KEYS);
        blocked(&mut rig, &mut Ledger::new(8), KEYS)
    };
    assert_eq!(run(Flaw::None), Ok(()));
    assert_eq!(run(Flaw::NoBlock), Err(Failure::Noise(Arrival { key: 0, events: 1 })));
}

#[test]
fn an_unblocked_message_brings_one_packet() {
    let run = |events: u64| {
        let (mut rig, mut ledger) = (Model::new(Flaw::None), Ledger::new(8));
        rig.blocked.insert(3);
        blocked(&mut rig, &mut ledger, [3].into_iter())?;
        rig.blocked.clear();
        (0..events).for_each(|_| rig.event(3));
        resumed(&mut rig, &mut ledger, 3)?;
        Ok(ledger.totals(KEYS).delivered)
    };
    assert_eq!(run(1), Ok(1));
    for events in [0, 2] {
        assert!(matches!(run(events), Err(Failure::<()>::Mismatch(_))));
    }
}
