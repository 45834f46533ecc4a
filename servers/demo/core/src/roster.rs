//! Which drivers are expected, and which have finished.
//!
//! The badge tells callers apart; the name is what the caller calls itself, in its first
//! line (`<name>: text`), and is for people only.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use tocsin_proto::report::Done;

/// Arguments of the demonstration: names of drivers, and `timeout_s=<seconds>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arguments {
    /// Drivers that must report.
    pub drivers: Vec<String>,
    /// When to give up on them.
    pub timeout_s: u64,
}

/// Seconds that the drivers have when the arguments do not say.
pub const TIMEOUT_S: u64 = 60;

impl Arguments {
    /// Reads the argument text.
    ///
    /// # Errors
    /// The word that makes no sense.
    pub fn parse(text: &str) -> Result<Arguments, &str> {
        let mut arguments = Arguments { drivers: Vec::new(), timeout_s: TIMEOUT_S };
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some(("timeout_s", seconds)) => {
                    arguments.timeout_s = seconds.parse().map_err(|_| word)?;
                }
                Some(_) => return Err(word),
                None => arguments.drivers.push(word.to_owned()),
            }
        }
        Ok(arguments)
    }
}

#[derive(Clone, Debug)]
struct Caller {
    badge: u64,
    name: Option<String>,
    done: Option<Done>,
}

/// The drivers.
#[derive(Clone, Debug)]
pub struct Roster {
    expected: Vec<String>,
    /// Expected, and known not to come.
    absent: Vec<String>,
    callers: Vec<Caller>,
}

/// A caller said that it is done for the second time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AlreadyDone;

impl Roster {
    /// Nobody has reported yet.
    #[must_use]
    pub fn new(expected: Vec<String>) -> Roster {
        Roster { expected, absent: Vec::new(), callers: Vec::new() }
    }

    fn caller(&mut self, badge: u64) -> &mut Caller {
        let found = self.callers.iter().position(|caller| caller.badge == badge);
        let index = found.unwrap_or_else(|| {
            self.callers.push(Caller { badge, name: None, done: None });
            self.callers.len() - 1
        });
        &mut self.callers[index]
    }

    /// A line from a caller: its first one says who it is.
    pub fn line(&mut self, badge: u64, text: &str) {
        let caller = self.caller(badge);
        if caller.name.is_none() {
            caller.name = text.split_once(": ").map(|(name, _)| name.to_owned());
        }
    }

    /// A caller's last word.
    ///
    /// # Errors
    /// It was not the first.
    pub fn done(&mut self, badge: u64, done: Done) -> Result<(), AlreadyDone> {
        let caller = self.caller(badge);
        if caller.done.is_some() {
            return Err(AlreadyDone);
        }
        caller.done = Some(done);
        Ok(())
    }

    /// The machine has no device for this driver: it will not report.
    pub fn absent_driver(&mut self, name: &str) {
        let known = self.expected.iter().any(|expected| expected == name);
        if known && !self.absent.iter().any(|absent| absent == name) {
            self.absent.push(name.to_owned());
        }
    }

    /// Expected drivers without a device.
    #[must_use]
    pub fn absent(&self) -> Vec<&str> {
        self.absent.iter().map(String::as_str).collect()
    }

    /// True when nobody has reported anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.callers.is_empty()
    }

    /// True when this caller has finished: it may not say anything more.
    #[must_use]
    pub fn is_done(&self, badge: u64) -> bool {
        self.callers.iter().any(|caller| caller.badge == badge && caller.done.is_some())
    }

    /// Expected drivers that have a device, as far as is known, and have not finished.
    #[must_use]
    pub fn missing(&self) -> Vec<&str> {
        let finished = |name: &str| {
            self.callers.iter().any(|c| c.done.is_some() && c.name.as_deref() == Some(name))
        };
        let absent = |name: &str| self.absent.iter().any(|absent| absent == name);
        let expected = self.expected.iter().map(String::as_str);
        expected.filter(|name| !finished(name) && !absent(name)).collect()
    }

    /// Expected drivers that have a device, as far as is known, have not finished, and are not
    /// among these.
    #[must_use]
    pub fn awaited(&self, except: impl Fn(u64) -> bool) -> bool {
        let is_excepted = |name: &str| {
            self.callers.iter().any(|c| c.name.as_deref() == Some(name) && except(c.badge))
        };
        self.missing().into_iter().any(|name| !is_excepted(name))
    }

    /// Name and last word of everybody who has finished.
    pub fn finished(&self) -> impl Iterator<Item = (&str, u64, Done)> {
        self.callers.iter().filter_map(|caller| {
            Some((caller.name.as_deref().unwrap_or("?"), caller.badge, caller.done?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tocsin_proto::StoreKind;

    const DONE: Done = Done { ok: true, slots: 1, fired: 1, delivered: 1, kind: StoreKind::PciMsi };

    fn roster() -> Roster {
        Roster::new(Arguments::parse("edu lsi").expect("names").drivers)
    }

    #[test]
    fn arguments_are_names_and_a_timeout() {
        let arguments = Arguments::parse(" edu  lsi timeout_s=5").expect("good");
        assert_eq!((arguments.drivers.len(), arguments.timeout_s), (2, 5));
        assert_eq!(Arguments::parse("").map(|a| a.timeout_s), Ok(TIMEOUT_S));
        assert_eq!(Arguments::parse("edu timeout_s=x"), Err("timeout_s=x"));
        assert_eq!(Arguments::parse("edu=1"), Err("edu=1"));
    }

    #[test]
    fn everybody_must_finish_under_a_name() {
        let mut roster = roster();
        assert_eq!(roster.missing(), ["edu", "lsi"]);
        roster.line(7, "lsi: 256 slots");
        roster.line(7, "edu: not me");
        assert_eq!(roster.done(7, DONE), Ok(()));
        assert_eq!(roster.missing(), ["edu"]);
        // Somebody without a name does not stand for a driver.
        assert_eq!(roster.done(8, DONE), Ok(()));
        assert_eq!(roster.missing(), ["edu"]);
        roster.line(9, "edu: hello");
        assert_eq!(roster.missing(), ["edu"]);
        assert_eq!(roster.done(9, DONE), Ok(()));
        assert!(roster.missing().is_empty());
        assert_eq!(
            roster.finished().map(|(n, b, _)| (n, b)).collect::<Vec<_>>(),
            [("lsi", 7), ("?", 8), ("edu", 9)]
        );
    }

    #[test]
    fn who_has_no_device_is_not_waited_for() {
        let mut roster = roster();
        roster.absent_driver("edu");
        roster.absent_driver("edu");
        roster.absent_driver("nobody");
        assert_eq!((roster.missing(), roster.absent()), (alloc::vec!["lsi"], alloc::vec!["edu"]));
        assert!(roster.is_empty());
        roster.line(7, "lsi: here");
        assert!(!roster.is_empty());
    }

    #[test]
    fn done_is_said_once() {
        let mut roster = roster();
        assert!(!roster.is_done(7));
        assert_eq!(roster.done(7, DONE), Ok(()));
        assert!(roster.is_done(7));
        assert_eq!(roster.done(7, DONE), Err(AlreadyDone));
    }
}
