//! `interrupt-map`, and the way through several of them.
//!
//! An entry is as long as the node that it names says, so one whose parent is not there hides all behind it: such a map is
//! refused as a whole. An entry is used only if it is the only one that matches, because what contradicts itself says
//! nothing.

use core::fmt;

use dtoolkit::Property;
use dtoolkit::fdt::Fdt;
use heapless::Vec;

use super::Pin;
use crate::arm::{Fault, Specifiers};
use crate::nodes::{Nodes, Place};
use crate::{Line, RequesterId};

/// Cells of a child's address and specifier, together, that are kept. PCI has 4, the largest known controllers 6.
const MAX_CELLS: usize = 12;
/// Maps on the way to a controller. A way that is longer, or goes round in circles, leads nowhere.
const MAX_MAPS: usize = 8;
/// Cells of an address on a PCI bus, and of a pin (OF 2.2.1.1, 7).
const PCI_ADDRESS_CELLS: usize = 3;
const PIN_CELLS: usize = 1;

/// Why a pin has no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLine {
    /// Firmware has no map for it.
    NoMap,
    /// The map has no entry for it.
    NotInMap,
    /// The map has several entries for it that differ.
    Ambiguous,
    /// Its interrupt goes to a controller that is not the machine's GIC.
    Elsewhere,
    /// More maps follow each other than are looked at.
    TooFar,
    /// The device has a node in the tree with interrupts of its own.
    OwnNode,
    /// The map is broken.
    Broken(Fault),
}

impl fmt::Display for NoLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMap => f.write_str("firmware does not say where it leads"),
            Self::NotInMap => f.write_str("`interrupt-map` has no entry for it"),
            Self::Ambiguous => f.write_str("`interrupt-map` has several entries for it"),
            Self::Elsewhere => f.write_str("it leads to a controller that is not the GIC"),
            Self::TooFar => f.write_str("its way through maps does not end"),
            Self::OwnNode => f.write_str("the device's node has interrupts of its own"),
            Self::Broken(fault) => write!(f, "`interrupt-map`: {fault}"),
        }
    }
}

impl From<Fault> for NoLine {
    fn from(fault: Fault) -> Self {
        Self::Broken(fault)
    }
}

/// An interrupt as a map's child side has it: cells of an address, then of a specifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    cells: Vec<u32, MAX_CELLS>,
    address_cells: usize,
}

impl Request {
    pub(super) fn of_pin(function: RequesterId, pin: Pin) -> Self {
        let mut cells = Vec::new();
        // Four fit.
        let _ =
            cells.extend_from_slice(&[u32::from(function.bits()) << 8, 0, 0, pin.number().into()]);
        Self { cells, address_cells: PCI_ADDRESS_CELLS }
    }

    fn specifier(&self) -> &[u32] {
        &self.cells[self.address_cells..]
    }
}

/// How long the two sides of an interrupt are at a node (DT 2.4.3.1).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    address: usize,
    specifier: usize,
}

impl Shape {
    fn of(node: &Place<'_>) -> Result<Self, Fault> {
        let bad = |what, value: u32| Err(Fault::BadValue { what, value: value.into() });
        // A controller that has no children has no need to say how long their addresses are (DT 2.4.3.1).
        let address = node.number("#address-cells").unwrap_or(0);
        // One that does not say it has none.
        let specifier = node.number("#interrupt-cells").unwrap_or(0);
        if specifier == 0 || specifier as usize > MAX_CELLS {
            return bad("`#interrupt-cells` of an interrupt's parent", specifier);
        }
        if address as usize > MAX_CELLS - specifier as usize {
            return bad("`#address-cells` of an interrupt's parent", address);
        }
        Ok(Self { address: address as usize, specifier: specifier as usize })
    }

    fn cells(self) -> usize {
        self.address + self.specifier
    }
}

/// Follows a request from a node with a map to the GIC.
pub(super) fn resolve(tree: Fdt<'_>, bus: &Place<'_>, request: Request) -> Result<Line, NoLine> {
    let own = Shape::of(bus)?;
    if own != (Shape { address: PCI_ADDRESS_CELLS, specifier: PIN_CELLS }) {
        let what = "`#address-cells` or `#interrupt-cells` of a PCI bus";
        return Err(Fault::BadValue { what, value: own.cells() as u64 }.into());
    }
    let gic = Specifiers::of(tree).ok_or(NoLine::Elsewhere)?;
    let (mut node, mut request) = (*bus, request);
    for _ in 0..MAX_MAPS {
        let phandle;
        (phandle, request) = one_map(tree, &node, &request)?;
        node = by_phandle(tree, phandle)?;
        if node.property("interrupt-map").is_some() {
            continue;
        }
        if !gic.are_of(&node) {
            return Err(NoLine::Elsewhere);
        }
        return Ok(gic.line(request.specifier())?);
    }
    Err(NoLine::TooFar)
}

/// The one entry of a node's map that is for this request: the parent, and the request there.
fn one_map(tree: Fdt<'_>, node: &Place<'_>, request: &Request) -> Result<(u32, Request), NoLine> {
    let own = Shape::of(node)?;
    let bad = |what, value: usize| NoLine::from(Fault::BadValue { what, value: value as u64 });
    if own.cells() != request.cells.len() {
        return Err(bad("the length of an interrupt", request.cells.len()));
    }
    let (mask, map) = (node.property("interrupt-map-mask"), node.property("interrupt-map"));
    let mask = match mask.as_ref().map(Property::value) {
        None => &[],
        Some(mask) if mask.len() == own.cells() * 4 => mask.as_chunks().0,
        Some(mask) => return Err(bad("the length of `interrupt-map-mask`", mask.len())),
    };
    let mask = |cell: usize| mask.get(cell).map_or(!0, |cell| u32::from_be_bytes(*cell));
    let (map, rest) = map.as_ref().map(Property::value).unwrap_or_default().as_chunks();
    let mut cells = map.iter().map(|cell: &[u8; 4]| u32::from_be_bytes(*cell));
    let mut found: Option<(u32, Request)> = None;
    // Entries of one map mostly have one parent.
    let mut parent: Option<(u32, Shape)> = None;
    let cut = || bad("the length of `interrupt-map`", map.len() * 4 + rest.len());
    if !rest.is_empty() {
        return Err(cut());
    }
    while cells.len() > 0 {
        let mut matches = true;
        for (at, wanted) in request.cells.iter().enumerate() {
            let cell = cells.next().ok_or_else(cut)?;
            matches &= (cell ^ wanted) & mask(at) == 0;
        }
        let phandle = cells.next().ok_or_else(cut)?;
        let shape = match parent {
            Some((known, shape)) if known == phandle => shape,
            _ => Shape::of(&by_phandle(tree, phandle)?)?,
        };
        parent = Some((phandle, shape));
        let mut there = Vec::new();
        for _ in 0..shape.cells() {
            // A shape has no more cells than fit.
            let _ = there.push(cells.next().ok_or_else(cut)?);
        }
        if matches {
            let there = Request { cells: there, address_cells: shape.address };
            match &found {
                Some(earlier) if *earlier != (phandle, there.clone()) => {
                    return Err(NoLine::Ambiguous);
                }
                _ => found = Some((phandle, there)),
            }
        }
    }
    found.ok_or(NoLine::NotInMap)
}

fn by_phandle<'a>(tree: Fdt<'a>, phandle: u32) -> Result<Place<'a>, Fault> {
    let found = Nodes::of(tree).find(|place| place.phandle() == Some(phandle));
    found.ok_or(Fault::BadValue { what: "an interrupt's parent", value: phandle.into() })
}
