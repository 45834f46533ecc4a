//! From requester ids to the ids that an ITS knows devices by.

use heapless::Vec;

use super::MAX_RULES;
use crate::arm::MAX_ITS;
use crate::{Iort, Madt};

/// How a device's messages arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Which ITS: its place in [`crate::arm::Gic::its`].
    pub its: usize,
    /// The DeviceID there.
    pub device: u32,
}

/// One entry of an `msi-map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub segment: u16,
    /// Which bits of the requester id count (`msi-map-mask`).
    pub mask: u32,
    pub first: u32,
    /// Included.
    pub last: u32,
    pub its: usize,
    /// What the first becomes.
    pub output: u32,
}

/// Which ITS a PCI function's messages arrive at, and with which DeviceID. With neither source there is no ITS, or firmware
/// does not say.
#[derive(Clone, Debug, Default)]
pub struct DeviceIds<'a> {
    /// From a device tree.
    rules: Vec<Rule, MAX_RULES>,
    acpi: Option<Acpi<'a>>,
}

#[derive(Clone, Debug)]
struct Acpi<'a> {
    iort: Iort<'a>,
    /// The GIC ITS IDs, in the MADT's order.
    its: Vec<u32, MAX_ITS>,
}

impl<'a> DeviceIds<'a> {
    /// From ACPI: the MADT names the ITSs, the IORT the ways to them.
    pub fn from_acpi(madt: &Madt<'_>, iort: Iort<'a>) -> Self {
        // More than are kept have no place in `Gic::its` either.
        let its = crate::arm::its_of(madt.entries()).take(MAX_ITS).collect();
        Self { rules: Vec::new(), acpi: Some(Acpi { iort, its }) }
    }

    pub(super) fn from_rules(rules: Vec<Rule, MAX_RULES>) -> Self {
        Self { rules, acpi: None }
    }

    /// Whether firmware says anything about it.
    pub fn is_known(&self) -> bool {
        self.acpi.is_some() || !self.rules.is_empty()
    }

    /// How messages arrive that leave PCI with this requester id. `None` where they come to no ITS.
    pub fn map(&self, segment: u16, requester: u16) -> Option<Arrival> {
        match &self.acpi {
            Some(acpi) => acpi.map(segment, requester),
            None => self.rules.iter().find_map(|rule| rule.apply(segment, requester)),
        }
    }
}

impl Rule {
    fn apply(&self, segment: u16, requester: u16) -> Option<Arrival> {
        let id = u32::from(requester) & self.mask;
        if self.segment != segment || !(self.first..=self.last).contains(&id) {
            return None;
        }
        // Cannot overflow: a rule whose last id would was refused.
        Some(Arrival { its: self.its, device: self.output + (id - self.first) })
    }
}

impl Acpi<'_> {
    fn map(&self, segment: u16, requester: u16) -> Option<Arrival> {
        self.iort.root_complexes(segment).find_map(|root| {
            // A broken mapping is no way.
            let (id, device) = self.iort.to_its(&root, requester.into()).ok()??;
            let its = self.its.iter().position(|known| *known == id)?;
            Some(Arrival { its, device })
        })
    }
}
