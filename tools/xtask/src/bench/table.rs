//! Measured figures beside the peers' and the targets: as a table, and as JSON.

use super::figures::{
    Bar, CALIBRATION, CALIBRATION_INSTRUCTIONS, CALIBRATION_SLACK, FIGURES, Figure, Peers, ROUNDS,
};
use crate::arch::Arch;
use crate::scenario::serial::BenchLine;
use serde_json::{Value, json};

/// A figure and what was measured.
pub struct Row {
    figure: &'static Figure,
    line: BenchLine,
}

impl Row {
    fn met(&self) -> bool {
        self.figure.bar.is_none_or(|bar| self.line.median <= bar.must_reach)
    }

    /// How the median stands to the targets, in words.
    fn standing(&self) -> String {
        let Some(Bar { must_reach, aim }) = self.figure.bar else { return "no bar is set".into() };
        let median = self.line.median;
        if median <= aim {
            "reached, and the aim".into()
        } else if median <= must_reach {
            format!("reached; {} above the aim", median - aim)
        } else {
            let percent = (median - must_reach) * 100 / must_reach;
            format!("MISSED by {} ({percent} %)", median - must_reach)
        }
    }
}

/// Pairs the printed lines with the figures. The `Err` names everything that is wrong.
pub fn rows(lines: &[BenchLine]) -> Result<Vec<Row>, Vec<String>> {
    let mut wrong = Vec::new();
    let mut find = |key: &str| {
        let found: Vec<&BenchLine> = lines.iter().filter(|line| line.key == key).collect();
        match found[..] {
            [line] => {
                wrong.extend(implausible(line));
                Some(line.clone())
            }
            [] => {
                wrong.push(format!("no @bench line for {key}"));
                None
            }
            _ => {
                wrong.push(format!("{} @bench lines for {key}", found.len()));
                None
            }
        }
    };
    let calibration = find(CALIBRATION);
    let mut rows = Vec::new();
    for figure in &FIGURES {
        rows.extend(find(figure.key).map(|line| Row { figure, line }));
    }
    wrong.extend(calibration.as_ref().and_then(miscounted));
    if wrong.is_empty() { Ok(rows) } else { Err(wrong) }
}

fn implausible(line: &BenchLine) -> Option<String> {
    let BenchLine { key, min, median, max, rounds } = line;
    if !(min <= median && median <= max) {
        return Some(format!("{key}: min {min}, median {median}, max {max} are out of order"));
    }
    // Zero instructions, or zero bytes, is no measurement.
    if *median == 0 {
        return Some(format!("{key}: a median of 0"));
    }
    (*rounds < ROUNDS).then(|| format!("{key}: {rounds} rounds, at least {ROUNDS} are wanted"))
}

/// Why the calibration does not show that the counter counts instructions.
fn miscounted(line: &BenchLine) -> Option<String> {
    let good = CALIBRATION_INSTRUCTIONS..=CALIBRATION_INSTRUCTIONS + CALIBRATION_SLACK;
    (!good.contains(&line.min) || !good.contains(&line.max)).then(|| {
        format!(
            "{CALIBRATION}: {} to {} counted over a loop of {CALIBRATION_INSTRUCTIONS} \
             instructions: the counter does not count instructions",
            line.min, line.max
        )
    })
}

/// The table, for people.
pub fn text(rows: &[Row], arch: Arch) -> String {
    let mut head: Vec<String> =
        ["figure", "min", "median", "max", "rounds"].map(String::from).into();
    head.extend([format!("seL4 {arch}"), format!("Linux {arch}")]);
    head.extend(["must reach", "aim", "standing"].map(String::from));
    let mut cells = vec![head];
    for row in rows {
        let Row { figure, line } = row;
        let peer = |text: &str| if text.is_empty() { "-".to_string() } else { text.to_string() };
        let numbers =
            [line.min, line.median, line.max, line.rounds].map(|number| number.to_string());
        let mut line = vec![figure.key.to_string()];
        line.extend(numbers);
        let Peers { sel4, linux } = figure.peers(arch);
        line.extend([peer(sel4), peer(linux)]);
        let bar = figure.bar.map(|bar| [bar.must_reach, bar.aim].map(|number| number.to_string()));
        line.extend(bar.unwrap_or_else(|| ["-".into(), "-".into()]));
        line.push(row.standing());
        cells.push(line);
    }
    let width = |column: usize| cells.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..cells[0].len()).map(width).collect();
    let mut text = String::new();
    for row in &cells {
        for (column, cell) in row.iter().enumerate() {
            // Names and words to the left, numbers to the right.
            let width = widths[column];
            text += &match column {
                0 => format!("{cell:<width$}"),
                9 => format!("  {cell}"),
                _ => format!("  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
    text
}

/// The last lines: which figures do not reach their bar.
pub fn summary(rows: &[Row]) -> String {
    let judged: Vec<&Row> = rows.iter().filter(|row| row.figure.bar.is_some()).collect();
    let missed: Vec<&&Row> = judged.iter().filter(|row| !row.met()).collect();
    let mut text =
        format!("{} of {} figures reach what they must", judged.len() - missed.len(), judged.len());
    for row in missed {
        text += &format!("\n  {} ({}): {}", row.figure.key, row.figure.about, row.standing());
    }
    text
}

/// The same, for programs.
pub fn json(rows: &[Row], calibration: Option<&BenchLine>, arch: Arch) -> Value {
    let figures: serde_json::Map<String, Value> = rows
        .iter()
        .map(|row| {
            let Row { figure, line } = row;
            let value = json!({
                "unit": figure.unit,
                "min": line.min, "median": line.median, "max": line.max, "rounds": line.rounds,
                "must_reach": figure.bar.map(|bar| bar.must_reach),
                "aim": figure.bar.map(|bar| bar.aim),
                "met": row.met(),
            });
            (figure.key.to_string(), value)
        })
        .collect();
    json!({
        "arch": arch.to_string(),
        "calibration": calibration.map(|line| json!({
            "instructions": CALIBRATION_INSTRUCTIONS, "min": line.min, "max": line.max,
        })),
        "figures": figures,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: &str, median: u64) -> BenchLine {
        BenchLine { key: key.into(), min: median, median, max: median + 5, rounds: ROUNDS }
    }

    fn complete() -> Vec<BenchLine> {
        let mut lines = vec![line(CALIBRATION, CALIBRATION_INSTRUCTIONS + 8)];
        lines.extend(
            FIGURES
                .iter()
                .map(|figure| line(figure.key, figure.bar.map_or(1, |bar| bar.must_reach))),
        );
        lines
    }

    #[test]
    fn complete_lines_make_a_table() {
        let rows = rows(&complete()).expect("nothing is wrong");
        let table = text(&rows, Arch::X86_64);
        assert_eq!(table.lines().count(), 1 + FIGURES.len());
        assert!(table.contains("344 to 363") && table.contains("reached; 100 above the aim"));
        let table = text(&rows, Arch::Aarch64);
        assert!(table.contains("333 to 386") && table.contains("seL4 aarch64"));
        assert!(!table.contains("344 to 363"));
        assert!(summary(&rows).starts_with("7 of 7"));
    }

    #[test]
    fn a_missing_or_doubled_key_is_wrong() {
        let mut lines = complete();
        let last = lines.pop().expect("not empty");
        assert_eq!(rows(&lines).err().map(|wrong| wrong.len()), Some(1));
        lines.extend([last.clone(), last]);
        assert!(rows(&lines).is_err());
        assert!(rows(&complete()[1..]).is_err(), "calibration");
    }

    #[test]
    fn bad_measurements_are_wrong() {
        let broken = |change: fn(&mut BenchLine)| {
            let mut lines = complete();
            change(&mut lines[1]);
            rows(&lines).is_err()
        };
        assert!(broken(|line| line.rounds = ROUNDS - 1));
        assert!(broken(|line| line.min = line.median + 1));
        assert!(broken(|line| (line.min, line.median) = (0, 0)));
    }

    #[test]
    fn counter_of_something_else_is_wrong() {
        let mut lines = complete();
        lines[0] = line(CALIBRATION, CALIBRATION_INSTRUCTIONS * 3);
        assert!(rows(&lines).is_err());
        lines[0] = line(CALIBRATION, CALIBRATION_INSTRUCTIONS - 1);
        assert!(rows(&lines).is_err());
    }

    #[test]
    fn a_missed_target_says_by_how_much() {
        let mut lines = complete();
        lines[1] = line(FIGURES[0].key, 300);
        let rows = rows(&lines).expect("complete");
        assert!(!rows[0].met());
        assert!(summary(&rows).contains("MISSED by 50 (20 %)"));
        assert_eq!(json(&rows, None, Arch::X86_64)["figures"]["irq_to_user"]["met"], false);
    }
}
