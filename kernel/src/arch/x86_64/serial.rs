//! The early console: COM1, polled. The console server takes it over.

use super::ports::{read_u8, write_u8};

const COM1: u16 = 0x3f8;
const LINE_STATUS: u16 = COM1 + 5;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
/// Polls before a character is given up: a machine without a UART must not hang.
const PATIENCE: u32 = 100_000;

/// Sets the line to 115200 baud, 8 bits, no parity (16550 data sheet).
pub fn early_init() {
    for (offset, value) in [(1, 0), (3, 0x80), (0, 1), (1, 0), (3, 3), (2, 0x07), (4, 0x03)] {
        write_u8(COM1 + offset, value);
    }
}

/// Writes text, with carriage returns.
pub fn early_print(text: &[u8]) {
    for &byte in text {
        if byte == b'\n' {
            put(b'\r');
        }
        put(byte);
    }
}

fn put(byte: u8) {
    for _ in 0..PATIENCE {
        if read_u8(LINE_STATUS) & TRANSMITTER_EMPTY != 0 {
            break;
        }
    }
    write_u8(COM1, byte);
}
