//! Takes the drivers' reports, one request after another.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use tocsin_proto::badge;
use tocsin_proto::report::{Error, Held, Hold, Request};

use crate::layout;
use crate::roster::Roster;
use crate::standing::{Seen, Standings};
use crate::table::Table;
use crate::verdict;

/// Everything reported so far.
#[derive(Clone, Debug)]
pub struct Collector {
    roster: Roster,
    table: Table,
    intruders: Vec<String>,
    standings: Standings,
}

impl Collector {
    /// Waits for these drivers.
    #[must_use]
    pub fn new(expected: Vec<String>) -> Collector {
        Collector {
            roster: Roster::new(expected),
            table: Table::default(),
            intruders: Vec::new(),
            standings: Standings::default(),
        }
    }

    /// Takes a request of the caller with this badge; text goes to `print` at once.
    ///
    /// # Errors
    /// `AlreadyDone` after the caller's last word; `Malformed` when a row or a sum is about
    /// another device than the caller's. Both count against the run.
    pub fn take(
        &mut self,
        caller: u64,
        request: Request,
        print: impl FnOnce(&str),
    ) -> Result<(), Error> {
        if self.roster.is_done(caller) {
            self.intruders.push(format!("badge {caller:#x} reports after its end"));
            return Err(Error::AlreadyDone);
        }
        match request {
            Request::Row(row) => {
                self.check_device(caller, row.requester)?;
                self.table.add(row);
            }
            Request::Summary(sums) => {
                self.check_device(caller, sums.requester)?;
                self.table.summary(sums);
            }
            Request::Standing(standing) => {
                self.check_device(caller, standing.requester)?;
                self.standings.say(standing);
            }
            // Who may go on is answered by `hold`.
            Request::Hold(_) => return Err(Error::Malformed),
            Request::Line(line) => {
                self.roster.line(caller, line.text.as_str());
                print(line.text.as_str());
            }
            // Not done before: checked above.
            Request::Done(done) => {
                return self.roster.done(caller, done).map_err(|_| Error::AlreadyDone);
            }
        }
        Ok(())
    }

    /// A row about a device is taken from that device's driver only.
    fn check_device(&mut self, caller: u64, requester: u16) -> Result<(), Error> {
        if badge::device_of(caller) == Some(requester) {
            return Ok(());
        }
        let device = layout::Bdf(requester);
        self.intruders.push(format!("badge {caller:#x} reports for device {device}"));
        Err(Error::Malformed)
    }

    /// Whether a driver may go on that stands still. `see` looks at what all hold, and gives
    /// what is seen of one store; it is called once, when everybody stands.
    pub fn hold(
        &mut self,
        caller: u64,
        hold: Hold,
        see: impl FnOnce() -> Result<Seen, String>,
    ) -> Held {
        let Collector { roster, standings, intruders, .. } = self;
        standings.stand(caller, hold);
        if hold == Hold::UntilOthersStand {
            let stands = |badge| badge == caller || standings.has_come(badge);
            return if roster.awaited(stands) { Held::NotYet } else { Held::GoOn };
        }
        if standings.is_seen() {
            return Held::GoOn;
        }
        if roster.awaited(|badge| standings.is_standing(badge)) {
            return Held::NotYet;
        }
        match see() {
            Ok(seen) => intruders.extend(standings.compare(&*seen)),
            Err(why) => intruders.push(format!("the inspector saw nothing: {why}")),
        }
        standings.seen();
        Held::GoOn
    }

    /// Whether what the drivers hold has been looked at. Nobody stands still who was refused
    /// everything.
    #[must_use]
    pub const fn has_seen(&self) -> bool {
        self.standings.is_seen()
    }

    /// A driver said that this one is gone, or its words made no sense: the run is bad.
    pub fn object(&mut self, why: String) {
        self.intruders.push(why);
    }

    /// The machine has no device for this driver.
    pub fn absent(&mut self, name: &str) {
        self.roster.absent_driver(name);
    }

    /// Drivers that are still expected.
    #[must_use]
    pub fn missing(&self) -> Vec<&str> {
        self.roster.missing()
    }

    /// Prints the table and the last line, and says whether the run was good.
    pub fn finish(&self, mut print: impl FnMut(&str)) -> bool {
        let mut objections = verdict::objections(&self.roster, &self.table);
        objections.extend(self.intruders.iter().cloned());
        if !self.table.stores().is_empty() {
            layout::print(&self.table, &mut print);
        }
        for objection in &objections {
            print(&format!("mismatch: {objection}"));
        }
        print(&verdict::sentence(&self.roster, &self.table, &objections));
        objections.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::{row, summary};
    use alloc::borrow::ToOwned;
    use alloc::string::ToString;
    use tocsin_proto::report::{Done, Line};
    use tocsin_proto::{StoreKind, Text};

    const LSI: u64 = badge::of_device(0x20);
    const KIND: StoreKind = StoreKind::DeviceArray;

    fn line(text: &str) -> Request {
        Request::Line(Line { text: Text::split(text).0 })
    }

    fn script() -> Vec<Request> {
        let mut script = alloc::vec![line("lsi: 4 slots")];
        script.extend((0..4).map(|slot| Request::Row(row(KIND, slot))));
        script.push(Request::Summary(summary(KIND, 4)));
        let done = Done { ok: true, slots: 4, fired: 16, delivered: 8, kind: KIND };
        script.push(Request::Done(done));
        script
    }

    fn collected(script: Vec<Request>) -> Collector {
        let mut collector = Collector::new(alloc::vec!["lsi".to_owned()]);
        for request in script {
            assert_eq!(collector.take(LSI, request, |_| {}), Ok(()));
        }
        collector
    }

    fn finished(collector: &Collector) -> (bool, Vec<String>) {
        let mut lines = Vec::new();
        let good = collector.finish(|line| lines.push(line.to_string()));
        (good, lines)
    }

    #[test]
    fn a_whole_report_is_a_good_run() {
        let collector = collected(script());
        assert!(collector.missing().is_empty());
        let (good, lines) = finished(&collector);
        assert!(good, "{lines:?}");
        assert!(lines.last().is_some_and(|line| line.starts_with("Shown: 4 messages")));
    }

    #[test]
    fn text_is_printed_at_once() {
        let mut collector = Collector::new(Vec::new());
        let mut printed = String::new();
        assert_eq!(collector.take(LSI, line("lsi: hello"), |text| printed.push_str(text)), Ok(()));
        assert_eq!(printed, "lsi: hello");
    }

    /// Leaving out any one request turns the run bad.
    #[test]
    fn nothing_can_be_left_out() {
        for gap in 0..script().len() {
            let mut script = script();
            script.remove(gap);
            assert!(!finished(&collected(script)).0, "without request {gap}");
        }
    }

    #[test]
    fn nobody_reports_for_another_device_or_after_its_end() {
        let mut other = collected(Vec::new());
        let stranger = badge::of_device(0x21);
        let request = Request::Row(row(KIND, 0));
        assert_eq!(other.take(stranger, request.clone(), |_| {}), Err(Error::Malformed));
        assert_eq!(other.take(1, request.clone(), |_| {}), Err(Error::Malformed));

        let mut late = collected(script());
        assert_eq!(late.take(LSI, request, |_| {}), Err(Error::AlreadyDone));
        let (good, lines) = finished(&late);
        assert!(!good);
        assert_eq!(
            lines.last().map(String::as_str),
            Some("FAILED: badge 0x100000020 reports after its end.")
        );
    }

    #[test]
    fn an_objection_fails_the_run() {
        let mut collector = collected(script());
        collector.object("time is up".to_owned());
        let (good, lines) = finished(&collector);
        assert!(!good);
        assert!(lines.iter().any(|line| line == "mismatch: time is up"));
    }
}
