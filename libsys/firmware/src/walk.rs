//! From the root pointer to a table, through physical memory.

use crate::{
    Error, SDT_HEADER_BYTES, Signature, Table,
    bytes::{array, sum, u8_at, u32_at, u64_at},
};

/// More tables than this in one root table is taken for garbage (real machines have about 40).
pub const MAX_TABLES: usize = 256;

/// A longer table than this is taken for garbage (the largest, DSDT and SSDTs, are some 100 KiB and not read here).
pub const MAX_TABLE_BYTES: usize = 1 << 20;

/// Bytes of an ACPI 1.0 RSDP, and what its first checksum covers (ACPI §5.2.5.3).
const RSDP_V1_BYTES: usize = 20;
/// Bytes of an ACPI 2.0 RSDP.
pub(crate) const RSDP_V2_BYTES: usize = 36;

/// The memory that a [`PhysReader`] was asked for cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// How to read physical memory: through the direct map in the kernel, through a mapping in `init`, from a vector in tests.
pub trait PhysReader {
    /// Fills `into` from physical memory at `address`. Must refuse what it cannot read; must not fault.
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Unreadable>;
}

impl<R: PhysReader + ?Sized> PhysReader for &R {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Unreadable> {
        (**self).read(address, into)
    }
}

pub(crate) fn read(reader: &impl PhysReader, address: u64, into: &mut [u8]) -> Result<(), Error> {
    // A range that wraps around the address space is refused here, so that no reader needs to think of it.
    address.checked_add(into.len() as u64).ok_or(Error::Unreadable { address })?;
    reader.read(address, into).map_err(|Unreadable| Error::Unreadable { address })
}

pub(crate) fn read_array<const N: usize>(
    reader: &impl PhysReader,
    address: u64,
) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    read(reader, address, &mut bytes)?;
    Ok(bytes)
}

/// Where a table is and what its header says; the checksum is verified when it is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableLocation {
    /// The table's name.
    pub signature: Signature,
    /// Physical address of its header.
    pub address: u64,
    /// Bytes, header included: at least [`SDT_HEADER_BYTES`], at most [`MAX_TABLE_BYTES`].
    pub length: usize,
}

impl TableLocation {
    /// Reads and checks the header at `address`.
    pub fn at(reader: &impl PhysReader, address: u64) -> Result<Self, Error> {
        let header: [u8; SDT_HEADER_BYTES] = read_array(reader, address)?;
        let what = "ACPI table";
        let length = u32_at(&header, 4, what)?;
        match usize::try_from(length) {
            // The end must exist, so that offsets into the table can be added without a check.
            Ok(bytes)
                if (SDT_HEADER_BYTES..=MAX_TABLE_BYTES).contains(&bytes)
                    && address.checked_add(length.into()).is_some() =>
            {
                Ok(Self {
                    signature: Signature::new(array(&header, 0, what)?),
                    address,
                    length: bytes,
                })
            }
            _ => Err(Error::BadLength { what, length: length.into() }),
        }
    }

    /// The first `N` bytes of the table, whose checksum is verified where it lies; zeros where it is shorter. For tables
    /// of which only fields at fixed places are wanted, where there is no memory for a copy.
    pub(crate) fn prefix<const N: usize>(
        &self,
        reader: &impl PhysReader,
    ) -> Result<([u8; N], usize), Error> {
        checksum_in_place(reader, self)?;
        let mut bytes = [0; N];
        let there = self.length.min(N);
        read(reader, self.address, &mut bytes[..there])?;
        Ok((bytes, there))
    }

    /// Copies the table to the front of `into` and verifies it there (a copy cannot change after the check).
    pub fn copy<'b>(
        &self,
        reader: &impl PhysReader,
        into: &'b mut [u8],
    ) -> Result<Table<'b>, Error> {
        let available = into.len();
        let target =
            into.get_mut(..self.length).ok_or(Error::NoSpace { needed: self.length, available })?;
        read(reader, self.address, target)?;
        Table::parse_as(target, self.signature)
    }
}

/// A checked RSDP together with the place and size of the root table that it names.
#[derive(Clone, Copy, Debug)]
pub struct Root {
    rsdp: [u8; RSDP_V2_BYTES],
    rsdp_bytes: usize,
    table: TableLocation,
    pointer_bytes: u64,
    count: usize,
}

impl Root {
    /// Reads the RSDP at `address` and the header of its XSDT, or of its RSDT on machines of ACPI 1.0.
    pub fn read(reader: &impl PhysReader, address: u64) -> Result<Self, Error> {
        let what = "RSDP";
        let v1: [u8; RSDP_V1_BYTES] = read_array(reader, address)?;
        if !v1.starts_with(b"RSD PTR ") {
            return Err(Error::NotRsdp { address });
        }
        let bad = Error::BadChecksum { signature: Signature::RSDP };
        if sum(&v1) != 0 {
            return Err(bad);
        }
        let mut rsdp = [0; RSDP_V2_BYTES];
        rsdp[..RSDP_V1_BYTES].copy_from_slice(&v1);
        let mut rsdp_bytes = RSDP_V1_BYTES;
        let mut xsdt = 0;
        // Revision 0 is ACPI 1.0; from 2 on, length, XSDT and a checksum over the whole structure follow (§5.2.5.3).
        if u8_at(&v1, 15, what)? >= 2 {
            rsdp = read_array(reader, address)?;
            let length = u32_at(&rsdp, 20, what)?;
            // The extended checksum covers `length` bytes; the specification knows 36 only.
            if length as usize != RSDP_V2_BYTES {
                return Err(Error::BadLength { what, length: length.into() });
            }
            if sum(&rsdp) != 0 {
                return Err(bad);
            }
            rsdp_bytes = RSDP_V2_BYTES;
            xsdt = u64_at(&rsdp, 24, what)?;
        }
        let rsdt = u32_at(&rsdp, 16, what)?;
        // "An ACPI-compatible OS must use the XSDT if present" (§5.2.8).
        let (address, expected, pointer_bytes) = match (xsdt, rsdt) {
            (0, 0) => return Err(Error::NoRootTable),
            (0, rsdt) => (rsdt.into(), Signature::RSDT, 4),
            (xsdt, _) => (xsdt, Signature::XSDT, 8),
        };
        let table = TableLocation::at(reader, address)?;
        if table.signature != expected {
            return Err(Error::WrongSignature { expected, found: table.signature });
        }
        let count = (table.length - SDT_HEADER_BYTES) / pointer_bytes as usize;
        if count > MAX_TABLES {
            return Err(Error::TooManyTables { count });
        }
        checksum_in_place(reader, &table)?;
        Ok(Self { rsdp, rsdp_bytes, table, pointer_bytes, count })
    }

    /// The RSDP's own bytes, as they were checked.
    pub fn rsdp(&self) -> &[u8] {
        &self.rsdp[..self.rsdp_bytes]
    }

    /// The root table itself.
    pub fn root_table(&self) -> TableLocation {
        self.table
    }

    /// The tables that the root table lists, each with its header checked. A pointer to nonsense is one `Err` item; the
    /// walk goes on behind it, since one bad table is no reason to lose the others.
    pub fn entries<'r, R: PhysReader>(&'r self, reader: &'r R) -> RootEntries<'r, R> {
        RootEntries { root: self, reader, next: 0 }
    }

    /// The `nth` table with this signature (some, such as SSDT, come several times).
    pub fn find(
        &self,
        reader: &impl PhysReader,
        signature: Signature,
        nth: usize,
    ) -> Result<TableLocation, Error> {
        self.entries(reader)
            .flatten()
            .filter(|table| table.signature == signature)
            .nth(nth)
            .ok_or(Error::NotFound { signature, nth })
    }
}

/// Verifies a table's checksum without a buffer of its size.
pub(crate) fn checksum_in_place(
    reader: &impl PhysReader,
    table: &TableLocation,
) -> Result<(), Error> {
    let mut total = 0u8;
    let mut done = 0;
    while done < table.length {
        let mut chunk = [0; 64];
        let bytes = (table.length - done).min(chunk.len());
        read(reader, table.address + done as u64, &mut chunk[..bytes])?;
        total = total.wrapping_add(sum(&chunk[..bytes]));
        done += bytes;
    }
    if total == 0 { Ok(()) } else { Err(Error::BadChecksum { signature: table.signature }) }
}

/// See [`Root::entries`].
#[derive(Debug)]
pub struct RootEntries<'r, R> {
    root: &'r Root,
    reader: &'r R,
    next: usize,
}

impl<R: PhysReader> Iterator for RootEntries<'_, R> {
    type Item = Result<TableLocation, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next < self.root.count {
            let offset = SDT_HEADER_BYTES as u64 + self.next as u64 * self.root.pointer_bytes;
            let address = self.root.table.address + offset;
            self.next += 1;
            let pointer = if self.root.pointer_bytes == 8 {
                read_array(self.reader, address).map(u64::from_le_bytes)
            } else {
                read_array(self.reader, address).map(|bytes| u32::from_le_bytes(bytes).into())
            };
            match pointer {
                // Firmware leaves empty entries behind when it drops a table; they mean nothing.
                Ok(0) => continue,
                Ok(pointer) => return Some(TableLocation::at(self.reader, pointer)),
                Err(error) => return Some(Err(error)),
            }
        }
        None
    }
}
