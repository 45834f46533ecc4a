//! Whole lines out of pieces from many writers.

use alloc::collections::VecDeque;
use alloc::string::String;

/// Bytes of a line that is kept while it waits for its end; a longer one is printed in
/// parts, each as a line of its own.
pub const LINE_BYTES: usize = 1024;
/// Writers with an unfinished line that are remembered.
pub const WRITERS: usize = 32;

/// Unfinished lines, one for each writer. Bounded: what it holds never exceeds
/// [`WRITERS`] × [`LINE_BYTES`], whatever the writers do.
#[derive(Debug, Default)]
pub struct Lines {
    /// The writer who wrote last is at the back.
    open: VecDeque<(u64, String)>,
}

impl Lines {
    /// Nothing is waiting.
    #[must_use]
    pub const fn new() -> Self {
        Self { open: VecDeque::new() }
    }

    /// Takes a piece of `writer`'s text and calls `print` with every line that is complete
    /// by it, without the line end. Control characters other than tab and escape are
    /// dropped: a carriage return in one program's text must not overwrite another's.
    pub fn write(&mut self, writer: u64, text: &str, mut print: impl FnMut(&str)) {
        let place = self.open.iter().position(|(other, _)| *other == writer);
        let mut line = place
            .and_then(|place| self.open.remove(place))
            .map_or_else(String::new, |(_, line)| line);
        for character in text.chars() {
            if character == '\n' {
                print(&line);
                line.clear();
                continue;
            }
            if character.is_control() && !matches!(character, '\t' | '\x1b') {
                continue;
            }
            if line.len() + character.len_utf8() > LINE_BYTES {
                print(&line);
                line.clear();
            }
            line.push(character);
        }
        if line.is_empty() {
            return;
        }
        if self.open.len() >= WRITERS
            && let Some((_, oldest)) = self.open.pop_front()
        {
            print(&oldest);
        }
        self.open.push_back((writer, line));
    }

    /// Prints what `writer` has not finished, as a line.
    pub fn flush(&mut self, writer: u64, print: impl FnMut(&str)) {
        if self.open.iter().any(|(other, _)| *other == writer) {
            self.write(writer, "\n", print);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn write(lines: &mut Lines, writer: u64, text: &str) -> Vec<String> {
        let mut printed = Vec::new();
        lines.write(writer, text, |line| printed.push(line.to_string()));
        printed
    }

    #[test]
    fn pieces_of_two_writers_do_not_mix() {
        let mut lines = Lines::new();
        assert!(write(&mut lines, 1, "one ").is_empty());
        assert_eq!(write(&mut lines, 2, "other\n"), ["other"]);
        assert_eq!(write(&mut lines, 1, "line\nand"), ["one line"]);
        let mut rest = Vec::new();
        lines.flush(1, |line| rest.push(line.to_string()));
        lines.flush(1, |line| rest.push(line.to_string()));
        assert_eq!(rest, ["and"]);
    }

    #[test]
    fn control_characters_can_not_hide_a_line() {
        let mut lines = Lines::new();
        assert_eq!(write(&mut lines, 1, "a\rb\x07\tc\n\n"), ["ab\tc", ""]);
    }

    #[test]
    fn a_writer_too_many_ends_the_oldest_line() {
        let mut lines = Lines::new();
        for writer in 0..WRITERS as u64 {
            assert!(write(&mut lines, writer, "x").is_empty());
        }
        // Writer 0 writes again, so writer 1 has the oldest line now.
        assert!(write(&mut lines, 0, "y").is_empty());
        assert_eq!(write(&mut lines, 99, "z"), ["x"]);
        assert_eq!(write(&mut lines, 0, "\n"), ["xy"]);
        assert_eq!(write(&mut lines, 1, "w\n"), ["w"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_reordered_or_kept_without_bound(
            pieces in prop::collection::vec((0u64..40, "[a-zß\n]{0,600}"), 0..60),
        ) {
            let mut lines = Lines::new();
            let mut printed = 0;
            let mut written = 0;
            for (writer, text) in &pieces {
                written += text.chars().filter(|c| *c != '\n').count();
                for line in write(&mut lines, *writer, text) {
                    prop_assert!(line.len() <= LINE_BYTES);
                    printed += line.chars().count();
                }
                prop_assert!(lines.open.len() <= WRITERS);
            }
            for writer in 0..40 {
                lines.flush(writer, |line| printed += line.chars().count());
            }
            prop_assert_eq!(printed, written);
        }
    }
}
