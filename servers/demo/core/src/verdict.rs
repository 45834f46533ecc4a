//! Whether the run was good, and the last line, which says only what was measured.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use tocsin_proto::report::Done;
use tocsin_proto::{StoreKind, badge};

use crate::roster::Roster;
use crate::table::{StoreRows, Table};

/// Everything that speaks against the run: nothing means that it was good.
#[must_use]
pub fn objections(roster: &Roster, table: &Table) -> Vec<String> {
    let mut found: Vec<String> = table.problems().iter().map(ToString::to_string).collect();
    for name in roster.missing() {
        found.push(format!("{name} did not finish"));
    }
    // A machine with none of the devices is another machine; one with some lacks the rest.
    let absent = roster.absent();
    if !roster.is_empty() {
        found.extend(absent.iter().map(|name| format!("{name} has no device on this machine")));
    }
    for (name, caller, done) in roster.finished() {
        if !done.ok {
            found.push(format!("{name} reports failure"));
        }
        // A driver's endpoint carries its device: what it says must be what its rows say.
        let Some(requester) = badge::device_of(caller) else {
            found.push(format!("{name} has no device on its badge"));
            continue;
        };
        if done.kind == StoreKind::Wire {
            // A wire has no slot and no pair, so it has no row either.
            if done.slots == 0 || done.fired != done.delivered {
                let Done { fired, delivered, .. } = done;
                found
                    .push(format!("{name} wanted {fired} and was told of {delivered} by its wire"));
            }
            continue;
        }
        let rows = table.device(requester);
        if (done.slots, done.fired, done.delivered) != (rows.slots, rows.fired, rows.delivered) {
            found.push(format!(
                "{name} says {} slots, {} fired, {} delivered at its end; its rows say {}, {}, {}",
                done.slots, done.fired, done.delivered, rows.slots, rows.fired, rows.delivered
            ));
        }
    }
    found
}

/// The last line.
#[must_use]
pub fn sentence(roster: &Roster, table: &Table, objections: &[String]) -> String {
    if let Some((first, others)) = objections.split_first() {
        return match others.len() {
            0 => format!("FAILED: {first}."),
            more => format!("FAILED: {first}, and {more} more."),
        };
    }
    let all = table.totals();
    let absent = roster.absent();
    if all.slots == 0 && !absent.is_empty() {
        return format!(
            "Nothing to show: there is no PCI device here for any of the drivers ({}).",
            absent.join(", ")
        );
    }
    let stores: Vec<String> = table
        .stores()
        .iter()
        .map(|store| format!("{} in {}", store.rows.slots, store.kind()))
        .collect();
    let silent: Vec<&str> =
        roster.finished().filter(|(_, _, done)| done.slots == 0).map(|(name, _, _)| name).collect();
    let wires: Vec<Done> = roster
        .finished()
        .filter(|(_, _, done)| done.kind == StoreKind::Wire)
        .map(|(_, _, done)| done)
        .collect();
    if all.slots == 0 && silent.is_empty() && !wires.is_empty() {
        let told: u64 = wires.iter().map(|done| done.delivered).sum();
        return format!(
            "Shown: {} devices had their interrupt pins, and each was told of what it wanted: \
             {told} times.",
            wires.len()
        );
    }
    let refused = match silent.len() {
        0 => String::new(),
        1 => format!("{} was refused its messages, as expected here", silent[0]),
        _ => format!("{} were refused their messages, as expected here", silent.join(" and ")),
    };
    if all.slots == 0 {
        return format!("Shown: {refused}.");
    }
    let refused = if refused.is_empty() { refused } else { format!("; {refused}") };
    let which = match all.slots {
        1 => "1 message",
        many => &format!("{many} messages"),
    };
    format!(
        "Shown: {which} ({}; {}), each with its own pair, were raised {} times by their devices: each \
         alone and delivered exactly once under its own key, and in bursts that always ended in a \
         packet; {} packets and {} coalesced events came, none on a wrong slot, and the kernel \
         counted the same{refused}.",
        stores.join(", "),
        together(table),
        all.fired,
        all.delivered,
        all.coalesced,
    )
}

/// How many of each store were active at the same time. A machine whose CPUs have fewer
/// vectors than the stores have slots lets them take turns.
fn together(table: &Table) -> String {
    let active = |store: &StoreRows| store.summary.map_or(0, |said| said.active);
    if table.stores().iter().all(|store| active(store) == store.rows.slots) {
        return String::from("all of a store active at once");
    }
    let most: Vec<String> = table.stores().iter().map(|store| active(store).to_string()).collect();
    format!("at most {} of them active at once", most.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roster::Arguments;
    use crate::table::tests::{row, summary};
    use tocsin_proto::report::Summary;

    const LSI: u64 = badge::of_device(0x20);

    fn run(names: &str, slots: u32, done: Done) -> (Roster, Table) {
        let mut table = Table::default();
        for slot in 0..slots {
            table.add(row(StoreKind::DeviceArray, slot));
        }
        if slots > 0 {
            let said = summary(StoreKind::DeviceArray, slots.into());
            table.summary(Summary { active: slots.into(), ..said });
        }
        let mut roster = Roster::new(Arguments::parse(names).expect("names").drivers);
        roster.line(LSI, "lsi: here");
        roster.done(LSI, done).expect("first");
        (roster, table)
    }

    fn done(slots: u64) -> Done {
        Done {
            ok: true,
            slots,
            fired: 4 * slots,
            delivered: 2 * slots,
            kind: StoreKind::DeviceArray,
        }
    }

    fn verdict(roster: &Roster, table: &Table) -> (usize, String) {
        let found = objections(roster, table);
        (found.len(), sentence(roster, table, &found))
    }

    #[test]
    fn a_good_run_is_one_sentence_of_measured_numbers() {
        let (roster, table) = run("lsi", 256, done(256));
        let (objections, line) = verdict(&roster, &table);
        assert_eq!(objections, 0);
        let start = "Shown: 256 messages (256 in DeviceArray; all of a store active at once), each";
        assert!(line.starts_with(start), "{line}");
        assert!(line.contains("raised 1024 times"), "{line}");
        assert!(line.contains("512 packets and 256 coalesced events"), "{line}");
        assert!(!line.contains("refused"), "{line}");
    }

    #[test]
    fn an_expected_refusal_is_said() {
        let (roster, table) = run("lsi", 0, done(0));
        let (objections, line) = verdict(&roster, &table);
        assert_eq!(objections, 0);
        assert_eq!(line, "Shown: lsi was refused its messages, as expected here.");
        let (mut roster, table) = run("lsi edu", 0, done(0));
        let edu = badge::of_device(0x10);
        roster.line(edu, "edu: here");
        roster.done(edu, done(0)).expect("first");
        let (objections, line) = verdict(&roster, &table);
        assert_eq!(objections, 0);
        assert_eq!(line, "Shown: lsi and edu were refused their messages, as expected here.");
        let (mut roster, table) = run("lsi edu", 4, done(4));
        roster.line(edu, "edu: here");
        roster.done(edu, done(0)).expect("first");
        let (objections, line) = verdict(&roster, &table);
        assert_eq!(objections, 0);
        let end = "the kernel counted the same; edu was refused its messages, as expected here.";
        assert!(line.starts_with("Shown: 4 messages") && line.ends_with(end), "{line}");
    }

    #[test]
    fn wires_have_no_rows() {
        let wire = Done { ok: true, slots: 1, fired: 9, delivered: 9, kind: StoreKind::Wire };
        let (mut roster, table) = run("edu-a edu-b", 0, wire);
        let (a, b) = (badge::of_device(0x10), badge::of_device(0x18));
        let mut only = Roster::new(Arguments::parse("edu-a edu-b").expect("names").drivers);
        only.line(a, "edu-a: here");
        only.done(a, wire).expect("first");
        only.line(b, "edu-b: here");
        only.done(b, wire).expect("first");
        let (objections, line) = verdict(&only, &table);
        assert_eq!(objections, 0);
        let start =
            "Shown: 2 devices had their interrupt pins, and each was told of what it wanted";
        assert!(line.starts_with(start) && line.ends_with(": 18 times."), "{line}");
        roster.line(a, "edu-a: here");
        roster.done(a, Done { delivered: 8, ..wire }).expect("first");
        let (_, line) = verdict(&roster, &table);
        assert!(line.starts_with("FAILED: edu-b did not finish"), "{line}");
        let found = objections_text(&roster, &table);
        assert!(found.contains("edu-a wanted 9 and was told of 8 by its wire"), "{found}");
    }

    fn objections_text(roster: &Roster, table: &Table) -> String {
        objections(roster, table).join("; ")
    }

    #[test]
    fn turns_are_told_from_all_at_once() {
        let (roster, mut table) = run("lsi", 256, done(256));
        for slot in 0..2 {
            table.add(row(StoreKind::QueueMemory, slot));
        }
        table.summary(Summary { active: 1, ..summary(StoreKind::QueueMemory, 2) });
        let line = sentence(&roster, &table, &[]);
        let start = "Shown: 258 messages (256 in DeviceArray, 2 in QueueMemory; \
                     at most 256, 1 of them active at once), each";
        assert!(line.starts_with(start), "{line}");
    }

    #[test]
    fn a_machine_without_the_devices_has_a_sentence_of_its_own() {
        let mut roster = Roster::new(Arguments::parse("edu lsi").expect("names").drivers);
        roster.absent_driver("edu");
        assert_eq!(roster.missing(), ["lsi"]);
        roster.absent_driver("lsi");
        let (objections, line) = verdict(&roster, &Table::default());
        assert_eq!(objections, 0);
        assert_eq!(
            line,
            "Nothing to show: there is no PCI device here for any of the drivers (edu, lsi)."
        );
    }

    #[test]
    fn a_machine_with_some_of_the_devices_is_not_good() {
        let (mut roster, table) = run("lsi edu", 4, done(4));
        roster.absent_driver("edu");
        let (objections, line) = verdict(&roster, &table);
        assert_eq!(objections, 1);
        assert_eq!(line, "FAILED: edu has no device on this machine.");
    }

    #[test]
    fn every_objection_fails_the_run() {
        let failed = Done { ok: false, ..done(4) };
        for (names, done, text) in [
            ("lsi edu", done(4), "FAILED: edu did not finish."),
            ("lsi", failed, "FAILED: lsi reports failure."),
            ("lsi", done(5), "FAILED: lsi says 5 slots, 20 fired, 10 delivered"),
        ] {
            let (roster, table) = run(names, 4, done);
            let (objections, line) = verdict(&roster, &table);
            assert_eq!(objections, 1);
            assert!(line.starts_with(text), "{line}");
        }
        let (mut roster, table) = run("lsi edu", 4, failed);
        roster.line(5, "x: no device");
        roster.done(5, done(0)).expect("first");
        let (objections, line) = verdict(&roster, &table);
        assert_eq!(objections, 3);
        assert_eq!(line, "FAILED: edu did not finish, and 2 more.");
    }
}
