//! I/O ports.

use tocsin_abi::Error;
use x86_64::instructions::port::Port;

/// Reads a port; the width has been checked.
///
/// # Errors
/// None here: x86 has ports.
pub fn io_read(port: u16, width: u64) -> Result<u64, Error> {
    // In each: what the device does with the access is the affair of the handle's holder.
    let value = match width {
        1 => u64::from(read_u8(port)),
        // SAFETY: an I/O port read can not touch the kernel's memory; the caller's handle
        // covers the port.
        2 => u64::from(unsafe { Port::<u16>::new(port).read() }),
        // SAFETY: as for two bytes.
        _ => u64::from(unsafe { Port::<u32>::new(port).read() }),
    };
    Ok(value)
}

/// Writes a port; the width has been checked.
///
/// # Errors
/// None here: x86 has ports.
pub fn io_write(port: u16, width: u64, value: u64) -> Result<(), Error> {
    match width {
        1 => write_u8(port, value as u8),
        // SAFETY: as in `io_read`.
        2 => unsafe { Port::<u16>::new(port).write(value as u16) },
        _ => write_u32(port, value as u32),
    }
    Ok(())
}

/// Reads a byte from a port of the kernel's own (serial port, PIT).
pub fn read_u8(port: u16) -> u8 {
    // SAFETY: the kernel touches fixed legacy ports only, whose reads change nothing it
    // relies on.
    unsafe { Port::<u8>::new(port).read() }
}

/// Writes a byte.
pub fn write_u8(port: u16, value: u8) {
    // SAFETY: as in `io_read` and `read_u8`.
    unsafe { Port::<u8>::new(port).write(value) };
}

/// Writes a double word.
pub fn write_u32(port: u16, value: u32) {
    // SAFETY: as in `io_read` and `read_u8`.
    unsafe { Port::<u32>::new(port).write(value) };
}
