//! The register frame of the model distributor.

use super::gicd::{Gicd, GicdModel, affinity_route};
use crate::Pair;
use crate::gicd::{GicdRegisters, Route, Spi, SpiTrigger, offset};
use crate::vtd::Trigger;
use alloc::rc::Rc;
use core::cell::RefCell;

const WRITE_PENDING: u32 = 1 << 31;
const ONE_SECURITY_STATE: u32 = 1 << 6;

/// The frame as the driver holds it.
pub struct GicdFrame(pub(super) Rc<RefCell<Gicd>>);

/// Which of the registers with a bit for each interrupt, and the interrupt of its bit 0.
fn bank(offset: u16, first: u16) -> Option<u32> {
    let place = offset.checked_sub(first)?;
    (place < 0x80 && place.is_multiple_of(4)).then(|| u32::from(place) * 8)
}

impl Gicd {
    /// One 32-bit register made of a bit of each SPI.
    fn gather(&self, first: u32, bit: impl Fn(u32) -> bool) -> u32 {
        (0..32)
            .filter(|&n| self.visible(first + n) && bit(first + n))
            .fold(0, |all, n| all | 1 << n)
    }

    /// The one SPI whose bit is written. More than one is the mark of a read-modify-write.
    fn the_one(&mut self, first: u32, value: u32) -> Option<usize> {
        if !value.is_power_of_two() {
            self.violation("a set or clear register: not one interrupt alone");
            return None;
        }
        let intid = first + value.trailing_zeros();
        if intid < Spi::FIRST || intid as usize >= self.spis.len() {
            self.violation("no such SPI");
            return None;
        }
        self.visible(intid).then_some(intid as usize)
    }

    fn read_control(&mut self) -> u32 {
        let Some(left) = self.busy else { return self.options.control };
        if self.hung || left > 0 {
            self.busy = Some(left.saturating_sub(1));
            return self.options.control | WRITE_PENDING;
        }
        self.busy = None;
        self.spis.iter_mut().for_each(|spi| spi.seen_enabled = spi.enabled);
        self.options.control
    }

    fn read_type(&self) -> u32 {
        let flag = |on: bool, bit: u32| u32::from(on) << bit;
        self.options.lines
            | flag(self.options.two_security_states, 10)
            | flag(self.options.takes_messages, 16)
            | 1 << 17
            | 15 << 19
            | 1 << 24
    }

    fn write_trigger(&mut self, first: u32, value: u32) {
        for (n, intid) in (first..first + 16).enumerate() {
            let bits = value >> (2 * n) & 3;
            if !self.visible(intid) {
                continue;
            }
            let Ok(SpiTrigger(trigger)) = SpiTrigger::decode(bits) else {
                self.violation("GICD_ICFGR: a reserved bit");
                continue;
            };
            let edge = trigger == Trigger::Edge || self.options.always_edge.contains(&intid);
            let spi = &mut self.spis[intid as usize];
            if spi.edge == edge {
                continue;
            }
            let live = spi.enabled || spi.seen_enabled;
            // Allowed (§12.9.9): the driver has to expect it.
            (spi.edge, spi.latch) = (edge, true);
            if live {
                self.violation("GICD_ICFGR changed of an SPI that is enabled");
            }
        }
    }

    fn read_trigger(&self, first: u32) -> u32 {
        let bits = |n: u32| {
            let intid = first + n;
            let edge = self.visible(intid) && self.spis[intid as usize].edge;
            u32::from(edge || self.options.always_edge.contains(&intid)) << (2 * n + 1)
        };
        (0..16).fold(0, |all, n| all | bits(n))
    }

    fn routed(&self, offset: u16) -> Option<usize> {
        let intid = u32::from(offset.checked_sub(offset::ROUTE)?) / 8;
        self.visible(intid).then_some(intid as usize)
    }
}

impl GicdRegisters for GicdFrame {
    fn read32(&mut self, at: u16) -> u32 {
        let mut gicd = self.0.borrow_mut();
        match at {
            offset::CONTROL => return gicd.read_control(),
            offset::TYPE => return gicd.read_type(),
            offset::PERIPHERAL_ID_2 => return gicd.options.version << 4,
            _ => {}
        }
        if let Some(first) = bank(at, offset::GROUP) {
            let seen = gicd.options.control & ONE_SECURITY_STATE != 0;
            return gicd.gather(first, |_| seen);
        }
        let state = |intid: u32| &gicd.spis[intid as usize];
        if let Some(first) = bank(at, offset::SET_ENABLE).or(bank(at, offset::CLEAR_ENABLE)) {
            return gicd.gather(first, |intid| state(intid).enabled);
        }
        if let Some(first) = bank(at, offset::SET_PENDING).or(bank(at, offset::CLEAR_PENDING)) {
            return gicd.gather(first, |intid| state(intid).is_pending());
        }
        if let Some(first) = bank(at, offset::SET_ACTIVE) {
            return gicd.gather(first, |intid| state(intid).active);
        }
        if (offset::TRIGGER..offset::TRIGGER + 0x100).contains(&at) && at.is_multiple_of(4) {
            return gicd.read_trigger(u32::from(at - offset::TRIGGER) * 4);
        }
        gicd.violation("a 32-bit read of no such register (GICD)");
        0
    }

    fn write8(&mut self, at: u16, value: u8) {
        let mut gicd = self.0.borrow_mut();
        let intid = u32::from(at.wrapping_sub(offset::PRIORITY));
        if gicd.visible(intid) {
            // The upper five bits exist.
            gicd.spis[intid as usize].priority = value & 0xf8;
        } else if intid >= gicd.spis.len() as u32 || intid < Spi::FIRST {
            gicd.violation("an 8-bit write of no such register (GICD)");
        }
    }

    fn write32(&mut self, at: u16, value: u32) {
        let mut gicd = self.0.borrow_mut();
        if at == offset::SET_SPI || at == offset::CLEAR_SPI {
            let address = GicdModel::BASE + u64::from(at);
            gicd.message(GicdModel::BASE, Pair { address, data: value });
        } else if let Some(first) = bank(at, offset::SET_ENABLE) {
            if let Some(spi) = gicd.the_one(first, value) {
                (gicd.spis[spi].enabled, gicd.spis[spi].seen_enabled) = (true, true);
            }
        } else if let Some(first) = bank(at, offset::CLEAR_ENABLE) {
            if let Some(spi) = gicd.the_one(first, value)
                && core::mem::take(&mut gicd.spis[spi].enabled)
            {
                gicd.busy = Some(gicd.options.lag);
            }
        } else if let Some(first) = bank(at, offset::SET_PENDING) {
            if let Some(spi) = gicd.the_one(first, value) {
                gicd.spis[spi].latch = true;
            }
        } else if let Some(first) = bank(at, offset::CLEAR_PENDING) {
            if let Some(spi) = gicd.the_one(first, value) {
                gicd.spis[spi].latch = false;
            }
        } else if (offset::TRIGGER + 8..offset::TRIGGER + 0x100).contains(&at)
            && at.is_multiple_of(4)
        {
            gicd.write_trigger(u32::from(at - offset::TRIGGER) * 4, value);
        } else {
            gicd.violation("a 32-bit write of no such register, or of the kernel's (GICD)");
        }
    }

    fn read64(&mut self, at: u16) -> u64 {
        let mut gicd = self.0.borrow_mut();
        if at < offset::ROUTE + 8 * Spi::FIRST as u16 || !at.is_multiple_of(8) {
            gicd.violation("a 64-bit read of no such register (GICD)");
        }
        gicd.routed(at).map_or(0, |spi| gicd.spis[spi].route)
    }

    fn write64(&mut self, at: u16, value: u64) {
        let mut gicd = self.0.borrow_mut();
        if Route::decode(value).is_err() || !at.is_multiple_of(8) {
            gicd.violation("GICD_IROUTER: reserved bits, or no such register");
        }
        let there = (0..gicd.options.cpus.into()).any(|cpu| affinity_route(cpu) == value);
        if let (true, Some(spi)) = (there, gicd.routed(at)) {
            gicd.spis[spi].route = value;
        }
    }
}
