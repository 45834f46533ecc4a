//! The two things of the board that the stub itself uses: a console and the firmware's power switch.

use super::is_enabled;
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property};

/// How the firmware is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// By the `hvc` instruction.
    Hvc,
    /// By the `smc` instruction.
    Smc,
}

/// The conduit of PSCI (bindings: arm/psci.yaml). The versions before 0.2 have other numbers for
/// their functions and are left out.
pub fn psci(tree: Fdt<'_>) -> Option<Conduit> {
    let versions = ["arm,psci-1.0", "arm,psci-0.2"];
    let is_psci = |node: &FdtNode<'_>| versions.iter().any(|version| node.is_compatible(version));
    let places = [Some(tree.root()), tree.find_node("/firmware")];
    let node = places.into_iter().flatten().find_map(|place| place.children().find(is_psci))?;
    match node.property("method")?.value() {
        b"hvc\0" => Some(Conduit::Hvc),
        b"smc\0" => Some(Conduit::Smc),
        _ => None,
    }
}

/// The physical address of the PL011 that `/chosen/stdout-path` names (DT 3.6), if it is one. It may
/// be named by its path or by an alias, with the line's settings behind a colon.
pub fn console(tree: Fdt<'_>) -> Option<u64> {
    let path = text(&tree.find_node("/chosen")?, "stdout-path")?;
    let path = path.split(':').next()?;
    let path = match path.starts_with('/') {
        true => path,
        false => text(&tree.find_node("/aliases")?, path)?,
    };
    let node = tree.find_node(path)?;
    // A driver for the simpler one can drive either (SBSA, "Generic UART").
    let known = ["arm,pl011", "arm,sbsa-uart"].iter().any(|kind| node.is_compatible(kind));
    if known && is_enabled(&node) { physical_address(tree, path) } else { None }
}

/// The address of the device at `path`, through the `ranges` of all the buses above it (DT 2.3.8).
fn physical_address(tree: Fdt<'_>, path: &str) -> Option<u64> {
    let node = tree.find_node(path)?;
    let mut address = node.reg().ok()??.next()?.address::<u64>().ok()?;
    let mut bus = path;
    while let Some((above, _)) = bus.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
        bus = above;
        address = parent_address(&tree.find_node(bus)?, address)?;
    }
    Some(address)
}

/// An address on a bus, as the bus above sees it. No `ranges`: it sees nothing; an empty one: the
/// same address.
fn parent_address(bus: &FdtNode<'_>, address: u64) -> Option<u64> {
    let mut ranges = bus.ranges().ok()??.peekable();
    if ranges.peek().is_none() {
        return Some(address);
    }
    ranges.find_map(|range| {
        let child = range.child_bus_address::<u64>().ok()?;
        let offset = address.checked_sub(child)?;
        let parent = range.parent_bus_address::<u64>().ok()?;
        if offset < range.length::<u64>().ok()? { parent.checked_add(offset) } else { None }
    })
}

/// A property that is one text.
fn text<'a>(node: &FdtNode<'a>, name: &str) -> Option<&'a str> {
    node.property(name)?.value_as::<&str>().ok()
}
