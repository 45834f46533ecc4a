//! The serial port that this machine has.

use console_core::{Pl011, Uart, UartState, Variant};
use libsys::sys;
use tocsin_abi::Kind;
use tocsin_abi::startup::{Entry, Startup};

use crate::page::Page;
use crate::ports::Com1;

/// Where lines go.
pub enum Output {
    /// A PC's first serial port.
    Com1(Uart<Com1>),
    /// An Arm machine's.
    Pl011(Pl011<Page>),
    /// Nowhere: the machine has none, or none that could be mapped. Everybody's lines are
    /// taken all the same, so that nobody waits for room in the kernel's log.
    Nowhere,
}

impl Output {
    /// From the grant `uart`: what kind of object it is says what kind of port.
    pub fn find(env: &Startup) -> Self {
        env.find("uart").and_then(Self::of).unwrap_or(Self::Nowhere)
    }

    fn of(entry: &Entry) -> Option<Self> {
        let kind = sys::handle_info(entry.handle).ok()?.result;
        match Kind::from_code(u8::try_from(kind).ok()?)? {
            Kind::IoPorts => Some(Self::Com1(Uart::new(Com1::new(entry)))),
            Kind::Physical => {
                // As init found it in the firmware's description.
                let variant = if entry.value == 0 { Variant::Whole } else { Variant::Generic };
                Some(Self::Pl011(Pl011::new(Page::new(entry.handle).ok()?, variant)))
            }
            _ => None,
        }
    }

    /// Sends one line and its end.
    pub fn print(&mut self, line: &str) {
        match self {
            Self::Com1(uart) => uart.print(line),
            Self::Pl011(uart) => uart.print(line),
            Self::Nowhere => {}
        }
    }

    /// Whether anything is there to be typed at.
    pub fn is_there(&self) -> bool {
        match self {
            Self::Com1(uart) => uart.state() != UartState::Absent,
            Self::Pl011(_) => true,
            Self::Nowhere => false,
        }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        match self {
            Self::Com1(uart) => uart.send(bytes),
            Self::Pl011(uart) => uart.send(bytes),
            Self::Nowhere => {}
        }
    }

    /// Asks for an interrupt when there is input, and at once if there is.
    pub fn listen(&mut self) {
        match self {
            Self::Com1(uart) => uart.listen(),
            Self::Pl011(uart) => uart.listen(),
            Self::Nowhere => {}
        }
    }

    /// Asks for none.
    pub fn ignore(&mut self) {
        match self {
            Self::Com1(uart) => uart.ignore(),
            Self::Pl011(uart) => uart.ignore(),
            Self::Nowhere => {}
        }
    }

    /// The next byte of input.
    pub fn receive(&mut self) -> Option<u8> {
        match self {
            Self::Com1(uart) => uart.receive(),
            Self::Pl011(uart) => uart.receive(),
            Self::Nowhere => None,
        }
    }

    /// Waits until everything that was sent has left.
    pub fn flush(&mut self) {
        match self {
            Self::Com1(uart) => uart.flush(),
            Self::Pl011(uart) => uart.flush(),
            Self::Nowhere => {}
        }
    }
}
