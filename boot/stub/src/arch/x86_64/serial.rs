//! The first serial port, COM1, 115200 baud, 8 bits, no parity, one stop bit: the only voice of the
//! stub. Writing waits for the port, since there is nothing else to do.

use core::fmt::{self, Write};
use x86_64::instructions::port::Port;

const COM1: u16 = 0x3f8;

/// Offsets of the 16550's registers.
mod register {
    pub const DATA: u16 = 0;
    pub const INTERRUPT_ENABLE: u16 = 1;
    pub const FIFO_CONTROL: u16 = 2;
    pub const LINE_CONTROL: u16 = 3;
    pub const MODEM_CONTROL: u16 = 4;
    pub const LINE_STATUS: u16 = 5;
}

/// Line status: the transmit register is empty.
const TRANSMIT_EMPTY: u8 = 1 << 5;

/// How often to look at the line status before a byte is given up: a machine without the port
/// must not hang here.
const PATIENCE: u32 = 1_000_000;

/// COM1.
pub struct Serial(());

impl Serial {
    /// Programs the port.
    pub fn program() {
        let settings = [
            (register::INTERRUPT_ENABLE, 0),
            // Divisor latch open, divisor 1: 115200 baud.
            (register::LINE_CONTROL, 0x80),
            (register::DATA, 1),
            (register::INTERRUPT_ENABLE, 0),
            // Latch closed, 8 bits, no parity, one stop bit.
            (register::LINE_CONTROL, 0x03),
            // FIFOs on and emptied.
            (register::FIFO_CONTROL, 0x07),
            // Data terminal ready, request to send.
            (register::MODEM_CONTROL, 0x03),
        ];
        for (offset, value) in settings {
            let mut port = Port::<u8>::new(COM1 + offset);
            // SAFETY: the port is COM1's, which no one else uses while the stub runs; these
            // registers have no effect on memory.
            unsafe { port.write(value) };
        }
    }

    /// The port, programmed or (for the last line) perhaps not.
    pub const fn assume_ready() -> Self {
        Self(())
    }

    fn put(&mut self, byte: u8) {
        let mut status = Port::<u8>::new(COM1 + register::LINE_STATUS);
        let mut data = Port::<u8>::new(COM1 + register::DATA);
        for _ in 0..PATIENCE {
            // SAFETY: reading COM1's line status has no effect on memory.
            if unsafe { status.read() } & TRANSMIT_EMPTY != 0 {
                break;
            }
        }
        // SAFETY: writing COM1's data register has no effect on memory.
        unsafe { data.write(byte) };
    }
}

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.put(byte));
        Ok(())
    }
}
