//! Drivers that stand still while they hold all they can, so that it can be looked at as a
//! whole: at no other time do all messages of a machine exist at once.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use tocsin_proto::inspect::Counted;
use tocsin_proto::report::{Hold, Standing};

use crate::layout::Bdf;

/// What the inspector saw of what a driver says it holds.
pub type Seen = Box<dyn Fn(&Standing) -> Result<Counted, String>>;

/// Who stands, and what they say they hold.
#[derive(Clone, Debug, Default)]
pub struct Standings {
    said: Vec<Standing>,
    callers: BTreeMap<u64, Hold>,
    is_seen: bool,
}

impl Standings {
    /// A driver holds this.
    pub fn say(&mut self, standing: Standing) {
        self.said.push(standing);
    }

    /// A driver waits. Once it has stood still it does not wait for others any more.
    pub fn stand(&mut self, caller: u64, hold: Hold) {
        let known = self.callers.entry(caller).or_insert(hold);
        if hold == Hold::UntilSeen {
            *known = hold;
        }
    }

    /// It stands still until everything has been looked at.
    pub fn is_standing(&self, caller: u64) -> bool {
        self.callers.get(&caller) == Some(&Hold::UntilSeen)
    }

    /// It stands still, or waits for others that do: two of these must not wait for each other.
    pub fn has_come(&self, caller: u64) -> bool {
        self.callers.contains_key(&caller)
    }

    /// Everything has been looked at.
    pub const fn is_seen(&self) -> bool {
        self.is_seen
    }

    /// From now on nobody stands still.
    pub fn seen(&mut self) {
        self.is_seen = true;
    }

    /// What the inspector saw that is not what the drivers say.
    pub fn compare(&self, seen: &dyn Fn(&Standing) -> Result<Counted, String>) -> Vec<String> {
        self.said.iter().filter_map(|said| differs(said, seen(said)).err()).collect()
    }
}

fn differs(said: &Standing, seen: Result<Counted, String>) -> Result<(), String> {
    let which = format!("{} of {}", said.kind, Bdf(said.requester));
    let seen = seen.map_err(|why| format!("the inspector says nothing of {which}: {why}"))?;
    let ours = (said.messages, said.active, said.delivered, said.coalesced);
    let theirs = (seen.messages, seen.active, seen.delivered, seen.coalesced);
    if ours != theirs || seen.bound != seen.messages {
        return Err(format!(
            "{which}: the inspector sees {} messages, {} bound, {} active, {} packets and {} \
             coalesced events, the driver {}, {}, {} and {}",
            seen.messages,
            seen.bound,
            seen.active,
            seen.delivered,
            seen.coalesced,
            said.messages,
            said.active,
            said.delivered,
            said.coalesced,
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Collector;
    use alloc::borrow::ToOwned;
    use core::cell::Cell;
    use tocsin_proto::report::{Done, Held, Line, Request};
    use tocsin_proto::{StoreKind, Text, badge};

    const EDU: u64 = badge::of_device(0x18);
    const LSI: u64 = badge::of_device(0x20);
    const STANDING: Standing = Standing {
        requester: 0x20,
        kind: StoreKind::DeviceArray,
        messages: 256,
        active: 200,
        delivered: 9,
        coalesced: 1,
    };
    const SEEN: Counted =
        Counted { messages: 256, active: 200, bound: 256, delivered: 9, coalesced: 1 };

    fn collector() -> Collector {
        let mut collector = Collector::new(alloc::vec!["edu".to_owned(), "lsi".to_owned()]);
        for (badge, text) in [(EDU, "edu: here"), (LSI, "lsi: here")] {
            let line = Request::Line(Line { text: Text::split(text).0 });
            collector.take(badge, line, |_| {}).expect("not done yet");
        }
        collector
    }

    fn see(seen: Counted) -> impl FnOnce() -> Result<Seen, String> {
        move || Ok(Box::new(move |_: &Standing| Ok(seen)) as Seen)
    }

    fn never() -> Result<Seen, String> {
        panic!("looked at too early, or twice")
    }

    #[test]
    fn all_stand_before_anything_is_seen() {
        let mut all = collector();
        // Who takes all that is left goes last.
        assert_eq!(all.hold(LSI, Hold::UntilOthersStand, never), Held::NotYet);
        assert_eq!(all.hold(EDU, Hold::UntilSeen, never), Held::NotYet);
        assert_eq!(all.hold(LSI, Hold::UntilOthersStand, never), Held::GoOn);
        assert_eq!(all.hold(EDU, Hold::UntilSeen, never), Held::NotYet);
        all.take(LSI, Request::Standing(STANDING), |_| {}).expect("its own device");
        assert_eq!(all.hold(LSI, Hold::UntilSeen, see(SEEN)), Held::GoOn);
        assert_eq!(all.hold(EDU, Hold::UntilSeen, never), Held::GoOn);
        assert_eq!(all.hold(LSI, Hold::UntilSeen, never), Held::GoOn, "once is enough");
    }

    #[test]
    fn nobody_waits_for_who_is_done_or_absent() {
        let done = Done { ok: true, slots: 0, fired: 0, delivered: 0, kind: StoreKind::PciMsi };
        let mut all = collector();
        all.take(EDU, Request::Done(done), |_| {}).expect("first");
        assert_eq!(all.hold(LSI, Hold::UntilOthersStand, never), Held::GoOn);
        assert_eq!(all.hold(LSI, Hold::UntilSeen, see(SEEN)), Held::GoOn);
        let mut all = Collector::new(alloc::vec!["edu".to_owned(), "nvme".to_owned()]);
        all.take(EDU, Request::Line(Line { text: Text::split("edu: x").0 }), |_| {}).expect("new");
        assert_eq!(all.hold(EDU, Hold::UntilSeen, never), Held::NotYet);
        all.absent("nvme");
        assert_eq!(all.hold(EDU, Hold::UntilSeen, see(SEEN)), Held::GoOn);
    }

    #[test]
    fn two_that_go_last_do_not_wait_for_each_other() {
        let mut all = collector();
        assert_eq!(all.hold(LSI, Hold::UntilOthersStand, never), Held::NotYet);
        assert_eq!(all.hold(EDU, Hold::UntilOthersStand, never), Held::GoOn);
        assert_eq!(all.hold(LSI, Hold::UntilOthersStand, never), Held::GoOn);
    }

    fn objections(standing: Standing, seen: Result<Counted, String>) -> usize {
        let mut standings = Standings::default();
        standings.say(standing);
        standings.compare(&|_| seen.clone()).len()
    }

    #[test]
    fn every_number_is_compared() {
        assert_eq!(objections(STANDING, Ok(SEEN)), 0);
        for seen in [
            Counted { messages: 255, bound: 255, ..SEEN },
            Counted { active: 199, ..SEEN },
            Counted { bound: 255, ..SEEN },
            Counted { delivered: 10, ..SEEN },
            Counted { coalesced: 0, ..SEEN },
            Counted::default(),
        ] {
            assert_eq!(objections(STANDING, Ok(seen)), 1, "{seen:?}");
        }
        assert_eq!(objections(STANDING, Err("why".to_owned())), 1);
    }

    #[test]
    fn what_was_not_seen_fails_the_run() {
        let asked = Cell::new(0);
        let mut all = collector();
        assert_eq!(all.hold(EDU, Hold::UntilSeen, never), Held::NotYet);
        let fails = || {
            asked.set(asked.get() + 1);
            Err("gone".to_owned())
        };
        assert_eq!(all.hold(LSI, Hold::UntilSeen, fails), Held::GoOn, "the run goes on");
        let mut lines = Vec::new();
        assert!(!all.finish(|line| lines.push(line.to_owned())));
        assert!(lines.iter().any(|line| line == "mismatch: the inspector saw nothing: gone"));
        assert_eq!(asked.get(), 1);
    }
}
