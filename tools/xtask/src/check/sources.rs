//! Rules about single Rust files: their size, architecture conditionals, reasons for `allow`.

use super::Source;
use regex::Regex;

/// Past this many lines a file has a seam that somebody should have found.
const LONGEST: usize = 500;

pub fn check(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        found.extend(too_long(source));
        found.extend(architecture_leaks(source));
        found.extend(unexplained_exceptions(source));
    }
    found
}

fn too_long(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    (lines > LONGEST).then(|| format!("{}: {lines} lines, more than {LONGEST}", source.path))
}

/// `arch` folders, and files `arch.rs`, hide the architecture from
/// everybody else. Two places name it by nature: these tools, and build scripts.
fn architecture_leaks(source: &Source) -> Vec<String> {
    let path = &source.path;
    let in_arch = path.split('/').any(|part| part == "arch" || part == "arch.rs");
    if in_arch || path.starts_with("tools/") || path.ends_with("build.rs") {
        return Vec::new();
    }
    // Any use: a condition may be spread over lines, so that `cfg` is on another one.
    code_lines(source)
        .filter(|(_, line)| line.contains("target_arch"))
        .map(|(number, _)| format!("{path}:{number}: target_arch outside an `arch` folder"))
        .collect()
}

/// `allow` and `expect` of a lint need `reason = "..."`, and so does an ignored test.
fn unexplained_exceptions(source: &Source) -> Vec<String> {
    let attribute = match Regex::new(r"#!?\[\s*(allow|expect|ignore)\b[^\]]*\]") {
        Ok(regex) => regex,
        Err(error) => return vec![error.to_string()],
    };
    let text: String = code_lines(source).flat_map(|(_, line)| [line, "\n"]).collect();
    attribute
        .find_iter(&text)
        .filter(|found| {
            let explained = match found.as_str().contains("ignore") {
                true => found.as_str().contains('='),
                false => found.as_str().contains("reason"),
            };
            !explained
        })
        .map(|found| {
            let number = text[..found.start()].lines().count() + 1;
            format!("{}:{number}: {} without a reason", source.path, found.as_str())
        })
        .collect()
}

/// The lines with their numbers; comments are blank.
fn code_lines(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    source.text.lines().enumerate().map(|(index, line)| {
        let comment = line.trim_start().starts_with("//");
        (index + 1, if comment { "" } else { line })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    // The attributes are put together here so that the check does not find this file.
    const CFG: &str = concat!("#[cfg(target_", "arch = \"x86_64\")]\nfn f() {}\n");

    #[test]
    fn architecture_stays_in_its_folders() {
        assert_eq!(architecture_leaks(&source("kernel/src/mm/mod.rs", CFG)).len(), 1);
        assert_eq!(architecture_leaks(&source("boot/stub/src/main.rs", CFG)).len(), 1);
        let spread = concat!("#[cfg(any(\n    target_", "arch = \"x86_64\",\n))]\n");
        assert_eq!(architecture_leaks(&source("kernel/src/mm/mod.rs", spread)).len(), 1);
        for path in [
            "kernel/src/arch/mod.rs",
            "libsys/src/arch.rs",
            "boot/stub/src/arch/mod.rs",
            "kernel/build.rs",
            "tools/x/a.rs",
        ] {
            assert!(architecture_leaks(&source(path, CFG)).is_empty(), "{path}");
        }
        let comment = format!("// {CFG}");
        assert!(architecture_leaks(&source("kernel/src/a.rs", &comment)).is_empty());
    }

    #[test]
    fn exceptions_need_a_reason() {
        let count = |text: &str| unexplained_exceptions(&source("a.rs", text)).len();
        assert_eq!(count(concat!("fn a() {}\n#[", "allow(dead_code)]")), 1);
        assert_eq!(count(concat!("#![", "allow(\n  dead_code,\n)]")), 1);
        assert_eq!(count(concat!("#[", "expect(dead_code, reason = \"used on aarch64\")]")), 0);
        assert_eq!(count(concat!("#[", "ignore]")), 1);
        assert_eq!(count(concat!("#[", "ignore = \"needs a network\"]")), 0);
        assert_eq!(count(concat!("// #[", "allow(dead_code)]")), 0);
        let named = unexplained_exceptions(&source("a.rs", concat!("\n\n#[", "allow(x)]")));
        assert!(named[0].starts_with("a.rs:3:"), "{named:?}");
    }

    #[test]
    fn long_files_are_found() {
        assert!(too_long(&source("a.rs", &"\n".repeat(LONGEST))).is_none());
        assert!(too_long(&source("a.rs", &"\n".repeat(LONGEST + 1))).is_some());
    }
}
