//! What a scenario types at the guest's serial port, and when.

use regex::Regex;
use serde::Deserialize;

/// One piece of typing.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// A regular expression: typed once the first line is seen that matches it, after the
    /// pieces before this one.
    pub after: String,
    /// What is typed.
    pub text: String,
    /// How often, one after another.
    #[serde(default = "once")]
    pub times: usize,
}

fn once() -> usize {
    1
}

/// Waits for the lines, and says what to type.
pub struct Typist {
    rest: std::vec::IntoIter<(Regex, Vec<u8>)>,
    next: Option<(Regex, Vec<u8>)>,
    /// The line that has not ended yet.
    line: Vec<u8>,
}

impl Typist {
    /// Over a scenario's pieces, in their order.
    pub fn new(inputs: &[Input]) -> Result<Self, regex::Error> {
        let piece = |input: &Input| {
            let text = input.text.repeat(input.times);
            Ok((Regex::new(&input.after)?, text.into_bytes()))
        };
        let pieces: Result<Vec<_>, _> = inputs.iter().map(piece).collect();
        let mut rest = pieces?.into_iter();
        let next = rest.next();
        Ok(Self { rest, next, line: Vec::new() })
    }

    /// Whether anything is left to type.
    pub fn is_done(&self) -> bool {
        self.next.is_none()
    }

    /// What is to be typed after `serial`, which continues what came before.
    pub fn heard(&mut self, serial: &[u8]) -> Vec<u8> {
        let mut typed = Vec::new();
        for &byte in serial {
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let line = String::from_utf8_lossy(&self.line);
            if let Some((_, text)) = self.next.take_if(|(after, _)| after.is_match(&line)) {
                typed.extend(text);
                self.next = self.rest.next();
            }
            self.line.clear();
        }
        typed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typist(pieces: &[(&str, &str, usize)]) -> Typist {
        let input = |&(after, text, times): &(&str, &str, usize)| Input {
            after: after.into(),
            text: text.into(),
            times,
        };
        Typist::new(&pieces.iter().map(input).collect::<Vec<_>>()).expect("good")
    }

    #[test]
    fn each_piece_waits_for_its_line() {
        let mut typist = typist(&[("^ready$", "a\n", 1), ("ready", "b", 2)]);
        assert_eq!(typist.heard(b"not yet\nrea"), b"");
        assert_eq!(typist.heard(b"dy\nmore\n"), b"a\n");
        // One line never answers two pieces.
        assert!(!typist.is_done());
        assert_eq!(typist.heard(b"ready again"), b"");
        assert_eq!(typist.heard(b"\nready\n"), b"bb");
        assert!(typist.is_done());
        assert_eq!(typist.heard(b"ready\n"), b"");
    }

    #[test]
    fn nothing_to_type() {
        let mut typist = typist(&[]);
        assert!(typist.is_done());
        assert_eq!(typist.heard(b"\n\n"), b"");
    }
}
