//! Opening a flattened device tree, whoever wrote it.
//!
//! `dtoolkit` reads device trees, and its accessors panic on a blob that is not well formed, so a blob must be checked
//! as a whole first. Its own check also refuses names that are longer than 31 characters or have unusual ones. Trees of
//! real boards have such names (`snps,dis-del-phy-power-chg-quirk` of the Rockchip boards has 32), and every operating
//! system reads them. So the check is done here: exactly what the accessors rely on, and nothing about taste.
//!
//! *DT* is the Devicetree Specification 0.4; chapter 5 has the format.

use core::fmt;
use dtoolkit::fdt::Fdt;

/// Bytes of the header that say what follows and how much: the magic and the total size.
pub const PREFIX: usize = 8;

/// Bytes of a whole header (DT 5.2).
const HEADER: usize = 40;
const MAGIC: u32 = 0xd00d_feed;
/// The version that `dtoolkit` reads: everything since 2005.
const VERSION: u32 = 17;

/// Offsets of the header's fields (DT 5.2).
mod field {
    pub const TOTAL_SIZE: usize = 4;
    pub const STRUCT: usize = 8;
    pub const STRINGS: usize = 12;
    pub const RESERVATIONS: usize = 16;
    pub const VERSION: usize = 20;
    pub const LAST_COMPATIBLE: usize = 24;
    pub const STRINGS_SIZE: usize = 32;
    pub const STRUCT_SIZE: usize = 36;
}

/// Tokens of the structure block (DT 5.4.1).
mod token {
    pub const BEGIN_NODE: u32 = 1;
    pub const END_NODE: u32 = 2;
    pub const PROPERTY: u32 = 3;
    pub const NOP: u32 = 4;
    pub const END: u32 = 9;
}

/// A device tree that cannot be read: what is wrong, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeDamage {
    /// Offset in the blob.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl fmt::Display for TreeDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {:#x} of the device tree)", self.what, self.offset)
    }
}

const fn damage<T>(offset: usize, what: &'static str) -> Result<T, TreeDamage> {
    Err(TreeDamage { offset, what })
}

/// The big-endian number at `at`.
fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The size of the blob that starts with these bytes.
pub fn total_size(prefix: &[u8; PREFIX]) -> Result<usize, TreeDamage> {
    if be_u32(prefix, 0) != Some(MAGIC) {
        return damage(0, "the magic number d00dfeed is missing");
    }
    match be_u32(prefix, field::TOTAL_SIZE) {
        Some(size) if size as usize >= HEADER => Ok(size as usize),
        _ => damage(field::TOTAL_SIZE, "the size is smaller than the header"),
    }
}

/// Checks a blob and opens it. `bytes` may be longer than the blob, not shorter.
pub fn open(bytes: &[u8]) -> Result<Fdt<'_>, TreeDamage> {
    let prefix = bytes.first_chunk().ok_or(TreeDamage { offset: 0, what: "it is too short" })?;
    let size = total_size(prefix)?;
    let Some(bytes) = bytes.get(..size) else {
        return damage(field::TOTAL_SIZE, "it is truncated: the header says that it is longer");
    };
    check(bytes)?;
    // Not `Fdt::new`, for the reason at the top; this constructor is safe, it panics later if `check` missed anything.
    Ok(Fdt::new_unchecked(bytes))
}

/// Checks all that the accessors of `dtoolkit` rely on.
fn check(bytes: &[u8]) -> Result<(), TreeDamage> {
    // In range: `total_size` has seen a whole header.
    let header = |at| be_u32(bytes, at).unwrap_or(0) as usize;
    let oldest = header(field::LAST_COMPATIBLE);
    if !(oldest..=header(field::VERSION)).contains(&(VERSION as usize)) {
        return damage(field::VERSION, "its version cannot be read as version 17");
    }
    let structure = header(field::STRUCT);
    let structure_end = structure + header(field::STRUCT_SIZE);
    let strings = header(field::STRINGS);
    let strings_end = strings + header(field::STRINGS_SIZE);
    if structure < HEADER || structure % 4 != 0 || structure_end > bytes.len() {
        return damage(field::STRUCT, "the structure block is misplaced");
    }
    if strings < HEADER || strings_end > bytes.len() {
        return damage(field::STRINGS, "the strings block is misplaced");
    }
    reservations(bytes, header(field::RESERVATIONS))?;
    let walk = Walk { bytes: &bytes[..structure_end], strings: &bytes[strings..strings_end] };
    walk.run(structure)
}

/// The memory reservation block: pairs of 64-bit numbers up to a pair of zeros (DT 5.3).
fn reservations(bytes: &[u8], start: usize) -> Result<(), TreeDamage> {
    let rest = bytes.get(start..).filter(|_| start >= HEADER).unwrap_or_default();
    if rest.as_chunks::<16>().0.contains(&[0; 16]) {
        Ok(())
    } else {
        damage(start, "the memory reservations have no end")
    }
}

struct Walk<'a> {
    /// The blob up to the end of the structure block.
    bytes: &'a [u8],
    strings: &'a [u8],
}

impl Walk<'_> {
    /// Walks over every token from `start`.
    fn run(&self, start: usize) -> Result<(), TreeDamage> {
        let mut at = start;
        let mut depth = 0_usize;
        // The properties of a node come before its children (DT 5.4.2).
        let mut in_properties = false;
        loop {
            let Some(token) = be_u32(self.bytes, at) else {
                return damage(at, "the structure block ends too early");
            };
            match token {
                token::BEGIN_NODE if depth > 0 || at == start => {
                    depth += 1;
                    in_properties = true;
                    at = self.text(self.bytes, at + 4)?;
                }
                token::PROPERTY if in_properties => at = self.property(at)?,
                token::END_NODE if depth > 0 => {
                    depth -= 1;
                    in_properties = false;
                    at += 4;
                }
                token::END if depth == 0 && at != start => return Ok(()),
                token::NOP if at != start => at += 4,
                _ => return damage(at, "there is a token that does not belong there"),
            }
        }
    }

    /// Checks the property at `at` and returns where the next token is.
    fn property(&self, at: usize) -> Result<usize, TreeDamage> {
        let (Some(length), Some(name)) = (be_u32(self.bytes, at + 4), be_u32(self.bytes, at + 8))
        else {
            return damage(at, "a property is cut off");
        };
        let end = at + 12 + length as usize;
        if end > self.bytes.len() {
            return damage(at, "a property is longer than the tree");
        }
        self.text(self.strings, name as usize)
            .map_err(|_| TreeDamage { offset: at + 8, what: "a property has no name" })?;
        Ok(end.next_multiple_of(4))
    }

    /// Checks a text that ends with NUL and returns where the next token would be.
    fn text(&self, block: &[u8], at: usize) -> Result<usize, TreeDamage> {
        let rest = block.get(at..).unwrap_or_default();
        let length = rest.iter().position(|&byte| byte == 0);
        match length.map(|length| (length, core::str::from_utf8(&rest[..length]))) {
            Some((length, Ok(_))) => Ok((at + length + 1).next_multiple_of(4)),
            _ => damage(at, "a name is not NUL-terminated UTF-8"),
        }
    }
}
