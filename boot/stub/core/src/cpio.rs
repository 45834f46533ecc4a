//! Reader for the "new ASCII" cpio format (magic `070701`), as cpio(5) describes it.
//!
//! The well-known reader crates end the iteration silently at the first damaged header, so that a
//! cut archive looks like a short one. A boot loader must tell the two apart: this reader says
//! where and how an archive is damaged, and an archive without its trailer is damaged.

use core::fmt;

/// One file: its name and its bytes, both inside the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Name, without the NUL that ends it in the archive.
    pub name: &'a str,
    /// Contents.
    pub data: &'a [u8],
}

/// What is wrong with an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The archive ends inside a header or before the trailer.
    HeaderCut,
    /// The magic is not `070701`.
    BadMagic,
    /// A header field is not eight hexadecimal digits.
    BadNumber,
    /// The archive ends inside a name.
    NameCut,
    /// A name is empty, not UTF-8, or its only NUL is not its last byte.
    BadName,
    /// The archive ends inside a file.
    DataCut,
    /// A directory, link or device: a bundle holds regular files only.
    NotAFile,
}

/// A damaged archive: what, and at which byte the damaged entry starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpioError {
    /// Offset of the header of the damaged entry.
    pub offset: usize,
    /// What is wrong with it.
    pub damage: Damage,
}

impl fmt::Display for CpioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.damage {
            Damage::HeaderCut => "it ends where a file header should be (truncated)",
            Damage::BadMagic => "there is no cpio \"newc\" header",
            Damage::BadNumber => "a header field is not a hexadecimal number",
            Damage::NameCut => "it ends inside a file name (truncated)",
            Damage::BadName => "a file name is not NUL-terminated UTF-8",
            Damage::DataCut => "it ends inside a file (truncated)",
            Damage::NotAFile => "an entry is not a regular file",
        };
        write!(f, "{what}, entry at byte {}", self.offset)
    }
}

/// Length of a header: the magic and 13 fields of eight digits.
const HEADER: usize = 6 + 13 * 8;
/// Name of the entry that ends an archive.
const TRAILER: &[u8] = b"TRAILER!!!\0";

/// Field numbers in the header, in its own order.
mod field {
    pub const MODE: usize = 1;
    pub const FILESIZE: usize = 6;
    pub const NAMESIZE: usize = 11;
}

/// Iterates over the files of an archive. Ends at the trailer, or after the first error.
#[derive(Clone, Debug)]
pub struct Files<'a> {
    archive: &'a [u8],
    offset: usize,
    done: bool,
}

impl<'a> Files<'a> {
    /// Starts at the beginning of `archive`.
    pub const fn new(archive: &'a [u8]) -> Self {
        Self { archive, offset: 0, done: false }
    }

    /// Reads the entry at `offset`; `None` is the trailer.
    fn read(&mut self) -> Result<Option<Entry<'a>>, Damage> {
        let header = range(self.archive, self.offset, HEADER).ok_or(Damage::HeaderCut)?;
        if &header[..6] != b"070701" {
            return Err(Damage::BadMagic);
        }
        let number = |index: usize| hexadecimal(&header[6 + index * 8..][..8]);
        let mode = number(field::MODE).ok_or(Damage::BadNumber)?;
        let data_size = number(field::FILESIZE).ok_or(Damage::BadNumber)?;
        let name_size = number(field::NAMESIZE).ok_or(Damage::BadNumber)?;

        let name_at = self.offset + HEADER;
        let name = range(self.archive, name_at, name_size).ok_or(Damage::NameCut)?;
        if name == TRAILER {
            return Ok(None);
        }
        let (&end, text) = name.split_last().ok_or(Damage::BadName)?;
        if end != 0 || text.is_empty() || text.contains(&0) {
            return Err(Damage::BadName);
        }
        let text = core::str::from_utf8(text).map_err(|_| Damage::BadName)?;
        const TYPE_MASK: usize = 0o170_000;
        const REGULAR: usize = 0o100_000;
        if mode & TYPE_MASK != REGULAR {
            return Err(Damage::NotAFile);
        }

        // Header with name, and data, are each padded to four bytes.
        let data_at = align4(name_at + name_size).ok_or(Damage::DataCut)?;
        let data = range(self.archive, data_at, data_size).ok_or(Damage::DataCut)?;
        self.offset = align4(data_at + data_size).ok_or(Damage::DataCut)?;
        Ok(Some(Entry { name: text, data }))
    }
}

impl<'a> Iterator for Files<'a> {
    type Item = Result<Entry<'a>, CpioError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let offset = self.offset;
        let result = self.read();
        self.done = !matches!(result, Ok(Some(_)));
        result.map_err(|damage| CpioError { offset, damage }).transpose()
    }
}

fn range(bytes: &[u8], start: usize, length: usize) -> Option<&[u8]> {
    bytes.get(start..start.checked_add(length)?)
}

fn align4(value: usize) -> Option<usize> {
    Some(value.checked_add(3)? & !3)
}

/// Eight hexadecimal digits. `from_str_radix` would also take a sign.
fn hexadecimal(digits: &[u8]) -> Option<usize> {
    digits
        .iter()
        .try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)? as usize))
}
