//! Plain text out of what a serial port carries: UEFI firmware and Limine draw on it as on a
//! terminal before the kernel starts.

/// Drops carriage returns and ECMA-48 control sequences as bytes come in. Where a sequence moves
/// to the first column, a line ends.
#[derive(Default)]
pub struct Plain {
    state: State,
    /// Parameter bytes of the sequence so far.
    parameters: Vec<u8>,
    /// Whether the last byte given out ended a line.
    in_line: bool,
}

#[derive(Default, Clone, Copy)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and `[`, until a final byte.
    Sequence,
}

impl Plain {
    /// The plain text in `bytes`, which continue those of the last call.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            match (self.state, byte) {
                (State::Text, 0x1b) => self.state = State::Escape,
                (State::Text, b'\r') => {}
                (State::Text, _) => {
                    plain.push(byte);
                    self.in_line = byte != b'\n';
                }
                (State::Escape, b'[') => {
                    self.parameters.clear();
                    self.state = State::Sequence;
                }
                (State::Escape, _) => self.state = State::Text,
                (State::Sequence, 0x40..=0x7e) => {
                    self.state = State::Text;
                    if byte == b'H' && self.first_column() && self.in_line {
                        plain.push(b'\n');
                        self.in_line = false;
                    }
                }
                (State::Sequence, _) => self.parameters.push(byte),
            }
        }
        plain
    }

    /// Whether the parameters of a cursor position (`row;column`, each 1 if absent) say column 1.
    fn first_column(&self) -> bool {
        let column = self.parameters.split(|&byte| byte == b';').nth(1).unwrap_or(b"");
        column.iter().all(|&digit| digit == b'0')
            || column.ends_with(b"1") && {
                column[..column.len() - 1].iter().all(|&digit| digit == b'0')
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(pieces: &[&str]) -> String {
        let mut filter = Plain::default();
        let bytes = pieces.iter().flat_map(|piece| filter.push(piece.as_bytes())).collect();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn sequences_and_carriage_returns_go() {
        assert_eq!(plain(&["\x1b[2J\x1b[01;01H@exit 0\r\nabc\x1b[1;31m!\r\n"]), "@exit 0\nabc!\n");
        assert_eq!(plain(&["a\x1bcb"]), "ab");
    }

    #[test]
    fn first_column_ends_a_line() {
        assert_eq!(plain(&["ab\x1b[10;01Hcd\x1b[Hef\x1b[10;11Hg"]), "ab\ncd\nefg");
        // An empty line is not worth another end.
        assert_eq!(plain(&["ab\n\x1b[10;01Hcd"]), "ab\ncd");
    }

    #[test]
    fn sequences_may_come_in_pieces() {
        assert_eq!(plain(&["a\x1b", "[1", "0;1", "1Hb\x1b[", "2;1Hc"]), "ab\nc");
    }
}
