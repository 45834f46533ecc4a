//! A PL011 UART, driven through a register trait. Arm PrimeCell UART (PL011) technical
//! reference manual, DDI 0183G, chapter 3; for the part of it that any Arm server has, Arm Base
//! System Architecture, DEN 0094, appendix B.

use crate::wait::{Clock, UartState, wait};

/// Offsets of the registers (DDI 0183G, table 3-1).
mod offset {
    pub const DATA: u64 = 0x00;
    pub const FLAGS: u64 = 0x18;
    pub const CONTROL: u64 = 0x30;
    pub const INTERRUPT_MASK: u64 = 0x38;
}

/// UARTFR: busy (bit 3), transmit FIFO full (bit 5).
const BUSY: u32 = 1 << 3;
const TRANSMIT_FULL: u32 = 1 << 5;
/// UARTFR: receive FIFO empty (bit 4).
const RECEIVE_EMPTY: u32 = 1 << 4;
/// UARTCR: the UART (bit 0), its transmitter (bit 8) and its receiver (bit 9) are on.
const ALL_ON: u32 = 1 << 0 | 1 << 8 | 1 << 9;
/// UARTIMSC: receive (bit 4), and receive timeout (bit 6): fewer bytes than the FIFO's mark.
const RECEIVED: u32 = 1 << 4 | 1 << 6;
/// UARTDR: framing, parity and break errors of this byte (bits 8 to 10).
const BROKEN: u32 = 0x700;

/// Bytes of the deepest FIFO.
const DEEPEST_FIFO: usize = 32;

/// The UART's registers, and a clock.
pub trait Pl011Registers: Clock {
    /// Reads the 32-bit register at `offset`.
    fn read(&mut self, offset: u64) -> u32;
    /// Writes the 32-bit register at `offset`.
    fn write(&mut self, offset: u64, value: u32);
}

/// Which registers there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variant {
    /// All.
    Whole,
    /// Those of the base system architecture, which has none to set the UART up with.
    Generic,
}

/// A PL011. Output is polled; input can be asked for by interrupt. It runs at the speed at which firmware left it: nothing
/// says how fast its clock runs.
#[derive(Debug)]
pub struct Pl011<R> {
    registers: R,
    state: UartState,
}

impl<R: Pl011Registers> Pl011<R> {
    /// Longest wait for room, or for the last byte to leave. 32 bytes, the deepest FIFO, take
    /// 34 ms at 9600 baud.
    const WAIT_NS: u64 = 50_000_000;

    /// Switches its interrupts off, and transmitter and receiver on, where a register can do that.
    pub fn new(mut registers: R, variant: Variant) -> Self {
        registers.write(offset::INTERRUPT_MASK, 0);
        if variant == Variant::Whole {
            let control = registers.read(offset::CONTROL);
            // Not written without need: DDI 0183G §3.3.8 wants the UART off while it changes.
            if control & ALL_ON != ALL_ON {
                registers.write(offset::CONTROL, control | ALL_ON);
            }
        }
        Self { registers, state: UartState::Works }
    }

    /// Whether bytes go out.
    pub fn state(&self) -> UartState {
        self.state
    }

    /// Sends one line and its end. The wait for each byte's room is bounded; a UART that does
    /// not take them in time loses the rest of the line, not the console.
    pub fn print(&mut self, line: &str) {
        for byte in line.bytes().chain(*b"\r\n") {
            if !self.wait(TRANSMIT_FULL) {
                return;
            }
            self.registers.write(offset::DATA, byte.into());
        }
    }

    /// Waits until everything that was sent has left.
    pub fn flush(&mut self) {
        if self.state == UartState::Works {
            self.wait(BUSY);
        }
    }

    /// Sends bytes as they are, as far as the UART takes them.
    pub fn send(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if !self.wait(TRANSMIT_FULL) {
                return;
            }
            self.registers.write(offset::DATA, (*byte).into());
        }
    }

    /// Asks for an interrupt for as long as there is input.
    pub fn listen(&mut self) {
        self.registers.write(offset::INTERRUPT_MASK, RECEIVED);
    }

    /// Asks for no more interrupts.
    pub fn ignore(&mut self) {
        self.registers.write(offset::INTERRUPT_MASK, 0);
    }

    /// The next byte that was received whole. Reading is all that takes the interrupt back: UARTICR
    /// would also forget bytes that are still there.
    pub fn receive(&mut self) -> Option<u8> {
        // More broken ones in a row than any FIFO holds wait for the next call.
        for _ in 0..DEEPEST_FIFO {
            if self.registers.read(offset::FLAGS) & RECEIVE_EMPTY != 0 {
                return None;
            }
            let data = self.registers.read(offset::DATA);
            if data & BROKEN == 0 {
                return Some(data as u8);
            }
        }
        None
    }

    /// Waits until these flags are clear.
    fn wait(&mut self, flags: u32) -> bool {
        wait(&mut self.registers, &mut self.state, Self::WAIT_NS, |registers| {
            registers.read(offset::FLAGS) & flags == 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// A PL011 with a FIFO of 16 bytes that sends one byte in `looks_per_byte` looks at the
    /// flags, if its transmitter is on.
    struct Model {
        variant: Variant,
        control: u32,
        mask: u32,
        fifo: usize,
        looks_per_byte: usize,
        looks: usize,
        sent: Vec<u8>,
        overrun: bool,
        time: u64,
        received: Vec<u32>,
    }

    /// `looks_per_byte` of one that does not send.
    const NEVER: usize = usize::MAX;

    impl Model {
        fn new(variant: Variant, control: u32, looks_per_byte: usize) -> Self {
            Model {
                variant,
                control,
                mask: 0x7ff,
                fifo: 0,
                looks_per_byte,
                looks: 0,
                sent: Vec::new(),
                overrun: false,
                time: 0,
                received: Vec::new(),
            }
        }
    }

    impl Clock for &mut Model {
        fn now_ns(&mut self) -> u64 {
            self.time += 1_000_000;
            self.time
        }
    }

    impl Pl011Registers for &mut Model {
        fn read(&mut self, offset: u64) -> u32 {
            match offset {
                offset::FLAGS => {
                    self.looks += 1;
                    if self.looks_per_byte != NEVER && self.looks >= self.looks_per_byte {
                        self.looks = 0;
                        self.fifo = self.fifo.saturating_sub(1);
                    }
                    let full = if self.fifo == 16 { TRANSMIT_FULL } else { 0 };
                    let busy = if self.fifo > 0 { BUSY } else { 0 };
                    let empty = if self.received.is_empty() { RECEIVE_EMPTY } else { 0 };
                    // Clear to send (bit 0) means nothing here.
                    full | busy | empty | 0x01
                }
                offset::CONTROL if self.variant == Variant::Whole => self.control,
                offset::DATA => self.received.remove(0),
                other => panic!("register {other:#x} was read"),
            }
        }

        fn write(&mut self, offset: u64, value: u32) {
            match offset {
                offset::DATA => {
                    self.overrun |= self.fifo == 16;
                    self.fifo += 1;
                    if self.control & 0x101 == 0x101 {
                        self.sent.push(value as u8);
                    }
                }
                offset::CONTROL if self.variant == Variant::Whole => self.control = value,
                offset::INTERRUPT_MASK => self.mask = value,
                other => panic!("register {other:#x} was written"),
            }
        }
    }

    #[test]
    fn lines_go_out_whole_and_never_overrun_the_fifo() {
        let mut model = Model::new(Variant::Whole, 0x301, 3);
        let mut uart = Pl011::new(&mut model, Variant::Whole);
        uart.print("a line that is longer than one FIFO of sixteen bytes");
        uart.print("b");
        assert_eq!(uart.state(), UartState::Works);
        uart.flush();
        assert_eq!((model.overrun, model.mask, model.fifo), (false, 0, 0));
        assert_eq!(model.sent, b"a line that is longer than one FIFO of sixteen bytes\r\nb\r\n");
    }

    #[test]
    fn both_sides_are_switched_on_and_the_rest_left_as_it_was() {
        // Reset value: receiver and transmitter on, UART off (DDI 0183G §3.3.8).
        for (before, after) in [(0x300, 0x301), (0, 0x301), (0xc001, 0xc301), (0xcf01, 0xcf01)] {
            let mut model = Model::new(Variant::Whole, before, 1);
            Pl011::new(&mut model, Variant::Whole).print("on");
            assert_eq!((model.control, &model.sent[..]), (after, &b"on\r\n"[..]));
        }
    }

    #[test]
    fn the_generic_one_has_no_control_register() {
        let mut model = Model::new(Variant::Generic, 0x301, 1);
        Pl011::new(&mut model, Variant::Generic).print("generic");
        assert_eq!(model.sent, b"generic\r\n");
    }

    /// DDI 0183G §3.3.1, §3.3.10: data in bits 7:0, errors above; interrupts 4 and 6.
    #[test]
    fn what_came_broken_is_left_out() {
        let mut model = Model::new(Variant::Generic, 0x301, 1);
        model.received = [0x61, 0x162, 0x263, 0x400, 0x864].into();
        let mut uart = Pl011::new(&mut model, Variant::Generic);
        uart.listen();
        assert_eq!(uart.registers.mask, 0x50);
        assert_eq!(uart.receive(), Some(b'a'));
        // An overrun lost the bytes after this one, which is good.
        assert_eq!(uart.receive(), Some(b'd'));
        assert_eq!(uart.receive(), None);
        uart.ignore();
        uart.send(b"ok");
        assert_eq!((model.mask, &model.sent[..]), (0, &b"ok"[..]));
    }

    #[test]
    fn broken_bytes_without_end_cost_a_bounded_time() {
        let mut model = Model::new(Variant::Generic, 0x301, 1);
        model.received = alloc::vec![0x400; 100];
        let mut uart = Pl011::new(&mut model, Variant::Generic);
        assert_eq!(uart.receive(), None);
        assert_eq!(model.received.len(), 100 - DEEPEST_FIFO);
    }

    #[test]
    fn a_stuck_uart_costs_a_bounded_wait_once() {
        let mut model = Model::new(Variant::Whole, 0x301, NEVER);
        let mut uart = Pl011::new(&mut model, Variant::Whole);
        uart.print("fills the FIFO and more");
        assert_eq!(uart.state(), UartState::Stuck);
        let waited = uart.registers.time;
        assert!(waited <= 52_000_000, "{waited}");
        uart.print("lost too");
        assert!(uart.registers.time <= waited + 1_000_000, "one look, no second wait");
        uart.flush();
        uart.registers.looks_per_byte = 1;
        uart.print("back");
        assert_eq!(uart.state(), UartState::Works);
        assert!(model.sent.ends_with(b"back\r\n") && !model.overrun);
    }
}
