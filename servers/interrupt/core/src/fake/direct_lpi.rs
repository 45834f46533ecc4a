//! Redistributors that take LPIs without an ITS (GICR_TYPER.DirectLPI): the model of their
//! registers for it, beside those in `its_registers`.
//!
//! It is as lazy as the architecture allows: what GICR_INVLPIR and GICR_CLRLPIR change takes
//! effect only when GICR_SYNCR has read as idle after an invalidation, and a property is kept from the first look.

use super::its::{Effect, Its, target};
use super::its_memory::ItsRegion;
use super::its_registers::RedistributorFrame;
use super::{ItsModel, ItsOutcome, ItsSetup};
use crate::Pair;
use crate::direct_lpi::{
    DirectLpiConfig, DirectLpiInitError, DirectLpiUnit, DirectRedistributor, LpiWrite, offset,
    setter,
};
use crate::its::{Lpi, PropertyBase};

/// The Direct LPI back end over the model.
pub type FakeDirectLpiUnit = DirectLpiUnit<RedistributorFrame, ItsRegion>;

impl Its {
    pub(super) fn read_sync(&mut self, cpu: usize) -> u32 {
        let Some(left) = self.redistributors[cpu].busy else { return 0 };
        if self.hung || left > 0 {
            self.redistributors[cpu].busy = Some(left.saturating_sub(1));
            return 1;
        }
        self.redistributors[cpu].busy = None;
        self.synchronise(cpu);
        0
    }

    pub(super) fn write_direct(&mut self, cpu: usize, register: u16, value: u64) {
        if !self.options.direct_lpis {
            return self.violation("GICR_SETLPIR and the like, without GICR_TYPER.DirectLPI");
        }
        let Ok(LpiWrite(lpi)) = LpiWrite::decode(value) else {
            return self.violation("GICR_SETLPIR and the like: no LPI");
        };
        if register == offset::SET_LPI {
            self.set_directly(cpu, lpi);
            return;
        }
        if self.redistributors[cpu].busy.is_some() {
            return self.violation("GICR_INVLPIR or GICR_CLRLPIR while GICR_SYNCR is busy");
        }
        let (effect, told) = match register {
            offset::INVALIDATE => (Effect::Invalidate(lpi), true),
            _ => (Effect::ClearPending(lpi), self.options.sync_tells_of_clearing),
        };
        self.redistributors[cpu].effects.push(effect);
        if told {
            self.redistributors[cpu].busy = Some(self.options.lag);
        }
    }

    /// Whether the LPI is pending by it.
    fn set_directly(&mut self, cpu: usize, lpi: Lpi) -> bool {
        let redistributor = &self.redistributors[cpu];
        let properties = PropertyBase::decode(redistributor.properties);
        let there = properties.is_ok_and(|base| lpi.intid() >> base.id_bits == 0);
        let set = redistributor.enabled && there;
        if set {
            self.set_pending(cpu, lpi);
        }
        set
    }
}

impl ItsModel {
    /// A device, which nobody asks who it is, writes `pair` to a redistributor.
    pub fn direct_message(&self, pair: Pair) -> Option<ItsOutcome> {
        let mut its = self.0.borrow_mut();
        let cpus = usize::from(its.options.cpus);
        let cpu = (0..cpus).find(|cpu| setter(target(*cpu).frame) == pair.address)?;
        let lpi = Lpi::new(pair.data).filter(|_| its.options.direct_lpis)?;
        its.set_directly(cpu, lpi).then_some(ItsOutcome::Pending { cpu, lpi })
    }

    /// Whether the redistributors take LPIs directly.
    pub fn is_direct(&self) -> bool {
        self.0.borrow().options.direct_lpis
    }

    /// Whether an LPI would come through somewhere.
    pub fn comes_through(&self, lpi: Lpi) -> bool {
        let mut its = self.0.borrow_mut();
        (0..its.redistributors.len()).any(|cpu| its.property(cpu, lpi).enabled)
    }

    /// The driver of its redistributors, with all memory that they need.
    ///
    /// # Errors
    /// Whatever the driver says.
    pub fn direct_unit(&self, setup: &ItsSetup) -> Result<FakeDirectLpiUnit, DirectLpiInitError> {
        let properties = self.properties(setup);
        let each = |cpu: usize| DirectRedistributor {
            registers: self.redistributor(cpu),
            frame: target(cpu).frame,
        };
        let redistributors = (0..self.targets().len()).map(each).collect();
        let config = DirectLpiConfig {
            lpis: setup.lpis,
            priority: Self::priority(),
            wait_budget: setup.wait_budget,
        };
        DirectLpiUnit::new(redistributors, properties, &config)
    }
}
