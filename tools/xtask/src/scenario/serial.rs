//! What a guest prints for machines, among its lines for people:
//! `@test NAME ok|fail|skip TEXT`, `@bench KEY min=N median=N max=N rounds=N`, `@exit CODE`.

/// How a test in the guest ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Ok,
    Fail,
    Skip,
}

/// A `@test` line.
#[derive(PartialEq, Eq, Debug)]
pub struct TestLine {
    pub name: String,
    pub outcome: Outcome,
    pub text: String,
}

/// A `@bench` line.
#[derive(PartialEq, Eq, Debug, Clone)]
pub struct BenchLine {
    pub key: String,
    pub min: u64,
    pub median: u64,
    pub max: u64,
    pub rounds: u64,
}

/// A line of the serial port.
#[derive(PartialEq, Eq, Debug)]
pub enum Line {
    Test(TestLine),
    Bench(BenchLine),
    Exit(i64),
    /// It starts like one of the above and is not: a failure, never text.
    Malformed,
    Text,
}

/// What `line` says.
pub fn parse(line: &str) -> Line {
    let Some(rest) = line.strip_prefix('@') else { return Line::Text };
    let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let parsed = match word {
        "test" => test(rest).map(Line::Test),
        "bench" => bench(rest).map(Line::Bench),
        "exit" => rest.trim().parse().ok().map(Line::Exit),
        _ => return Line::Text,
    };
    parsed.unwrap_or(Line::Malformed)
}

fn test(rest: &str) -> Option<TestLine> {
    let mut words = rest.splitn(3, ' ');
    let name = words.next().filter(|name| !name.is_empty())?.to_string();
    let outcome = match words.next()? {
        "ok" => Outcome::Ok,
        "fail" => Outcome::Fail,
        "skip" => Outcome::Skip,
        _ => return None,
    };
    Some(TestLine { name, outcome, text: words.next().unwrap_or("").trim().to_string() })
}

fn bench(rest: &str) -> Option<BenchLine> {
    let mut words = rest.split_whitespace();
    let key = words.next()?.to_string();
    let mut number =
        |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok();
    let line = BenchLine {
        key,
        min: number("min")?,
        median: number("median")?,
        max: number("max")?,
        rounds: number("rounds")?,
    };
    words.next().is_none().then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_lines() {
        let line = |name: &str, outcome, text: &str| {
            Line::Test(TestLine { name: name.into(), outcome, text: text.into() })
        };
        assert_eq!(parse("@test handle_revoke ok"), line("handle_revoke", Outcome::Ok, ""));
        assert_eq!(parse("@test a fail got 3, not 4"), line("a", Outcome::Fail, "got 3, not 4"));
        assert_eq!(parse("@test a skip one CPU"), line("a", Outcome::Skip, "one CPU"));
    }

    #[test]
    fn bench_lines() {
        let line = BenchLine { key: "irq_cycle".into(), min: 1, median: 2, max: 3, rounds: 1000 };
        assert_eq!(parse("@bench irq_cycle min=1 median=2 max=3 rounds=1000"), Line::Bench(line));
    }

    #[test]
    fn malformed_lines_are_not_text() {
        for line in [
            "@test",
            "@test ",
            "@test a",
            "@test a okay",
            "@test a OK",
            "@exit",
            "@exit done",
            "@bench k min=1 median=2 max=3",
            "@bench k median=2 min=1 max=3 rounds=4",
            "@bench k min=-1 median=2 max=3 rounds=4",
            "@bench k min=1 median=2 max=3 rounds=4 more=5",
        ] {
            assert_eq!(parse(line), Line::Malformed, "{line}");
        }
    }

    #[test]
    fn other_lines_are_text() {
        for line in ["", "init: started", " @test a ok", "@", "@other x"] {
            assert_eq!(parse(line), Line::Text, "{line}");
        }
        assert_eq!(parse("@exit 0"), Line::Exit(0));
    }
}
