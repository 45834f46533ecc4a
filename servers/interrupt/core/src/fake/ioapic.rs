//! An IOAPIC at register level (82093AA datasheet §2.3, §3; EOI register as in ICH and later;
//! how an entry becomes a message: VT-d §5.1.5.1 figure, which AMD's is a case of).
//!
//! It keeps what the datasheet leaves open as bad as it may be: Remote IRR stays when a pin is
//! made an edge pin, an edge on a masked pin is forgotten, a directed EOI releases every level
//! pin with that vector.

use crate::Pair;
use crate::ioapic::{IoApicRegisters, offset, register};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::cell::RefCell;

const MASKED: u64 = 1 << 16;
const LEVEL: u64 = 1 << 15;
const REMOTE_IRR: u64 = 1 << 14;
const ACTIVE_LOW: u64 = 1 << 13;
const DELIVERY_PENDING: u64 = 1 << 12;
const READ_ONLY: u64 = REMOTE_IRR | DELIVERY_PENDING;

/// What kind of chip.
#[derive(Clone, Copy, Debug)]
pub struct ChipOptions {
    /// IOAPICVER 7:0; an EOI register from 0x20 on.
    pub version: u8,
    /// How many pins.
    pub pins: u8,
    /// Messages stay on their way until [`IoApicModel::deliver`].
    pub slow_delivery: bool,
}

impl Default for ChipOptions {
    fn default() -> Self {
        Self { version: 0x20, pins: 24, slow_delivery: false }
    }
}

/// A message that the chip has sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// Which pin.
    pub pin: u8,
    /// The write: address 11:4 and 19:12 out of bits 55:48 and 63:56, address 2 out of bit 11;
    /// data 10:0 as they stand, 15 the trigger mode.
    pub pair: Pair,
}

struct Pin {
    entry: u64,
    /// The wire is high.
    high: bool,
    /// An edge that has not become a message yet.
    edge: bool,
}

struct Chip {
    options: ChipOptions,
    pins: Vec<Pin>,
    select: u32,
    sent: Vec<Sent>,
    violations: Vec<String>,
    writes: u32,
    /// An edge on a pin, after so many register writes.
    interloper: Option<(u32, u8)>,
}

/// The chip, as tests hold it.
#[derive(Clone)]
pub struct IoApicModel(Rc<RefCell<Chip>>);

/// Its page, as the driver holds it.
pub struct ModelChip(Rc<RefCell<Chip>>);

impl IoApicModel {
    /// All pins as after reset: masked, wires low.
    pub fn new(options: ChipOptions) -> Self {
        let pin = || Pin { entry: MASKED, high: false, edge: false };
        let pins = (0..options.pins).map(|_| pin()).collect();
        let (sent, violations) = (Vec::new(), vec![]);
        let chip = Chip { options, pins, select: 0, sent, violations, writes: 0, interloper: None };
        Self(Rc::new(RefCell::new(chip)))
    }

    /// For the driver.
    pub fn registers(&self) -> ModelChip {
        ModelChip(self.0.clone())
    }

    /// What firmware leaves behind: an entry with any bits, status bits included.
    pub fn leave(&self, pin: u8, entry: u64) {
        self.0.borrow_mut().pins[usize::from(pin)].entry = entry;
    }

    /// A wire goes high or low.
    pub fn drive(&self, pin: u8, high: bool) {
        self.0.borrow_mut().drive(pin, high);
    }

    /// A wire goes to its active side and back: an edge.
    pub fn pulse(&self, pin: u8) {
        let low = self.0.borrow().pins[usize::from(pin)].entry & ACTIVE_LOW != 0;
        self.drive(pin, !low);
        self.drive(pin, low);
    }

    /// An edge on `pin` in the middle of what the driver does: after `writes` more writes.
    pub fn pulse_after(&self, writes: u32, pin: u8) {
        let mut chip = self.0.borrow_mut();
        chip.interloper = Some((chip.writes + writes, pin));
    }

    /// A CPU without EOI suppression ends a level interrupt: every chip hears of it.
    pub fn broadcast_eoi(&self, vector: u8) {
        self.0.borrow_mut().end_of_interrupt(vector);
    }

    /// What is on its way arrives.
    pub fn deliver(&self) {
        self.0.borrow_mut().pins.iter_mut().for_each(|pin| pin.entry &= !DELIVERY_PENDING);
    }

    /// What was sent since this was last asked.
    pub fn sent(&self) -> Vec<Sent> {
        core::mem::take(&mut self.0.borrow_mut().sent)
    }

    /// An entry's bits.
    pub fn entry(&self, pin: u8) -> u64 {
        self.0.borrow().pins[usize::from(pin)].entry
    }

    /// What the driver did that a live entry does not allow.
    pub fn violations(&self) -> Vec<String> {
        self.0.borrow().violations.clone()
    }
}

impl Chip {
    fn drive(&mut self, number: u8, high: bool) {
        let pin = &mut self.pins[usize::from(number)];
        let rises = pin.high != high && high == (pin.entry & ACTIVE_LOW == 0);
        pin.high = high;
        // "Edge sensitive interrupts are ignored when masked" (§3.2.4, interrupt mask).
        if rises && pin.entry & (LEVEL | MASKED) == 0 {
            pin.edge = true;
        }
        self.service(number);
    }

    /// Sends what a pin has to send.
    fn service(&mut self, number: u8) {
        let pin = &mut self.pins[usize::from(number)];
        if pin.entry & MASKED != 0 {
            return;
        }
        let level = pin.entry & LEVEL != 0;
        if level {
            let stands = pin.high == (pin.entry & ACTIVE_LOW == 0);
            if !stands || pin.entry & REMOTE_IRR != 0 {
                return;
            }
            pin.entry |= REMOTE_IRR;
        } else if !core::mem::take(&mut pin.edge) {
            return;
        }
        if self.options.slow_delivery {
            pin.entry |= DELIVERY_PENDING;
        }
        let entry = pin.entry;
        let address = 0xfee0_0000 | (entry >> 48 & 0xff) << 4 | (entry >> 56) << 12;
        let address = address | (entry >> 11 & 1) << 2;
        let data = (entry & 0x7ff) as u32 | if level { 0xc000 } else { 0 };
        self.sent.push(Sent { pin: number, pair: Pair { address, data } });
    }

    fn end_of_interrupt(&mut self, vector: u8) {
        for number in 0..self.options.pins {
            let pin = &mut self.pins[usize::from(number)];
            if pin.entry & LEVEL != 0 && pin.entry as u8 == vector {
                pin.entry &= !REMOTE_IRR;
                self.service(number);
            }
        }
    }

    fn register(&self) -> Option<(usize, bool)> {
        let index = (self.select & 0xff).checked_sub(register::REDIRECTION.into())?;
        let pin = index as usize / 2;
        (pin < self.pins.len()).then_some((pin, index % 2 == 1))
    }

    fn write_entry(&mut self, number: usize, is_high: bool, value: u32) {
        let former = self.pins[number].entry;
        let (kept, value) = if is_high {
            (former & 0xffff_ffff, u64::from(value) << 32)
        } else {
            (former & !0xffff_ffff, u64::from(value) & !READ_ONLY | former & READ_ONLY)
        };
        let entry = kept | value;
        // An open pin may send at any time: of it, only the mask may change.
        if former & MASKED == 0 && (former ^ entry) & !MASKED != 0 {
            self.violations.push(format!("pin {number}: open, and changed to {entry:#x}"));
        }
        self.pins[number].entry = entry;
        self.service(number as u8);
    }
}

impl IoApicRegisters for ModelChip {
    fn read(&mut self, offset: u16) -> u32 {
        let chip = self.0.borrow();
        match offset {
            offset::SELECT => chip.select,
            offset::WINDOW if chip.select as u8 == register::VERSION => {
                u32::from(chip.options.version) | (u32::from(chip.options.pins) - 1) << 16
            }
            offset::WINDOW => chip.register().map_or(0, |(pin, is_high)| {
                (chip.pins[pin].entry >> if is_high { 32 } else { 0 }) as u32
            }),
            _ => 0,
        }
    }

    fn write(&mut self, offset: u16, value: u32) {
        let mut chip = self.0.borrow_mut();
        match offset {
            offset::SELECT => chip.select = value & 0xff,
            offset::WINDOW => {
                if let Some((pin, is_high)) = chip.register() {
                    chip.write_entry(pin, is_high, value);
                }
            }
            offset::END_OF_INTERRUPT if chip.options.version >= 0x20 => {
                chip.end_of_interrupt(value as u8);
            }
            offset::END_OF_INTERRUPT => {
                chip.violations.push(String::from("EOI to a chip that has no such register"));
            }
            _ => chip.violations.push(format!("a write to offset {offset:#x}")),
        }
        chip.writes += 1;
        if let Some((when, pin)) = chip.interloper
            && chip.writes >= when
        {
            chip.interloper = None;
            // To the active side and back, whatever side that is by now.
            let rest = chip.pins[usize::from(pin)].entry & ACTIVE_LOW != 0;
            chip.drive(pin, !rest);
            chip.drive(pin, rest);
        }
    }
}
