//! Every rule has a manifest that breaks it, and the answer names the rule.

use tocsin_abi::startup::ARGS_BYTES;
use tocsin_manifest::{
    BoardIds, DeviceKind, Grant, Manifest, PinController, PinPolarity, PinTable, PinTrigger,
    PinTurn, Problem, Quirk, Quirks, Slots, SourceError, WireError, quirks_from_toml,
};

/// A manifest without quirks.
fn from_toml(text: &str) -> Result<Manifest, SourceError> {
    tocsin_manifest::from_toml(text, Quirks::default())
}

/// A manifest with two servers and a driver, and `extra` grants for server `b`.
fn text(extra: &str) -> String {
    format!(
        r#"
        [system]
        main = "b"
        [[server]]
        name = "a"
        budget_kib = 64
        priority = 31
        grants = ["receive:a", "ioport:0x60-0x6f", "vtd"]
        [[server]]
        name = "b"
        module = "other"
        budget_kib = 64
        priority = 0
        grants = ["endpoint:a"{extra}]
        [[driver]]
        name = "d"
        match = {{ vendor = 0x1234, device = 0x11e8 }}
        budget_kib = 64
        priority = 1
        grants = ["device:a"]
        "#
    )
}

fn good() -> Manifest {
    from_toml(&text("")).unwrap()
}

/// The single problem that the manifest has after the change.
fn problem(change: impl FnOnce(&mut Manifest)) -> Problem {
    let mut manifest = good();
    change(&mut manifest);
    let mut problems = manifest.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(manifest.to_bytes().is_err(), "an invalid manifest is never written");
    problems.remove(0)
}

fn grant(text: &str) -> Grant {
    text.parse().unwrap()
}

#[test]
fn defaults() {
    let manifest = good();
    assert_eq!(manifest.system.cpus, 0);
    assert!(!manifest.interrupt.allow_unisolated);
    assert_eq!(manifest.servers[0].module, "a");
    assert_eq!(manifest.servers[1].module, "other");
    assert_eq!(manifest.drivers[0].quota, manifest.interrupt.quota);
    assert_eq!(manifest.drivers[0].device.nth, 0);
    assert_eq!(manifest.modules(), ["a", "other", "d"]);
}

#[test]
fn programs_are_placed_on_cpus_that_run() {
    let mut system = good().system;
    assert_eq!([0, 1, 2, 5].map(|cpu| system.place(cpu, 2)), [0, 1, 0, 1]);
    system.cpus = 1;
    assert_eq!(system.place(3, 4), 0);
    system.cpus = 8;
    assert_eq!(system.place(3, 2), 1);
    assert_eq!(system.place(3, 0), 0, "no CPU at all cannot be, and divides nothing");
}

#[test]
fn names() {
    let main = "c".to_owned();
    assert_eq!(problem(|m| m.system.main.clone_from(&main)), Problem::UnknownMain { main });
    for bad in ["", "A", "0a", "a b", "a/b", "é", &"x".repeat(Manifest::NAME_BYTES + 1)] {
        let name = bad.to_owned();
        assert_eq!(
            problem(|m| m.servers[0].name.clone_from(&name)),
            Problem::BadName { what: "program", name }
        );
    }
    assert!(matches!(
        problem(|m| m.servers[1].module = "../kernel".to_owned()),
        Problem::BadName { what: "module", .. }
    ));
    let name = "init".to_owned();
    assert_eq!(problem(|m| m.servers[0].name.clone_from(&name)), Problem::ReservedName { name });
    let name = "a".to_owned();
    assert_eq!(
        problem(|m| m.drivers[0].program.name.clone_from(&name)),
        Problem::DuplicateName { name }
    );
}

#[test]
fn numbers() {
    let of = |problem| match problem {
        Problem::BadNumber { program, key, value, .. } => (program, key, value),
        other => panic!("{other}"),
    };
    let zero = |program: &str, key| (program.to_owned(), key, 0);
    assert_eq!(of(problem(|m| m.servers[0].budget_kib = 0)), zero("a", "budget_kib"));
    assert_eq!(of(problem(|m| m.drivers[0].program.budget_kib = 0)), zero("d", "budget_kib"));
    assert_eq!(of(problem(|m| m.drivers[0].quota = 0)), zero("d", "quota"));
    assert_eq!(of(problem(|m| m.interrupt.quota = 0)), zero("interrupt", "quota"));
    assert_eq!(
        of(problem(|m| {
            m.interrupt.storm_events = 1;
            m.interrupt.storm_window_ms = 0;
        })),
        zero("interrupt", "storm_window_ms")
    );
    assert_eq!(of(problem(|m| m.servers[1].priority = 32)), ("b".to_owned(), "priority", 32));
    let huge = u32::MAX;
    assert_eq!(
        of(problem(|m| m.drivers[0].dma_kib = huge)),
        ("d".to_owned(), "dma_kib", huge.into())
    );
}

#[test]
fn what_must_fit_on_the_startup_page() {
    assert!(matches!(
        problem(|m| m.servers[0].args = "x".repeat(ARGS_BYTES + 1)),
        Problem::LongArgs { bytes, max, .. } if bytes == max + 1
    ));
    assert!(matches!(
        problem(|m| {
            let ports = (0..40).map(|n| Grant::IoPorts { first: n, last: n });
            m.servers[1].grants.extend(ports);
        }),
        Problem::ManyGrants { count: 41, .. }
    ));
}

#[test]
fn endpoints() {
    assert!(matches!(
        problem(|m| m.servers[1].grants[0] = grant("endpoint:nobody")),
        Problem::UnknownEndpoint { .. }
    ));
    assert!(matches!(
        problem(|m| m.servers[1].grants.push(grant("mint:nobody"))),
        Problem::UnknownEndpoint { .. }
    ));
    assert!(matches!(
        problem(|m| m.servers[1].grants.push(grant("mint:a"))),
        Problem::AmbiguousCall { .. }
    ));
    assert!(matches!(
        problem(|m| m.servers[1].grants[0] = grant("device:a")),
        Problem::NotADriver { .. }
    ));
}

#[test]
fn what_only_one_can_have() {
    for shared in ["vtd", "ioport:0x6f-0x80", "ioport:0x0-0x60", "ioport:0x64", "receive:a"] {
        let expected = Problem::SharedGrant {
            first: "a".to_owned(),
            second: "b".to_owned(),
            grant: grant(shared),
        };
        assert_eq!(problem(|m| m.servers[1].grants.push(grant(shared))), expected);
    }
    for apart in
        ["ecam", "ioport:0x70-0x80", "ioport:0x0-0x5f", "receive:b", "firmware", "module:x"]
    {
        from_toml(&text(&format!(r#", "{apart}""#))).unwrap();
    }
    assert!(matches!(
        problem(|m| m.servers[0].grants.push(grant("ioport:0x6f"))),
        Problem::RepeatedGrant { .. }
    ));
    assert!(matches!(
        problem(|m| {
            let mut again = m.drivers[0].clone();
            again.program.name = "e".to_owned();
            m.drivers.push(again);
        }),
        Problem::SharedDevice { .. }
    ));
    assert!(matches!(problem(|m| m.drivers[0].device.vendor = 0xffff), Problem::NoVendor { .. }));
}

#[test]
fn the_console_is_one_thing_on_every_machine() {
    // On a PC `uart` is COM1, ports 0x3f8 to 0x3ff.
    for ports in ["ioport:0x3f8-0x3ff", "ioport:0x3ff-0x400", "ioport:0x0-0x3f8", "ioport:0x3fa"] {
        for (held, wanted) in [("uart", ports), (ports, "uart")] {
            let expected = Problem::SharedGrant {
                first: "a".to_owned(),
                second: "b".to_owned(),
                grant: grant(wanted),
            };
            let found = problem(|m| {
                m.servers[0].grants.remove(1);
                m.servers[0].grants.push(grant(held));
                m.servers[1].grants.push(grant(wanted));
            });
            assert_eq!(found, expected);
        }
    }
    for apart in ["uart", "gic", "ioport:0x3f0-0x3f7", "ioport:0x400"] {
        from_toml(&text(&format!(r#", "{apart}""#))).unwrap();
    }
    for shared in ["uart", "ioapic", "gic"] {
        assert!(matches!(
            problem(|m| {
                m.servers[0].grants.push(grant(shared));
                m.servers[1].grants.push(grant(shared));
            }),
            Problem::SharedGrant { .. }
        ));
    }
}

fn pins(first: u8, last: u8) -> PinTable {
    PinTable {
        board: BoardIds {
            vendor: 0x8086,
            device: 0x29c0,
            subsystem_vendor: 0x1af4,
            subsystem: 0x1100,
        },
        controller: PinController::IoApic,
        slots: Slots { first, last },
        turn: PinTurn::Slot,
        line: 20,
        trigger: PinTrigger::Level,
        polarity: PinPolarity::High,
        reason: "r".to_owned(),
    }
}

#[test]
fn tables_of_pins() {
    let text = r#"
        [[pins]]
        board = { vendor = 0x8086, device = 0x29c0, subsystem_vendor = 0x1af4, subsystem = 0x1100 }
        controller = "ioapic"
        slots = { first = 0, last = 24 }
        turn = "slot"
        line = 20
        trigger = "level"
        polarity = "high"
        reason = "r"
    "#;
    assert_eq!(quirks_from_toml(text).unwrap().pins, [pins(0, 24)]);
    for (word, wrong) in [
        ("ioapic", "pic"),
        ("\"slot\"", "\"device\""),
        ("level", "both"),
        ("high", "5"),
        ("last = 24", "last = -1"),
        ("last = 24", "last = 256"),
        (", last = 24", ""),
        ("line = 20", "line = 0x1_0000_0000"),
        ("line = 20", "line = 20\ncolour = 1"),
        ("subsystem = 0x1100", "revision = 1"),
    ] {
        let text = text.replace(word, wrong);
        assert!(matches!(quirks_from_toml(&text), Err(SourceError::Toml(_))), "{wrong}");
    }
    for missing in ["board", "controller", "slots", "turn", "line", "trigger", "polarity", "reason"]
    {
        let text = text.replace(&format!("{missing} ="), "#");
        assert!(matches!(quirks_from_toml(&text), Err(SourceError::Toml(_))), "{missing}");
    }
    let board = pins(0, 0).board;
    let one = |table: PinTable| problem(|m| m.pins = vec![table]);
    let reason = " ".to_owned();
    assert_eq!(one(PinTable { reason, ..pins(0, 24) }), Problem::NoPinReason { board });
    for slots in [Slots { first: 2, last: 1 }, Slots { first: 0, last: 32 }] {
        assert_eq!(one(pins(slots.first, slots.last)), Problem::BadPins { board, slots, line: 20 });
    }
    let high = PinTable { line: u32::MAX - 2, ..pins(0, 1) };
    assert_eq!(one(high), Problem::BadPins { board, slots: pins(0, 1).slots, line: u32::MAX - 2 });
    let overlap = vec![pins(0, 24), pins(24, 25)];
    let shared = Problem::SharedSlots { board, slots: pins(24, 25).slots };
    assert_eq!(problem(|m| m.pins = overlap), shared);
    // Another board's, or of another architecture: both stand.
    let mut both = good();
    both.pins = vec![pins(0, 24), PinTable { controller: PinController::Gic, ..pins(0, 24) }];
    both.pins.push(pins(25, 31));
    assert_eq!(both.problems(), []);
    assert_eq!(Manifest::from_bytes(&both.to_bytes().unwrap()), Ok(both));
    let many = (0..13).map(|slot| pins(slot, slot)).collect();
    assert_eq!(problem(|m| m.pins = many), Problem::ManyPins { count: 13, max: 12 });
}

fn quirk(vendor: u16, reason: &str) -> Quirk {
    let device = DeviceKind { vendor, device: 0x12 };
    Quirk { device, dma_device_id: 0, amdvi_dma_id: None, reason: reason.to_owned() }
}

#[test]
fn quirks() {
    let text = r#"
        [[quirk]]
        match = { vendor = 0x1000, device = 0x12 }
        dma_device_id = 0
        reason = "no"
    "#;
    assert_eq!(quirks_from_toml(text).unwrap().quirks, [quirk(0x1000, "no")]);
    assert_eq!(quirks_from_toml("").unwrap(), Quirks::default());
    let both = text.replace("dma_device_id = 0", "dma_device_id = 0\namdvi_dma_id = 0xa0");
    assert_eq!(quirks_from_toml(&both).unwrap().quirks[0].amdvi_dma_id, Some(0xa0));
    let wide = text.replace("dma_device_id = 0", "dma_device_id = 0\namdvi_dma_id = 0x1_0000");
    assert!(matches!(quirks_from_toml(&wide), Err(SourceError::Toml(_))));
    for wrong in [
        "dma_device_id = -1",
        "dma_device_id = 0
        colour = 1",
        "dma_device_id = 0x1_0000_0000",
    ] {
        let text = text.replace("dma_device_id = 0", wrong);
        assert!(matches!(quirks_from_toml(&text), Err(SourceError::Toml(_))), "{wrong}");
    }
    for missing in ["match", "dma_device_id", "reason"] {
        let text = text.replace(missing, "#");
        assert!(matches!(quirks_from_toml(&text), Err(SourceError::Toml(_))), "{missing}");
    }
    // They are the machines', so no manifest has its own.
    assert!(matches!(from_toml(&format!("{}{text}", self::text(""))), Err(SourceError::Toml(_))));

    let device = DeviceKind { vendor: 0x1000, device: 0x12 };
    assert_eq!(problem(|m| m.quirks = vec![quirk(0x1000, " ")]), Problem::NoReason { device });
    let twice = vec![quirk(0x1000, "a"), quirk(0x1000, "b")];
    assert_eq!(problem(|m| m.quirks = twice), Problem::SharedQuirk { device });
    assert!(matches!(problem(|m| m.quirks = vec![quirk(0xffff, "a")]), Problem::NoVendor { .. }));
    let many = (1..10).map(|vendor| quirk(vendor, "a")).collect();
    assert!(matches!(problem(|m| m.quirks = many), Problem::ManyQuirks { count: 9, .. }));
    let mut manifest = good();
    manifest.quirks = vec![quirk(0x1000, "a"), quirk(0x1001, "a")];
    assert_eq!(Manifest::from_bytes(&manifest.to_bytes().unwrap()), Ok(manifest));
}

#[test]
fn ports_the_wrong_way_round_cannot_come_in_by_postcard() {
    let wrong = Grant::IoPorts { first: 2, last: 1 };
    assert!(matches!(problem(|m| m.servers[1].grants.push(wrong)), Problem::BadPorts { .. }));
}

#[test]
fn all_problems_are_reported_at_once() {
    let mut manifest = good();
    manifest.servers[0].grants[0] = grant("receive:A");
    let lines = manifest.check().unwrap_err().to_string();
    // A bad endpoint name, and two callers that lost their endpoint.
    assert_eq!(lines.lines().count(), 3, "{lines}");
    assert!(lines.lines().all(|line| line.starts_with("manifest: ")));

    let empty = from_toml("[system]\nmain = \"x\"").unwrap_err();
    let SourceError::Invalid(invalid) = empty else { panic!("{empty}") };
    assert!(invalid.0.contains(&Problem::NoPrograms));
}

#[test]
fn a_mistake_in_the_file_has_a_line() {
    let SourceError::Grant { line, program, .. } =
        from_toml(&text(", \"everything\"")).unwrap_err()
    else {
        panic!("not a grant error")
    };
    assert_eq!((line, program.as_str()), (14, "b"));
    let unknown = text("").replace("priority = 31", "priority = 31\n        root = true");
    let error = from_toml(&unknown).unwrap_err().to_string();
    assert!(error.contains("root") && error.contains("line 8"), "{error}");
    assert!(matches!(from_toml("main ="), Err(SourceError::Toml(_))));
    let error = from_toml(&text("").replace("budget_kib = 64", "")).unwrap_err();
    assert!(error.to_string().contains("budget_kib"), "{error}");
}

#[test]
fn grants_are_spelled_one_way() {
    for text in [
        "ioport:0x3f8-0x3ff",
        "uart",
        "firmware",
        "vtd",
        "amdvi",
        "ioapic",
        "gic",
        "gic-private",
        "hpet",
        "ecam",
        "pci-window",
        "message-control",
        "debug-log",
        "debug-write",
        "debug-stats",
        "receive:a",
        "endpoint:a",
        "device:a",
        "mint:a",
        "module:a",
    ] {
        assert_eq!(grant(text).to_string(), text);
    }
    assert_eq!(grant("ioport:96-0x61"), Grant::IoPorts { first: 0x60, last: 0x61 });
    for bad in [
        "",
        "ioport",
        "ioport:",
        "ioport:0x2-0x1",
        "ioport:0x10000",
        "ioport:1-2-3",
        "ioport:-1",
        "ioport:+1",
        "ioport:0x+1",
        "endpoint",
        "root",
        "firmware:all",
        "Firmware",
        "uart0",
        "gic:its",
        " firmware",
        "memory:0-1",
    ] {
        assert!(bad.parse::<Grant>().is_err(), "{bad}");
    }
}

#[test]
fn a_module_that_is_no_manifest_is_refused() {
    let bytes = good().to_bytes().unwrap();
    assert_eq!(Manifest::from_bytes(&[]), Err(WireError::NotManifest));
    let mut other = bytes.clone();
    other[7] = 1;
    assert_eq!(Manifest::from_bytes(&other), Err(WireError::NotManifest));
    for length in 8..bytes.len() {
        assert_eq!(Manifest::from_bytes(&bytes[..length]), Err(WireError::Malformed));
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(Manifest::from_bytes(&longer), Err(WireError::TrailingBytes { bytes: 1 }));
}

mod random {
    use super::from_toml;
    use proptest::prelude::*;
    use tocsin_manifest::{MAGIC, Manifest, quirks_from_toml};

    proptest! {
        #[test]
        fn bytes_are_decoded_or_refused(tail in proptest::collection::vec(any::<u8>(), 0..400)) {
            let bytes = [&MAGIC[..], &tail].concat();
            if let Ok(manifest) = Manifest::from_bytes(&bytes) {
                prop_assert!(manifest.check().is_ok());
            }
        }

        #[test]
        fn a_changed_manifest_is_never_accepted_unchecked(at in 8usize..300, with in any::<u8>()) {
            let mut bytes = super::good().to_bytes().unwrap();
            let at = 8 + (at - 8) % (bytes.len() - 8);
            bytes[at] = with;
            if let Ok(manifest) = Manifest::from_bytes(&bytes) {
                prop_assert!(manifest.problems().is_empty());
            }
        }

        #[test]
        fn text_is_read_or_refused(text in "\\PC{0,200}") {
            let _ = from_toml(&text);
            let _ = quirks_from_toml(&text);
            let _ = text.parse::<tocsin_manifest::Grant>();
        }
    }
}
