//! SPCR: the serial port that firmware uses for its console (SPCR).

use crate::{
    Error, Signature, Table,
    bytes::{u8_at, u32_at, u64_at},
};

/// Bytes up to the end of the interrupt.
pub(crate) const PREFIX: usize = 58;

/// What the port is (subtypes of serial ports in the Debug Port Table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SerialPort {
    /// Arm's PL011 (subtype 3).
    Pl011,
    /// The part of it that Arm's base system architecture demands (subtypes 13 and 14).
    Sbsa,
    /// Something else.
    Other(u8),
}

/// The console redirection table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spcr {
    /// What the port is.
    pub port: SerialPort,
    /// Its registers: physical address, or I/O port.
    pub base: u64,
    /// The registers are I/O ports.
    pub is_io: bool,
    /// Its interrupt at the GIC, if it has one there.
    pub gsiv: Option<u32>,
}

impl Spcr {
    /// Checks the table and reads the fields.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::decode(Table::parse_as(bytes, Signature::SPCR)?.bytes())
    }

    /// From the first bytes of a checked table.
    pub(crate) fn decode(table: &[u8]) -> Result<Self, Error> {
        let what = "SPCR";
        // Before revision 2 the byte says only which kind of 16550 it is.
        let interface = if u8_at(table, 8, what)? >= 2 { u8_at(table, 36, what)? } else { 0 };
        let port = match interface {
            3 => SerialPort::Pl011,
            13 | 14 => SerialPort::Sbsa,
            other => SerialPort::Other(other),
        };
        // A generic address structure: space, width, offset, access size, address (ACPI §5.2.3.2).
        let is_io = match u8_at(table, 40, what)? {
            0 => false,
            1 => true,
            value => {
                return Err(Error::BadValue { what: "SPCR address space", value: value.into() });
            }
        };
        let gsiv = u32_at(table, 54, what)?;
        // Bit 3 of the interrupt type: a GIC's.
        let gsiv = (u8_at(table, 52, what)? & 8 != 0).then_some(gsiv);
        Ok(Self { port, base: u64_at(table, 44, what)?, is_io, gsiv })
    }
}
