//! Interrupts as a device tree writes them (bindings, `interrupt-controller/arm,gic-v3.yaml`).

use dtoolkit::Property;
use dtoolkit::fdt::Fdt;

use super::Fault;
use super::tree::GIC_V3;
use crate::nodes::{Nodes, Place};
use crate::{Line, Polarity, Trigger};

/// The interrupt controller that specifiers are for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parent {
    /// Its phandle.
    pub phandle: Option<u32>,
    /// `#interrupt-cells`.
    pub cells: usize,
}

/// Kinds of interrupts in a specifier's first cell: those that all CPUs share.
const SPI: u32 = 0;
const EXTENDED_SPI: u32 = 2;

/// An INTID from the first two cells of a specifier: which kind, and the number within it.
const fn intid(kind: u32, number: u32) -> Option<u32> {
    // Where each kind begins and how many there are (GIC 2.2).
    let (first, count) = match kind {
        SPI => (32, 988),
        1 => (16, 16),
        EXTENDED_SPI => (4096, 1024),
        3 => (1056, 64),
        _ => return None,
    };
    if number < count { Some(first + number) } else { None }
}

/// The big-endian cell `index` of a property's value.
fn cell(value: &[u8], index: usize) -> Option<u32> {
    value.as_chunks().0.get(index).map(|cell| u32::from_be_bytes(*cell))
}

impl Parent {
    /// INTID of the interrupt `index` of a node. `None` where it has no such interrupt, or it is another controller's.
    pub fn interrupt(&self, place: &Place<'_>, index: usize) -> Option<u32> {
        // `interrupts-extended` counts where both are there (DT 2.4.1.2). Every entry before ours must be the GIC's too,
        // since only of the GIC it is known here how long an entry is.
        if let Some(extended) = place.property("interrupts-extended") {
            let value = extended.value();
            let stride = self.cells + 1;
            let ours = |entry: usize| cell(value, entry * stride) == self.phandle;
            if self.phandle.is_none() || !(0..=index).all(ours) {
                return None;
            }
            let at = index * stride;
            return intid(cell(value, at + 1)?, cell(value, at + 2)?);
        }
        if place.interrupt_parent() != self.phandle {
            return None;
        }
        let interrupts = place.property("interrupts")?;
        let at = index * self.cells;
        intid(cell(interrupts.value(), at)?, cell(interrupts.value(), at + 1)?)
    }
}

/// Specifiers of the machine's GIC, in full: which line, and how it is to be taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Specifiers(Parent);

impl Specifiers {
    /// Those of the first GIC that is switched on, which is the one that is used.
    pub fn of(tree: Fdt<'_>) -> Option<Self> {
        let is_gic = |place: &Place<'_>| place.is_compatible(GIC_V3) && place.is_enabled();
        let gic = Nodes::of(tree).find(is_gic)?;
        let phandle = Some(gic.phandle()?);
        Some(Self(Parent { phandle, cells: gic.number("#interrupt-cells").unwrap_or(3) as usize }))
    }

    /// Whether a node is that GIC.
    pub fn are_of(&self, place: &Place<'_>) -> bool {
        place.phandle() == self.0.phandle
    }

    /// The line of a specifier. What all CPUs share can be a device's, so this is an SPI or an extended one; the binding has
    /// a rising edge and a high level for these.
    pub fn line(&self, specifier: &[u32]) -> Result<Line, Fault> {
        let bad = |what, value: u32| Err(Fault::BadValue { what, value: value.into() });
        let &[kind, number, flags, ref partition @ ..] = specifier else {
            return bad("the length of a GIC's specifier", specifier.len() as u32);
        };
        if specifier.len() != self.0.cells || !matches!(partition, [] | [0]) {
            return bad("the length of a GIC's specifier", specifier.len() as u32);
        }
        if !matches!(kind, SPI | EXTENDED_SPI) {
            return bad("the kind of a device's interrupt", kind);
        }
        let Some(number) = intid(kind, number) else {
            return bad("an interrupt's number", number);
        };
        let trigger = match flags {
            1 => Trigger::Edge,
            4 => Trigger::Level,
            _ => return bad("the trigger of an SPI", flags),
        };
        Ok(Line { number, trigger, polarity: Polarity::High })
    }
}
