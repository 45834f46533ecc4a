//! What was typed, as lines.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

/// Bytes of a line; a longer one is cut, and what follows is a line of its own.
pub const INPUT_BYTES: usize = 120;
/// Whole lines that wait for somebody to read them. Beyond, the serial port is not listened to.
pub const INPUT_LINES: usize = 16;

const BACKSPACE: u8 = 0x08;
const DELETE: u8 = 0x7f;
/// Control-U: the whole line.
const KILL: u8 = 0x15;

/// The line that is being typed, and those that are whole. Bounded, whatever is typed.
#[derive(Debug, Default)]
pub struct Input {
    line: Vec<u8>,
    whole: VecDeque<String>,
    /// The last byte was a carriage return: a line feed after it is the same end of line.
    returned: bool,
}

impl Input {
    /// Nothing was typed.
    #[must_use]
    pub const fn new() -> Self {
        Self { line: Vec::new(), whole: VecDeque::new(), returned: false }
    }

    /// Takes a byte, and gives `echo` what a terminal is to show for it. Returns whether a line
    /// is whole now. Not called while [`Input::is_full`]; if it is, the byte is lost.
    pub fn take(&mut self, byte: u8, mut echo: impl FnMut(&[u8])) -> bool {
        if self.is_full() {
            return false;
        }
        let returned = core::mem::replace(&mut self.returned, byte == b'\r');
        match byte {
            b'\n' if returned => false,
            b'\r' | b'\n' => {
                echo(b"\r\n");
                self.end();
                true
            }
            BACKSPACE | DELETE => {
                self.erase(&mut echo);
                false
            }
            KILL => {
                while !self.line.is_empty() {
                    self.erase(&mut echo);
                }
                false
            }
            0..0x20 => false,
            _ => {
                self.line.push(byte);
                echo(&[byte]);
                let is_cut = self.line.len() == INPUT_BYTES;
                if is_cut {
                    echo(b"\r\n");
                    self.end();
                }
                is_cut
            }
        }
    }

    /// The next whole line.
    pub fn read(&mut self) -> Option<String> {
        self.whole.pop_front()
    }

    /// No room for another line.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.whole.len() >= INPUT_LINES
    }

    /// Whether a line waits to be read.
    #[must_use]
    pub fn has_line(&self) -> bool {
        !self.whole.is_empty()
    }

    /// What is being typed.
    #[must_use]
    pub fn typing(&self) -> &[u8] {
        &self.line
    }

    fn end(&mut self) {
        self.whole.push_back(String::from_utf8_lossy(&self.line).into_owned());
        self.line.clear();
    }

    /// One character off, and off the screen.
    fn erase(&mut self, echo: &mut impl FnMut(&[u8])) {
        // Bytes 10xxxxxx continue a character of UTF-8.
        while let Some(byte) = self.line.pop() {
            if byte & 0xc0 != 0x80 {
                echo(b"\x08 \x08");
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn typed(input: &mut Input, bytes: &[u8]) -> (Vec<u8>, usize) {
        let (mut screen, mut lines) = (Vec::new(), 0);
        for byte in bytes {
            lines += usize::from(input.take(*byte, |text| screen.extend_from_slice(text)));
        }
        (screen, lines)
    }

    #[test]
    fn lines_end_in_any_way() {
        let mut input = Input::new();
        let (screen, lines) = typed(&mut input, b"one\rtwo\nthree\r\n\nend");
        assert_eq!(screen, b"one\r\ntwo\r\nthree\r\n\r\nend");
        assert_eq!(lines, 4);
        assert_eq!(input.typing(), b"end");
        for line in ["one", "two", "three", ""] {
            assert_eq!(input.read().as_deref(), Some(line));
        }
        assert_eq!(input.read(), None);
    }

    #[test]
    fn mistakes_are_taken_back() {
        let mut input = Input::new();
        let (screen, _) = typed(&mut input, "aß\u{8}\u{7f}\u{7f}b".as_bytes());
        assert_eq!(screen, "aß\u{8} \u{8}\u{8} \u{8}b".as_bytes());
        typed(&mut input, b"\x15c\x1b\x00d\n");
        assert_eq!(input.read().as_deref(), Some("cd"));
    }

    #[test]
    fn what_is_no_text_is_shown_as_such() {
        let mut input = Input::new();
        typed(&mut input, b"a\xff\n");
        assert_eq!(input.read().as_deref(), Some("a\u{fffd}"));
    }

    #[test]
    fn a_flood_fills_what_there_is_and_no_more() {
        let mut input = Input::new();
        let (_, lines) = typed(&mut input, &[b'x'; 10_000]);
        assert_eq!(lines, INPUT_LINES);
        assert!(input.is_full() && input.typing().is_empty());
        assert_eq!(input.read().map(|line| line.len()), Some(INPUT_BYTES));
        assert!(!input.is_full());
        assert_eq!(typed(&mut input, b"y\n").1, 1);
    }

    proptest! {
        #[test]
        fn bounded_and_in_order(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
            let mut input = Input::new();
            for byte in &bytes {
                input.take(*byte, |_| {});
                prop_assert!(input.typing().len() < INPUT_BYTES);
                if input.is_full() {
                    while input.read().is_some() {}
                }
            }
        }

        #[test]
        fn plain_lines_arrive_as_they_are(lines in prop::collection::vec("[a-z ]{0,100}", 0..16)) {
            let mut input = Input::new();
            typed(&mut input, (lines.join("\n") + "\n").as_bytes());
            let read: Vec<_> = core::iter::from_fn(|| input.read()).collect();
            let lines = if lines.is_empty() { alloc::vec![String::new()] } else { lines };
            prop_assert_eq!(read, lines);
        }
    }
}
