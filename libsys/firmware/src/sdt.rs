//! The header that all ACPI system description tables share (ACPI §5.2.6).

use core::fmt;

use crate::{
    Error,
    bytes::{array, sum, u8_at, u32_at},
};

/// Bytes of the shared header; a table's own fields begin here.
pub const SDT_HEADER_BYTES: usize = 36;

/// A table's four-character name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature([u8; 4]);

impl Signature {
    /// Root system description pointer. Its real signature has eight characters; this name stands for it in a
    /// [`crate::blob`] and in errors.
    pub const RSDP: Self = Self(*b"RSDP");
    /// Root system description table (32-bit pointers).
    pub const RSDT: Self = Self(*b"RSDT");
    /// Extended system description table (64-bit pointers).
    pub const XSDT: Self = Self(*b"XSDT");
    /// Multiple APIC description table; its signature is `APIC` (ACPI §5.2.12).
    pub const MADT: Self = Self(*b"APIC");
    /// PCI Express memory-mapped configuration.
    pub const MCFG: Self = Self(*b"MCFG");
    /// DMA remapping reporting.
    pub const DMAR: Self = Self(*b"DMAR");
    /// High precision event timer.
    pub const HPET: Self = Self(*b"HPET");
    /// Fixed ACPI description table; its signature is `FACP` (ACPI §5.2.9).
    pub const FADT: Self = Self(*b"FACP");
    /// Generic timer description.
    pub const GTDT: Self = Self(*b"GTDT");
    /// Serial port console redirection.
    pub const SPCR: Self = Self(*b"SPCR");
    /// I/O remapping.
    pub const IORT: Self = Self(*b"IORT");
    /// AMD I/O virtualization reporting.
    pub const IVRS: Self = Self(*b"IVRS");

    /// A signature from its four characters.
    pub const fn new(name: [u8; 4]) -> Self {
        Self(name)
    }

    /// The four characters.
    pub const fn bytes(self) -> [u8; 4] {
        self.0
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Firmware may put anything here, and this goes to a terminal: escape what is not printable.
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A whole table whose length and checksum have been found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<'a>(&'a [u8]);

impl<'a> Table<'a> {
    /// Checks length and checksum of the table that `bytes` begins with. Bytes after the table are ignored.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let what = "ACPI table";
        let signature = Signature(array(bytes, 0, what)?);
        let length = u32_at(bytes, 4, what)?;
        let length_usize = usize::try_from(length).unwrap_or(usize::MAX);
        if length_usize < SDT_HEADER_BYTES {
            return Err(Error::BadLength { what, length: length.into() });
        }
        let table = bytes.get(..length_usize).ok_or(Error::Truncated {
            what,
            needed: length_usize,
            available: bytes.len(),
        })?;
        if sum(table) != 0 {
            return Err(Error::BadChecksum { signature });
        }
        Ok(Self(table))
    }

    /// [`Table::parse`], and the signature must be the expected one.
    pub fn parse_as(bytes: &'a [u8], expected: Signature) -> Result<Self, Error> {
        // Signature first: "this is another table" is a better answer than "its checksum is wrong".
        let found = Signature(array(bytes, 0, "ACPI table")?);
        if found != expected {
            return Err(Error::WrongSignature { expected, found });
        }
        Self::parse(bytes)
    }

    /// The table's name.
    pub fn signature(self) -> Signature {
        Signature(array(self.0, 0, "").unwrap_or_default())
    }

    /// The table's revision.
    pub fn revision(self) -> u8 {
        u8_at(self.0, 8, "").unwrap_or_default()
    }

    /// All bytes, header included.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }
}
