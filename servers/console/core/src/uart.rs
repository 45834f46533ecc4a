//! A 16550 UART, driven through a register trait. National Semiconductor PC16550D data
//! sheet, section 8 (registers); every PC's COM1 is compatible to it.

use crate::wait::{Clock, UartState, wait};

/// Offsets from the first port.
mod offset {
    pub const DATA: u16 = 0;
    pub const INTERRUPT_ENABLE: u16 = 1;
    pub const FIFO_CONTROL: u16 = 2;
    pub const LINE_CONTROL: u16 = 3;
    pub const MODEM_CONTROL: u16 = 4;
    pub const LINE_STATUS: u16 = 5;
}

/// LCR: divisor latch access (bit 7); 8 data bits, no parity, one stop bit (bits 1:0).
const DIVISOR_LATCH: u8 = 0x80;
const EIGHT_BITS: u8 = 0x03;
/// FCR: FIFOs on and emptied, and an interrupt when 8 bytes were received, or when fewer have
/// waited for the time of four (bits 7:6 = 10).
const FIFO_ON_CLEAR: u8 = 0x87;
/// MCR: data terminal ready, request to send; and OUT2, which on a PC lets the interrupt out.
const TERMINAL_READY: u8 = 0x0b;
/// IER bit 0: an interrupt when something was received.
const RECEIVED: u8 = 1 << 0;
/// LSR bit 0: a byte was received.
const DATA_READY: u8 = 1 << 0;
/// LSR bit 5: the transmitter's FIFO is empty.
const TRANSMITTER_EMPTY: u8 = 1 << 5;
/// Bytes that fit once the FIFO is empty.
const FIFO_BYTES: usize = 16;

/// The UART's eight ports, and a clock.
pub trait Registers: Clock {
    /// Reads the register at `offset`.
    fn read(&mut self, offset: u16) -> u8;
    /// Writes the register at `offset`.
    fn write(&mut self, offset: u16, value: u8);
}

/// A UART. Output is polled; input can be asked for by interrupt.
#[derive(Debug)]
pub struct Uart<R> {
    registers: R,
    state: UartState,
}

impl<R: Registers> Uart<R> {
    /// Longest wait for an empty FIFO. 16 bytes take 1.4 ms at 115200 baud.
    const WAIT_NS: u64 = 20_000_000;

    /// Sets 115200 baud, 8 data bits, no parity, one stop bit, and empties the FIFOs.
    pub fn new(mut registers: R) -> Self {
        // A floating bus reads all ones; LSR bit 7 and 6 are never set with bits 4 to 0 all set.
        if registers.read(offset::LINE_STATUS) == 0xff {
            return Self { registers, state: UartState::Absent };
        }
        let mut uart = Self { registers, state: UartState::Works };
        // What the kernel wrote last may still be in the FIFO that is about to be emptied.
        uart.wait_empty();
        uart.state = UartState::Works;
        for (at, value) in [
            (offset::INTERRUPT_ENABLE, 0),
            (offset::LINE_CONTROL, DIVISOR_LATCH | EIGHT_BITS),
            (offset::DATA, 1), // divisor 1: 115200 baud
            (offset::INTERRUPT_ENABLE, 0),
            (offset::LINE_CONTROL, EIGHT_BITS),
            (offset::FIFO_CONTROL, FIFO_ON_CLEAR),
            (offset::MODEM_CONTROL, TERMINAL_READY),
        ] {
            uart.registers.write(at, value);
        }
        uart
    }

    /// Whether bytes go out.
    pub fn state(&self) -> UartState {
        self.state
    }

    /// Sends one line and its end. The wait for each FIFO of bytes is bounded; a UART that
    /// does not take them in time loses the rest of the line, not the console.
    pub fn print(&mut self, line: &str) {
        if self.state == UartState::Absent {
            return;
        }
        let mut room = 0;
        for byte in line.bytes().chain(*b"\r\n") {
            if room == 0 {
                if !self.wait_empty() {
                    return;
                }
                room = FIFO_BYTES;
            }
            self.registers.write(offset::DATA, byte);
            room -= 1;
        }
    }

    /// Waits until everything that was sent has left the FIFO.
    pub fn flush(&mut self) {
        if self.state == UartState::Works {
            self.wait_empty();
        }
    }

    /// Sends bytes as they are, as far as the UART takes them.
    pub fn send(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(FIFO_BYTES) {
            if self.state == UartState::Absent || !self.wait_empty() {
                return;
            }
            chunk.iter().for_each(|byte| self.registers.write(offset::DATA, *byte));
        }
    }

    /// Asks for an interrupt when there is input. What is there already makes one at once, and on
    /// a wire that had gone high for it before, a new edge.
    pub fn listen(&mut self) {
        if self.state != UartState::Absent {
            self.registers.write(offset::INTERRUPT_ENABLE, 0);
            self.registers.write(offset::INTERRUPT_ENABLE, RECEIVED);
        }
    }

    /// Asks for no more interrupts.
    pub fn ignore(&mut self) {
        if self.state != UartState::Absent {
            self.registers.write(offset::INTERRUPT_ENABLE, 0);
        }
    }

    /// The next byte that was received.
    pub fn receive(&mut self) -> Option<u8> {
        if self.state == UartState::Absent
            || self.registers.read(offset::LINE_STATUS) & DATA_READY == 0
        {
            return None;
        }
        Some(self.registers.read(offset::DATA))
    }

    fn wait_empty(&mut self) -> bool {
        wait(&mut self.registers, &mut self.state, Self::WAIT_NS, |registers| {
            registers.read(offset::LINE_STATUS) & TRANSMITTER_EMPTY != 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// A UART that has room for `room` bytes, then needs `polls` looks to be empty again.
    #[derive(Default)]
    struct Fake {
        sent: Vec<u8>,
        overrun: bool,
        room: usize,
        polls: usize,
        left: usize,
        time: u64,
        latch: bool,
        received: Vec<u8>,
        enabled: Vec<u8>,
        modem: u8,
    }

    impl Registers for &mut Fake {
        fn read(&mut self, offset: u16) -> u8 {
            if offset == offset::DATA && !self.latch {
                return self.received.remove(0);
            }
            assert_eq!(offset, offset::LINE_STATUS);
            let ready = if self.received.is_empty() { 0 } else { DATA_READY };
            if self.polls == usize::MAX {
                return ready;
            }
            if self.left > 0 {
                self.left -= 1;
                return ready;
            }
            self.room = FIFO_BYTES;
            TRANSMITTER_EMPTY | ready
        }

        fn write(&mut self, offset: u16, value: u8) {
            match offset {
                offset::INTERRUPT_ENABLE if !self.latch => self.enabled.push(value),
                offset::MODEM_CONTROL => self.modem = value,
                offset::LINE_CONTROL => self.latch = value & DIVISOR_LATCH != 0,
                offset::DATA if !self.latch => {
                    self.overrun |= self.room == 0;
                    self.room = self.room.saturating_sub(1);
                    self.left = self.polls;
                    self.sent.push(value);
                }
                _ => {}
            }
        }
    }

    impl Clock for &mut Fake {
        fn now_ns(&mut self) -> u64 {
            self.time += 1_000_000;
            self.time
        }
    }

    #[test]
    fn lines_go_out_whole_and_never_overrun_the_fifo() {
        let mut fake = Fake { polls: 3, ..Fake::default() };
        let mut uart = Uart::new(&mut fake);
        uart.print("a line that is longer than one FIFO of sixteen bytes");
        uart.print("b");
        assert_eq!(uart.state(), UartState::Works);
        assert!(!fake.overrun);
        assert_eq!(fake.sent, b"a line that is longer than one FIFO of sixteen bytes\r\nb\r\n");
    }

    /// Data sheet 8.6: IER bit 0; MCR bit 3 is OUT2.
    #[test]
    fn input_comes_by_interrupt_and_in_order() {
        let mut fake = Fake { received: b"ab".to_vec(), ..Fake::default() };
        let mut uart = Uart::new(&mut fake);
        uart.registers.enabled.clear();
        uart.listen();
        assert_eq!(uart.receive(), Some(b'a'));
        assert_eq!(uart.receive(), Some(b'b'));
        assert_eq!(uart.receive(), None);
        uart.ignore();
        uart.send(b"twenty bytes and more");
        // Off and on: what waits already is a new edge.
        assert_eq!(fake.enabled, [0, 1, 0]);
        assert_eq!((fake.modem & 8, fake.overrun), (8, false));
        assert_eq!(fake.sent, b"twenty bytes and more");
    }

    #[test]
    fn a_stuck_uart_costs_a_bounded_wait_once() {
        let mut fake = Fake { polls: usize::MAX, ..Fake::default() };
        let mut uart = Uart::new(&mut fake);
        uart.print("lost");
        assert_eq!(uart.state(), UartState::Stuck);
        let waited = uart.registers.time;
        uart.print("lost too");
        assert!(uart.registers.time <= waited + 1_000_000, "one look, no second wait");
        uart.registers.polls = 0;
        uart.print("back");
        assert_eq!(fake.sent, b"back\r\n");
    }

    #[test]
    fn an_absent_uart_is_left_alone() {
        struct Floating;
        impl Registers for Floating {
            fn read(&mut self, _: u16) -> u8 {
                0xff
            }
            fn write(&mut self, _: u16, _: u8) {
                panic!("nothing is there to write to");
            }
        }
        impl Clock for Floating {
            fn now_ns(&mut self) -> u64 {
                0
            }
        }
        let mut uart = Uart::new(Floating);
        uart.print("nobody reads this");
        uart.send(b"nor this");
        uart.listen();
        uart.ignore();
        assert_eq!(uart.receive(), None);
        assert_eq!(uart.state(), UartState::Absent);
    }
}
