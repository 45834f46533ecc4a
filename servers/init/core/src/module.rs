//! Boot modules: `<name> crc32=<8 hex digits>` and bytes that must have that sum.

use core::fmt;

/// A module's line, as the image builder wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModuleLine<'a> {
    /// Program or file name.
    pub name: &'a str,
    /// CRC-32/IEEE of all its bytes.
    pub crc32: u32,
}

/// Why a module is not used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ModuleError {
    /// The line is not `<name> crc32=<8 hex digits>`.
    BadLine,
    /// The bytes have another sum than the line says.
    Corrupt {
        /// What the line says.
        expected: u32,
        /// What the bytes have.
        found: u32,
    },
}

impl fmt::Display for ModuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModuleError::BadLine => f.write_str("its line is not `<name> crc32=<8 hex digits>`"),
            ModuleError::Corrupt { expected, found } => {
                write!(f, "corrupt: CRC-32 is {found:08x}, should be {expected:08x}")
            }
        }
    }
}

impl<'a> ModuleLine<'a> {
    /// Reads a module's line. Exactly two words, the sum with exactly eight digits: a
    /// cut-off line must not pass for a shorter sum.
    ///
    /// # Errors
    /// [`ModuleError::BadLine`].
    pub fn parse(line: &'a str) -> Result<Self, ModuleError> {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(sum), None) = (words.next(), words.next(), words.next()) else {
            return Err(ModuleError::BadLine);
        };
        let digits = sum.strip_prefix("crc32=").ok_or(ModuleError::BadLine)?;
        // `from_str_radix` takes a sign as well, so ask for digits first.
        if digits.len() != 8 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ModuleError::BadLine);
        }
        let crc32 = u32::from_str_radix(digits, 16).map_err(|_| ModuleError::BadLine)?;
        Ok(Self { name, crc32 })
    }

    /// Checks the module's bytes.
    ///
    /// # Errors
    /// [`ModuleError::Corrupt`].
    pub fn verify(&self, bytes: &[u8]) -> Result<(), ModuleError> {
        let found = crc32fast::hash(bytes);
        if found == self.crc32 {
            return Ok(());
        }
        Err(ModuleError::Corrupt { expected: self.crc32, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_line_and_the_standard_check_value() {
        // CRC-32/ISO-HDLC: the sum of "123456789" is cbf43926 in every catalogue.
        let line = ModuleLine::parse("init crc32=cbf43926").expect("good line");
        assert_eq!(line, ModuleLine { name: "init", crc32: 0xcbf4_3926 });
        assert_eq!(line.verify(b"123456789"), Ok(()));
        let found = crc32fast::hash(b"123456788");
        assert_eq!(
            line.verify(b"123456788"),
            Err(ModuleError::Corrupt { expected: 0xcbf4_3926, found })
        );
    }

    #[test]
    fn other_lines_are_refused() {
        for line in [
            "",
            "init",
            "init crc32=",
            "init crc32=cbf4392",
            "init crc32=cbf439260",
            "init crc32=+bf43926",
            "init crc32=cbf4392g",
            "init crc32=cbf43926 more",
            "init cbf43926",
        ] {
            assert_eq!(ModuleLine::parse(line), Err(ModuleError::BadLine), "{line}");
        }
    }
}
