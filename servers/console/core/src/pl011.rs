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
/// UARTCR: the UART (bit 0) and its transmitter (bit 8) are on.
const TRANSMITTER_ON: u32 = 1 << 0 | 1 << 8;

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

/// A PL011 that is used for output only, at the speed at which firmware left it: nothing
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

    /// Switches its interrupts off and its transmitter on, where a register can do that.
    pub fn new(mut registers: R, variant: Variant) -> Self {
        registers.write(offset::INTERRUPT_MASK, 0);
        if variant == Variant::Whole {
            let control = registers.read(offset::CONTROL);
            // Not written without need: DDI 0183G §3.3.8 wants the UART off while it changes.
            if control & TRANSMITTER_ON != TRANSMITTER_ON {
                registers.write(offset::CONTROL, control | TRANSMITTER_ON);
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
                    // Clear to send and empty receiver (bits 0 and 4) mean nothing here.
                    full | busy | 0x11
                }
                offset::CONTROL if self.variant == Variant::Whole => self.control,
                other => panic!("register {other:#x} was read"),
            }
        }

        fn write(&mut self, offset: u64, value: u32) {
            match offset {
                offset::DATA => {
                    self.overrun |= self.fifo == 16;
                    self.fifo += 1;
                    if self.control & TRANSMITTER_ON == TRANSMITTER_ON {
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
    fn the_transmitter_is_switched_on_and_the_rest_left_as_it_was() {
        // Reset value: receiver and transmitter on, UART off (DDI 0183G §3.3.8).
        for (before, after) in [(0x300, 0x301), (0, 0x101), (0xcf01, 0xcf01 | 0x100)] {
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
