use super::*;
use crate::inspect::parse::Snapshot;
use inspect_core::{Tree, samples};
use proptest::prelude::*;
use tocsin_proto::interrupt::Row;

fn snapshot(rows: &[Row]) -> Snapshot {
    let tree = Tree::build(rows).expect("whole");
    Snapshot { server: "interrupt".into(), steady: true, tree }
}

fn drawn(rows: &[Row], expand: Expand) -> String {
    drawing(&[snapshot(rows)], "a test", expand)
}

/// Every element that is opened is closed, and in order.
fn is_well_formed(svg: &str) -> bool {
    let mut open = Vec::new();
    for piece in svg.split('<').skip(1) {
        let Some((tag, _)) = piece.split_once('>') else { return false };
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        if tag.starts_with('/') {
            if open.pop() != Some(name) {
                return false;
            }
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    open.is_empty()
}

#[test]
fn a_small_machine_shows_all_levels() {
    let svg = drawn(&samples::small(), Expand::Nothing);
    assert!(is_well_formed(&svg), "{svg}");
    for text in [
        "server `interrupt`",
        "6 of 65536 entries",
        "source ids checked",
        "00:04.0  1000:0012",
        "driver lsi",
        "QueueMemory",
        "1 blocked, 1 storm, 1 quarantined",
        "8 packets, 2 coalesced",
        "CPU 1",
        "198 of 200 vectors free",
        "no CPU event",
        "port 20, process 0",
        "bound to no port",
    ] {
        assert!(svg.contains(&format!(">{text}<")), "{text}");
    }
    assert_eq!(svg.matches("class=\"m storm\"").count(), 1);
    assert!(!svg.contains("id=\"m-"));
}

#[test]
fn lines_are_drawn_with_their_owners() {
    let svg = drawn(&samples::wired(), Expand::Nothing);
    assert!(is_well_formed(&svg), "{svg}");
    for text in [
        "IOAPIC",
        "1 line",
        "line 4: rising edge, exclusive, CPU 0 0x33, message 0x6",
        "GIC SPIs",
        "2 lines",
        "line 35: level high, shared, CPU 1 0x23",
        "lsi (00:04.0): open (late), 4 packets, 1 coalesced, port 20 of process 0, key 0x23",
        "closing, nobody's any more",
    ] {
        assert!(svg.contains(&format!(">{text}<")), "{text}");
    }
    // Messages only.
    assert_eq!(svg.matches("class=\"m ").count(), 7);
}

#[test]
fn an_expanded_device_has_a_row_for_each_message() {
    let named = ["edu".to_string()];
    let svg = drawn(&samples::small(), Expand::Named(&named));
    assert!(is_well_formed(&svg));
    assert_eq!((svg.matches("<g id=\"m-").count(), svg.matches("<a href=\"#m-").count()), (1, 1));
    let all = drawn(&samples::small(), Expand::Everything);
    assert_eq!((all.matches("<g id=\"m-").count(), all.matches("<a href=\"#m-").count()), (6, 6));
}

#[test]
fn nothing_and_two_servers_can_be_drawn() {
    assert!(is_well_formed(&drawing(&[], "none", Expand::Nothing)));
    let both = [snapshot(&samples::small()), snapshot(&samples::large(4))];
    let svg = drawing(&both, "two <servers>", Expand::Nothing);
    assert!(is_well_formed(&svg));
    assert_eq!(svg.matches("server `interrupt`").count(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Each message is one cell, and in one number of each column.
    #[test]
    fn every_message_is_drawn_once(queue in 1u32..2000) {
        let svg = drawn(&samples::large(queue), Expand::Nothing);
        prop_assert!(is_well_formed(&svg));
        let count = (queue + 257) as usize;
        prop_assert_eq!(svg.matches("class=\"m ").count(), count);
        let ids: std::collections::BTreeSet<&str> = svg
            .split("message 0x")
            .skip(1)
            .filter_map(|rest| rest.split(',').next())
            .collect();
        prop_assert_eq!(ids.len(), count);
        // CPUs and ports: texts `N messages`, and `N messages, M packets`.
        let sum = |end: &str| -> usize {
            [" messages", " message"]
                .iter()
                .flat_map(|word| {
                    let text = format!("{word}{end}");
                    svg.match_indices(&text).map(|(at, _)| at).collect::<Vec<_>>()
                })
                .filter_map(|at| svg[..at].rsplit('>').next()?.parse::<usize>().ok())
                .sum()
        };
        prop_assert_eq!(sum("<"), count);
        prop_assert_eq!(sum(", "), count);
    }
}
