//! Nodes of a device tree together with where they are.
//!
//! What an address in a node means depends on every bus above it (DT 2.3.5, 2.3.6, 2.3.8), so a [`Place`] keeps the whole
//! way from the root. Nodes deeper than [`MAX_DEPTH`] are not looked at; the deepest on real boards have about ten levels.

use dtoolkit::fdt::{Fdt, FdtNode, FdtProperty};
use dtoolkit::{FdtStringListIterator, Node, Property, ToCellInt};

use crate::arm::{Fault, Range};

/// Levels that are looked at, the root included.
pub(crate) const MAX_DEPTH: usize = 16;

/// A node and all those above it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    way: [FdtNode<'a>; MAX_DEPTH],
    depth: usize,
}

/// The cells of a bus's children (DT 2.3.5).
#[derive(Clone, Copy)]
struct BusCells {
    address: usize,
    size: usize,
}

impl<'a> Place<'a> {
    pub(crate) fn root(tree: Fdt<'a>) -> Self {
        Self { way: [tree.root(); MAX_DEPTH], depth: 0 }
    }

    /// The child, if it is not too deep.
    fn child(&self, node: FdtNode<'a>) -> Option<Self> {
        let mut child = *self;
        child.depth += 1;
        *child.way.get_mut(child.depth)? = node;
        Some(child)
    }

    pub(crate) fn node(&self) -> FdtNode<'a> {
        self.way[self.depth]
    }

    /// All nodes from this one to the root.
    fn upwards(&self) -> impl Iterator<Item = FdtNode<'a>> + '_ {
        self.way[..=self.depth].iter().rev().copied()
    }

    /// The children, if they are not too deep.
    pub(crate) fn children(self) -> impl Iterator<Item = Self> {
        self.node().children().filter_map(move |node| self.child(node))
    }

    /// A descendant by its path, which may begin with a slash and leave out unit addresses (DT 2.2.3).
    pub(crate) fn find(self, path: &str) -> Option<Self> {
        path.split('/').filter(|name| !name.is_empty()).try_fold(self, |place, name| {
            let node = place.node().child(name)?;
            place.child(node)
        })
    }

    pub(crate) fn property(&self, name: &str) -> Option<FdtProperty<'a>> {
        self.node().property(name)
    }

    /// A property's value as one number of one cell.
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        self.property(name)?.value_as().ok()
    }

    /// A property's value as text.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        // The first string of the list: what follows a NUL is not part of it.
        self.texts(name).next()
    }

    /// A property's value as a list of texts.
    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let list = self.property(name).and_then(|property| {
            let list: Result<FdtStringListIterator<'a>, _> = property.value_as();
            list.ok()
        });
        list.into_iter().flatten()
    }

    pub(crate) fn is_compatible(&self, any_of: &[&str]) -> bool {
        self.texts("compatible").any(|name| any_of.contains(&name))
    }

    /// Neither it nor a bus above it is switched off (DT 2.3.4; `ok` is older than the specification).
    pub(crate) fn is_enabled(&self) -> bool {
        self.upwards().all(|node| match node.property("status") {
            None => true,
            Some(status) => matches!(status.value(), b"okay\0" | b"ok\0"),
        })
    }

    pub(crate) fn phandle(&self) -> Option<u32> {
        // Trees from old compilers have the second name.
        self.number("phandle").or_else(|| self.number("linux,phandle"))
    }

    /// The phandle of whoever takes its interrupts, its own or inherited (DT 2.4.1).
    pub(crate) fn interrupt_parent(&self) -> Option<u32> {
        let found = self.upwards().find_map(|node| node.property("interrupt-parent"));
        found?.value_as().ok()
    }

    fn bus_cells(node: FdtNode<'a>) -> BusCells {
        let number = |name, otherwise| {
            node.property(name).and_then(|p| p.value_as::<u32>().ok()).unwrap_or(otherwise) as usize
        };
        BusCells { address: number("#address-cells", 2), size: number("#size-cells", 1) }
    }

    /// Cells of an address on the bus that this node is on.
    pub(crate) fn parent_address_cells(&self) -> usize {
        self.parent_cells().address
    }

    fn parent_cells(&self) -> BusCells {
        match self.depth.checked_sub(1) {
            Some(parent) => Self::bus_cells(self.way[parent]),
            None => BusCells { address: 2, size: 1 },
        }
    }

    /// The entry `index` of `reg` as it stands there: address and size in the parent's terms.
    fn reg_entry(&self, index: usize) -> Result<Option<(u64, u64)>, Fault> {
        let Some(property) = self.property("reg") else { return Ok(None) };
        let cells = self.parent_cells();
        let mut entries = property
            .as_prop_encoded_array([cells.address, cells.size])
            .map_err(|_| Fault::BadReg)?;
        let Some([address, size]) = entries.nth(index) else { return Ok(None) };
        let address = address.to_int().map_err(|_| Fault::BadReg)?;
        Ok(Some((address, size.to_int().map_err(|_| Fault::BadReg)?)))
    }

    /// The first number of `reg`, not translated: what a CPU's node has.
    pub(crate) fn unit(&self) -> Result<u64, Fault> {
        self.reg_entry(0)?.map(|(address, _)| address).ok_or(Fault::NoReg { index: 0 })
    }

    /// The entry `index` of `reg` as the CPU sees it.
    pub(crate) fn reg(&self, index: usize) -> Result<Range, Fault> {
        let (address, size) = self.reg_entry(index)?.ok_or(Fault::NoReg { index })?;
        if size == 0 {
            return Err(Fault::BadReg);
        }
        let base = self.translate(address, size)?;
        Ok(Range { base, size })
    }

    /// An address range of the bus that this node is on, as the CPU sees it (DT 2.3.8).
    pub(crate) fn translate(&self, address: u64, size: u64) -> Result<u64, Fault> {
        let buses = self.way[..self.depth].windows(2).rev();
        let mut address = address;
        for bus in buses {
            if let [above, bus] = bus {
                address = up_one_bus(*bus, Self::bus_cells(*above).address, address, size)?;
            }
        }
        address.checked_add(size).map(|_| address).ok_or(Fault::BadReg)
    }
}

/// An address on this bus as an address on the bus above, whose addresses have `cells` cells.
fn up_one_bus(bus: FdtNode<'_>, cells: usize, address: u64, size: u64) -> Result<u64, Fault> {
    // Without `ranges` the children are not memory of the CPU at all (an I²C bus, say); with an empty one they are as
    // they stand.
    let ranges = bus.property("ranges").ok_or(Fault::NotReachable)?;
    if ranges.value().is_empty() {
        return Ok(address);
    }
    let own = Place::bus_cells(bus);
    let entries = ranges
        .as_prop_encoded_array([own.address, cells, own.size])
        .map_err(|_| Fault::BadRanges)?;
    for [child, parent, length] in entries {
        // Three cells are a PCI bus: what is behind it is found by enumeration, not here.
        let (Ok(child), Ok(parent), Ok(length)) =
            (child.to_int::<u64>(), parent.to_int::<u64>(), length.to_int::<u64>())
        else {
            return Err(Fault::BadRanges);
        };
        if let Some(offset) = address.checked_sub(child)
            && offset < length
            && size <= length - offset
        {
            return parent.checked_add(offset).ok_or(Fault::BadRanges);
        }
    }
    Err(Fault::NotReachable)
}

type Children<'a> = <FdtNode<'a> as Node>::Children<'a>;

/// All nodes of a tree, parents before their children, down to [`MAX_DEPTH`].
pub(crate) struct Nodes<'a> {
    /// The node that was given last.
    last: Place<'a>,
    /// What is left of the children of each node on the way.
    rest: [Option<Children<'a>>; MAX_DEPTH],
    started: bool,
}

impl<'a> Nodes<'a> {
    pub(crate) fn of(tree: Fdt<'a>) -> Self {
        Self { last: Place::root(tree), rest: [const { None }; MAX_DEPTH], started: false }
    }
}

impl<'a> Iterator for Nodes<'a> {
    type Item = Place<'a>;

    fn next(&mut self) -> Option<Place<'a>> {
        if !self.started {
            self.started = true;
            self.rest[0] = Some(self.last.node().children());
            return Some(self.last);
        }
        loop {
            let depth = self.last.depth;
            if let Some(node) = self.rest[depth].as_mut().and_then(Iterator::next)
                && let Some(child) = self.last.child(node)
            {
                self.rest[child.depth] = Some(node.children());
                self.last = child;
                return Some(child);
            }
            // No more children here, or none that may be looked at.
            self.last.depth = depth.checked_sub(1)?;
        }
    }
}
