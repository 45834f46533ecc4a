//! Interrupt servers below others, in a manifest.

use tocsin_manifest::{Manifest, Quirks, SourceError};

fn from_toml(text: &str) -> Result<Manifest, SourceError> {
    tocsin_manifest::from_toml(text, Quirks::default())
}

/// An interrupt server below another one has a quota, receives, and is a server below the one
/// with the message control; drivers name such a server.
#[test]
fn subsystems() {
    let text = |server: &str, driver: &str| {
        format!(
            r#"
            [system]
            main = "a"
            [[server]]
            name = "a"
            budget_kib = 1
            priority = 1
            grants = ["receive:interrupt", "message-control"]
            [[server]]
            name = "b"
            budget_kib = 1
            priority = 1
            {server}
            [[driver]]
            name = "d"
            match = {{ vendor = 1, device = 1 }}
            budget_kib = 1
            priority = 1
            {driver}
            "#
        )
    };
    let good = r#"quota = 4
        restarts = 2
        grants = ["receive:below", "parent:interrupt"]"#;
    let read = |server: &str, driver: &str| from_toml(&text(server, driver));
    let manifest = read(good, r#"interrupt = "b""#).unwrap();
    let below = &manifest.servers[1];
    assert_eq!((below.parent(), below.receives()), (Some("interrupt"), Some("below")));
    assert_eq!((below.quota, below.restarts), (4, 2));
    assert_eq!(manifest.drivers[0].interrupt.as_deref(), Some("b"));
    for (server, driver) in [
        // No quota, or too large a one; nobody to serve; a parent without message control.
        (r#"grants = ["receive:below", "parent:interrupt"]"#, ""),
        ("quota = 65536\ngrants = [\"receive:below\", \"parent:interrupt\"]", ""),
        ("quota = 4\ngrants = [\"parent:interrupt\"]", ""),
        ("quota = 4\ngrants = [\"receive:below\", \"parent:below\"]", ""),
        // What only such a server has.
        ("quota = 4", ""),
        ("restarts = 1", ""),
        // Drivers below what is no such server, and a driver that is one.
        (good, r#"interrupt = "a""#),
        (good, r#"interrupt = "nobody""#),
        (good, r#"grants = ["receive:x", "parent:interrupt"]"#),
    ] {
        let refused = read(server, driver).unwrap_err().to_string();
        let says = ["quota", "receives on no", "parent:", "interrupt names", "a driver has no"];
        assert!(says.iter().any(|each| refused.contains(each)), "{refused}");
    }
}
