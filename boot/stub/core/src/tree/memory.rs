//! The memory map from the tree.

use super::is_enabled;
use crate::fatal::Fatal;
use crate::memory::{Claim, Kind, Memory, Reach};
use core::ops::Range;
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node, Property};

/// All memory that the tree describes (DT 3.4), without what `/reserved-memory` takes away (DT 3.5).
/// What is left may be read and mapped, though not all of it is free: see [`add_reservations`].
///
/// A region for which that node gives only a size is the operating system's to place: there is
/// nothing to keep away from.
pub fn memory(tree: Fdt<'_>, reach: Reach) -> Result<Memory, Fatal> {
    let mut memory = Memory::new(reach, [])?;
    for node in tree.root().children().filter(|node| is_memory(node) && is_enabled(node)) {
        add(&mut memory, node, Kind::Usable, "/memory")?;
    }
    if memory.allocatable() == 0 {
        return Err(Fatal::NoMemoryNode);
    }
    if let Some(reserved) = tree.find_node("/reserved-memory") {
        for node in reserved.children().filter(is_enabled) {
            add(&mut memory, node, Kind::Reserved, "/reserved-memory")?;
        }
    }
    Ok(memory)
}

fn is_memory(node: &FdtNode<'_>) -> bool {
    node.property("device_type").is_some_and(|kind| kind.value() == b"memory\0")
}

fn add(
    memory: &mut Memory,
    node: FdtNode<'_>,
    kind: Kind,
    parent: &'static str,
) -> Result<(), Fatal> {
    let Some(ranges) = node.reg().map_err(|_| Fatal::BadProperty(parent))? else { return Ok(()) };
    for range in ranges {
        let bad = |_| Fatal::BadProperty(parent);
        let (base, size) = (range.address().map_err(bad)?, range.size().map_err(bad)?);
        memory.add(Claim { base, size, kind })?;
    }
    Ok(())
}

/// Adds the memory reservation block (DT 5.3): memory that may be read, but not used.
///
/// U-Boot also enters what it hands over, the device tree and the bundle, so that nobody uses their
/// memory before they have been read. They are `ours`: the stub keeps them as long as needed, and
/// entries do not count there.
pub fn add_reservations(
    memory: &mut Memory,
    tree: Fdt<'_>,
    ours: &[Range<u64>; 2],
) -> Result<(), Fatal> {
    let [first, second] = ours;
    for entry in tree.memory_reservations() {
        let entry = entry.address()..entry.address().saturating_add(entry.size());
        for part in without(&entry, first) {
            for Range { start, end } in without(&part, second) {
                memory.add(Claim { base: start, size: end - start, kind: Kind::Reserved })?;
            }
        }
    }
    Ok(())
}

/// The parts of `range` before and behind `hole`; either may be empty.
fn without(range: &Range<u64>, hole: &Range<u64>) -> [Range<u64>; 2] {
    let before = range.start..range.end.min(hole.start).max(range.start);
    let behind = range.start.max(hole.end).min(range.end)..range.end;
    [before, behind]
}
