//! One distributor, one SPI at a time.

use super::{DistributorControl, DistributorType, Route, Spi, SpiTrigger, offset};
use crate::its::Priority;
use crate::vtd::Trigger;
use core::fmt;

/// The 64 KiB frame of a distributor. The accesses have the width that their names say, reach
/// the device in program order, and are not merged.
pub trait GicdRegisters {
    /// Reads 32 bits.
    fn read32(&mut self, offset: u16) -> u32;
    /// Writes 8 bits.
    fn write8(&mut self, offset: u16, value: u8);
    /// Writes 32 bits.
    fn write32(&mut self, offset: u16, value: u32);
    /// Reads 64 bits.
    fn read64(&mut self, offset: u16) -> u64;
    /// Writes 64 bits.
    fn write64(&mut self, offset: u16, value: u64);
}

/// A distributor that the kernel has brought up. It remembers nothing about SPIs: hardware
/// does.
pub struct Distributor<R> {
    registers: R,
    kind: DistributorType,
    one_security_state: bool,
    wait_budget: u32,
}

/// Why a distributor was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GicdInitError {
    /// GICD_PIDR2.ArchRev is not that of a GICv3 or GICv4: which it is.
    Version(u8),
    /// GICD_CTLR.ARE_NS is clear: the kernel has not brought it up.
    NoAffinityRouting,
    /// GICD_CTLR.EnableGrp1 is clear: the kernel has not brought it up.
    GroupOff,
}

/// Why an SPI is not as it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpiError {
    /// This distributor has no such SPI (GICD_TYPER.ITLinesNumber).
    NoSuchSpi,
    /// It is in another group, or kept by the secure side: it does not do what is written.
    NotOurs,
    /// Edge or level is fixed, and it is the other one (GICD_ICFGR reads back unchanged).
    TriggerFixed,
    /// GICD_IROUTER did not take this CPU.
    RouteRefused,
    /// That an SPI was disabled was not seen everywhere (GICD_CTLR.RWP) within the budget.
    Timeout,
}

impl fmt::Display for SpiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchSpi => "the distributor has no such SPI (GICD_TYPER.ITLinesNumber)",
            Self::NotOurs => "the SPI is kept by secure firmware",
            Self::TriggerFixed => "the SPI can not be made edge or level (GICD_ICFGR is fixed)",
            Self::RouteRefused => "the SPI can not go to this CPU (GICD_IROUTER)",
            Self::Timeout => "the distributor did not finish a write (GICD_CTLR.RWP stays set)",
        })
    }
}

/// How an SPI is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpiSetup {
    /// Edge or level.
    pub trigger: Trigger,
    /// What the kernel gives devices.
    pub priority: Priority,
    /// Its CPU.
    pub route: Route,
}

impl<R: GicdRegisters> Distributor<R> {
    /// Checks that this is a distributor in service. Changes nothing. `wait_budget` is how
    /// often GICD_CTLR.RWP is looked at before a wait is given up.
    pub fn new(mut registers: R, wait_budget: u32) -> Result<Self, GicdInitError> {
        // GICD_PIDR2.ArchRev (7:4), §12.9.
        let version = (registers.read32(offset::PERIPHERAL_ID_2) >> 4 & 0xf) as u8;
        if !(3..=4).contains(&version) {
            return Err(GicdInitError::Version(version));
        }
        let control = DistributorControl::decode(registers.read32(offset::CONTROL));
        if !control.affinity_routing() {
            return Err(GicdInitError::NoAffinityRouting);
        }
        if !control.group_1_enabled() {
            return Err(GicdInitError::GroupOff);
        }
        let kind = DistributorType::decode(registers.read32(offset::TYPE));
        let one_security_state = control.one_security_state();
        Ok(Self { registers, kind, one_security_state, wait_budget })
    }

    /// GICD_TYPER.
    pub const fn kind(&self) -> DistributorType {
        self.kind
    }

    /// Makes an SPI as it is to be: disabled, not pending, ready to be enabled. Waits until it
    /// is disabled everywhere, because its trigger must not change before (§12.9.9).
    pub fn configure(&mut self, spi: Spi, setup: SpiSetup) -> Result<(), SpiError> {
        self.check(spi)?;
        self.disable(spi);
        self.settle()?;
        self.set_trigger(spi, setup.trigger)?;
        self.registers.write8(offset::PRIORITY + spi.intid() as u16, setup.priority.bits());
        self.route(spi, setup.route)?;
        // After the trigger: changing it may make an SPI pending (§12.9.9).
        self.clear_pending(spi);
        Ok(())
    }

    /// The CPU that it goes to from now on. What is pending goes along; what the old CPU has
    /// taken stays there.
    pub fn route(&mut self, spi: Spi, route: Route) -> Result<(), SpiError> {
        self.check(spi)?;
        let register = offset::ROUTE + 8 * spi.intid() as u16;
        let before = self.registers.read64(register);
        self.registers.write64(register, route.encode());
        if self.registers.read64(register) != route.encode() {
            self.registers.write64(register, before);
            return Err(SpiError::RouteRefused);
        }
        Ok(())
    }

    /// What is pending or comes reaches its CPU from now on.
    pub fn enable(&mut self, spi: Spi) -> Result<(), SpiError> {
        self.check(spi)?;
        self.registers.write32(spi.word(offset::SET_ENABLE), spi.bit());
        if self.is_enabled(spi) { Ok(()) } else { Err(SpiError::NotOurs) }
    }

    /// What comes stays pending, once [`Distributor::settle`] has waited for it. An SPI that
    /// there is not is disabled already.
    pub fn disable(&mut self, spi: Spi) {
        if self.kind.has(spi) {
            self.registers.write32(spi.word(offset::CLEAR_ENABLE), spi.bit());
        }
    }

    /// Waits until every [`Distributor::disable`] is seen by every CPU.
    pub fn settle(&mut self) -> Result<(), SpiError> {
        for _ in 0..self.wait_budget {
            let control = DistributorControl::decode(self.registers.read32(offset::CONTROL));
            if !control.write_pending() {
                return Ok(());
            }
        }
        Err(SpiError::Timeout)
    }

    /// Raises it, as its wire or message would: a real retrigger. It is pending until a CPU
    /// takes it.
    pub fn set_pending(&mut self, spi: Spi) {
        if self.kind.has(spi) {
            self.registers.write32(spi.word(offset::SET_PENDING), spi.bit());
        }
    }

    /// Forgets what is pending. A level that is still up, by wire or by message, stays.
    pub fn clear_pending(&mut self, spi: Spi) {
        if self.kind.has(spi) {
            self.registers.write32(spi.word(offset::CLEAR_PENDING), spi.bit());
        }
    }

    /// Takes a level down that a message has raised (GICD_SETSPI_NSR): what its device does by
    /// the second pair, for a device that will not do it any more (§12.9.35).
    pub fn clear_message(&mut self, spi: Spi) {
        if self.kind.has(spi) && self.kind.takes_messages() {
            self.registers.write32(offset::CLEAR_SPI, spi.intid());
        }
    }

    /// Whether it reaches its CPU.
    pub fn is_enabled(&mut self, spi: Spi) -> bool {
        self.bit(offset::SET_ENABLE, spi)
    }

    /// Whether it waits for its CPU.
    pub fn is_pending(&mut self, spi: Spi) -> bool {
        self.bit(offset::SET_PENDING, spi)
    }

    /// Whether a CPU has taken it and not yet deactivated it.
    pub fn is_active(&mut self, spi: Spi) -> bool {
        self.bit(offset::SET_ACTIVE, spi)
    }

    fn bit(&mut self, first: u16, spi: Spi) -> bool {
        self.kind.has(spi) && self.registers.read32(spi.word(first)) & spi.bit() != 0
    }

    /// There is one, and it is in group 1 as far as that can be seen: with two security states
    /// the group reads as zero from here, and `enable` finds out.
    fn check(&mut self, spi: Spi) -> Result<(), SpiError> {
        if !self.kind.has(spi) {
            return Err(SpiError::NoSuchSpi);
        }
        if self.one_security_state && !self.bit(offset::GROUP, spi) {
            return Err(SpiError::NotOurs);
        }
        Ok(())
    }

    /// The one register that has to be read to be written: the SPI's neighbours keep theirs.
    fn set_trigger(&mut self, spi: Spi, trigger: Trigger) -> Result<(), SpiError> {
        let register = offset::TRIGGER + (spi.intid() / 16 * 4) as u16;
        let shift = spi.intid() % 16 * 2;
        let wanted = SpiTrigger(trigger);
        let others = self.registers.read32(register) & !(0b11 << shift);
        self.registers.write32(register, others | wanted.encode() << shift);
        let taken = self.registers.read32(register) >> shift & 0b11;
        if SpiTrigger::decode(taken) == Ok(wanted) { Ok(()) } else { Err(SpiError::TriggerFixed) }
    }
}
