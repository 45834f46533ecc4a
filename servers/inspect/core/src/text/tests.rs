use super::*;
use crate::samples::{large, small, wired};
use alloc::string::ToString;
use proptest::prelude::*;
use tocsin_proto::interrupt::{RemapperKind, Row};

fn lines(rows: Vec<Row>, expand: Expand<'_>) -> Vec<String> {
    let tree = Tree::build(&rows).expect("whole");
    let mut lines = Vec::new();
    print(&tree, expand, |line| lines.push(line.to_string()));
    lines
}

#[test]
fn a_small_machine_is_these_lines() {
    assert_eq!(
        lines(small(), Expand::Nothing),
        [
            "remapper VT-d, source ids checked: 6 of 65536 entries used; 6 messages: 1 reserved, \
             2 active, 2 blocked, 1 quarantined; 0 numbers in quarantine",
            "  vectors: CPU 0 198 of 200 free, CPU 1 198 of 200 free",
            "  00:03.0 1000:0012, driver edu: 1 of 4096 messages, source 00:03.0",
            "    PciMsi: 1 message: 1 active; delivered 4, coalesced 1",
            "      1 active, slot 0, entry 0, CPU 0 0x30 -> port 20 of process 0, key 0",
            "  00:04.0 1000:0012, driver lsi: 5 of 4096 messages, source 00:04.0",
            "    DeviceArray: 2 messages: 1 reserved, 1 active; delivered 8, coalesced 2",
            "      1 reserved, slot 1, entry 2 -> port 20 of process 0, key 1",
            "      1 active, slot 0, entry 1, CPU 1 0x30 -> port 20 of process 0, key 0",
            "    QueueMemory: 3 messages: 2 blocked, 1 quarantined; delivered 8, coalesced 2, \
             1 held back for a storm",
            "      1 blocked, slots not told, entry 4, CPU 0 0x32",
            "      1 blocked (storm), slot 7, entry 3, CPU 1 0x31 -> port 20 of process 0, key 7",
            "      1 quarantined, slots not told, entry 5",
        ]
    );
}

#[test]
fn lines_have_their_owners_below() {
    let all = lines(wired(), Expand::Nothing);
    assert_eq!(
        all[all.len() - 8..],
        [
            "  IOAPIC:",
            "    line 4: rising edge, exclusive, CPU 0 0x33, message 0x6",
            "      console (platform 3): open -> port 23 of process 3, key 0x4; delivered 4, \
             coalesced 1, blocked 0, last on CPU 0",
            "  GIC SPIs:",
            "    line 35: level high, shared by 2, CPU 1 0x23",
            "      edu (00:03.0): held -> port 20 of process 0, key 0x23; delivered 4, \
             coalesced 1, blocked 0, last on CPU 0",
            "      lsi (00:04.0): open (late) -> port 20 of process 0, key 0x23; delivered 4, \
             coalesced 1, blocked 0, last on CPU 0",
            "    line 40: level high, exclusive, CPU 1 0x28: closing, nobody's any more",
        ]
    );
}

#[test]
fn many_messages_are_few_lines_and_every_one_when_asked() {
    let short = lines(large(2048), Expand::Nothing);
    assert_eq!(short.len(), 11);
    let tail = &short[7..];
    assert_eq!(
        tail,
        [
            "      256 active, slots 0-255, entries 1-256, 128 on CPU 0, 128 on CPU 1 \
             -> port 20 of process 0, keys 0-255",
            "    QueueMemory: 2048 messages: 1905 reserved, 143 active; delivered 8192, coalesced 2048",
            "      1905 reserved, slots 143-2047, entries 400-2304 -> port 20 of process 0, keys 143-2047",
            "      143 active, slots 0-142, entries 257-399, 71 on CPU 0, 72 on CPU 1 \
             -> port 20 of process 0, keys 0-142",
        ]
    );
    let named = ["00:04.0".to_string()];
    let long = lines(large(2048), Expand::Named(&named));
    assert_eq!(long.len(), 11 - 3 + 2304);
    assert_eq!(
        long[7],
        "      slot 0: active, pair 0xfee00010/0x1, entry 1, CPU 1 0x30 -> port 20 of process 0, \
         key 0x0; delivered 4, coalesced 1, blocked 0, last on CPU 0"
    );
    assert_eq!(lines(large(2048), Expand::Everything).len(), long.len());
    let driver = ["edu".to_string()];
    assert_eq!(lines(large(2048), Expand::Named(&driver)).len(), short.len());
}

#[test]
fn a_storm_has_a_line_beside_others_that_are_blocked() {
    let mut rows = small();
    let Row::Message(storm) = rows[8] else { panic!("the storm's message") };
    let Row::Message(blocked) = &mut rows[9] else { panic!("the other blocked one") };
    blocked.binding = storm.binding;
    let lines = lines(rows, Expand::Nothing);
    let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!((count("      1 blocked,"), count("      1 blocked (storm),")), (1, 1));
}

#[test]
fn what_is_not_isolated_says_so() {
    let mut rows = small();
    let Row::Server(server) = &mut rows[0] else { panic!("the server comes first") };
    (server.isolated, server.remapper, server.entries_total) = (false, RemapperKind::None, 0);
    let start = "remapper none, not isolated; 6 messages";
    assert!(lines(rows.clone(), Expand::Nothing)[0].starts_with(start));
    let Row::Server(server) = &mut rows[0] else { panic!("the server comes first") };
    (server.allow_unisolated, server.flushes_late) = (true, 2);
    let line = &lines(rows, Expand::Nothing)[0];
    assert!(line.contains("NOT isolated") && line.ends_with(", 2 flushes late"), "{line}");
}

proptest! {
    /// The numbers at the start of the lines of groups are all messages, each counted once.
    #[test]
    fn groups_add_up(queue in 0u32..2000) {
        let lines = lines(large(queue), Expand::Nothing);
        let groups = lines.iter().filter_map(|line| line.strip_prefix("      "));
        let count = |line: &str| line.split(' ').next().and_then(|number| number.parse::<u32>().ok());
        let sum: u32 = groups.filter_map(count).sum();
        prop_assert_eq!(sum, queue + 257);
    }
}
