//! Interrupts as a device tree writes them (bindings, `interrupt-controller/arm,gic-v3.yaml`).

use dtoolkit::Property;

use crate::nodes::Place;

/// The interrupt controller that specifiers are for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parent {
    /// Its phandle.
    pub phandle: Option<u32>,
    /// `#interrupt-cells`.
    pub cells: usize,
}

/// An INTID from the first two cells of a specifier: which kind, and the number within it.
const fn intid(kind: u32, number: u32) -> Option<u32> {
    // Where each kind begins and how many there are (GIC 2.2).
    let (first, count) = match kind {
        0 => (32, 988),
        1 => (16, 16),
        2 => (4096, 1024),
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
