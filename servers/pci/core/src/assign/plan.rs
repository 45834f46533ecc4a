//! Who gets which addresses.

use alloc::{vec, vec::Vec};

use super::{Class, Host, ROUNDS, space::Space, window};
use crate::{
    ConfigSpace, Function, Kind, Topology,
    bars::{BARS, Bar, Bars, Slot, Space as BarSpace},
    placement::{PAGE_BYTES, Range},
};

/// End of what 32-bit registers reach.
const LOW_END: u64 = 1 << 32;

/// What becomes of a BAR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum BarPlan {
    /// It is none of ours, or has a place that it keeps.
    #[default]
    Untouched,
    /// It needs a place.
    Wanted(Class),
    /// It gets this one.
    Placed(Class, Range),
    /// It gets none.
    LeftOut,
}

/// What becomes of a bridge's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum WindowPlan {
    /// It is closed, or to be.
    #[default]
    Closed,
    /// It stays.
    Fixed(Range),
    /// It is to be opened.
    New(Range),
}

impl WindowPlan {
    const fn range(self) -> Option<Range> {
        match self {
            Self::Closed => None,
            Self::Fixed(range) | Self::New(range) => Some(range),
        }
    }
}

/// A function.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub is_bridge: bool,
    pub parent: Option<usize>,
    pub bars: [BarPlan; BARS],
    /// Of a bridge: by class.
    pub windows: [WindowPlan; 3],
    /// 64-bit prefetchable addresses reach the bus behind this bridge.
    reaches_high: bool,
    /// What is on the bus behind it.
    pub children: Vec<usize>,
}

/// Addresses that stay what they are.
#[derive(Clone, Copy, Debug)]
struct Fixed {
    range: Range,
    io: bool,
    /// The bridge whose window it is.
    window_of: Option<usize>,
}

/// How much, at a multiple of what.
#[derive(Clone, Copy, Debug)]
struct Need {
    size: u64,
    align: u64,
}

/// Something that needs a place on a bus.
#[derive(Clone, Copy, Debug)]
struct Item {
    need: Need,
    what: What,
    /// Its register has 64 bits although its class is low.
    wide: bool,
    prefetchable: bool,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Bar { function: usize, slot: usize },
    Window { bridge: usize, class: Class },
}

/// What came of it. Nodes are the topology's functions, in its order.
pub(super) struct Outcome {
    pub nodes: Vec<Node>,
    pub exact: bool,
}

/// All of it. Nodes are the topology's functions, in its order: a bridge comes before what is behind it.
#[derive(Clone, Debug)]
pub(super) struct Plan<'b> {
    nodes: Vec<Node>,
    bars: &'b [Bars],
    /// What is on root buses.
    roots: Vec<usize>,
    fixed: Vec<Fixed>,
    exact: bool,
}

impl<'b> Plan<'b> {
    /// What there is, and what of it stays.
    pub(super) fn new<C: ConfigSpace + ?Sized>(
        config: &C,
        topology: &Topology,
        bars: &'b [Bars],
        host: &Host,
    ) -> Self {
        let functions = topology.functions();
        let nodes = vec![Node::default(); functions.len()];
        let exact = host.exact;
        let mut plan = Self { nodes, bars, roots: Vec::new(), fixed: Vec::new(), exact };
        for (index, function) in functions.iter().enumerate() {
            if function.address.segment != host.segment {
                continue;
            }
            // A parent comes first, always.
            let parent = function.parent.filter(|parent| *parent < index);
            plan.nodes[index].parent = parent;
            match parent {
                Some(parent) => plan.nodes[parent].children.push(index),
                None => plan.roots.push(index),
            }
            if let Kind::Bridge(_) = function.kind {
                plan.nodes[index].is_bridge = true;
                plan.look_at_windows(config, index, function, host);
            }
        }
        for (index, function) in functions.iter().enumerate() {
            // A host bridge's BARs are no business of the bus.
            let is_host_bridge = function.class[..2] == [0x06, 0x00];
            if function.address.segment == host.segment && !is_host_bridge {
                plan.look_at_bars(index, host);
            }
        }
        plan
    }

    fn look_at_windows<C: ConfigSpace + ?Sized>(
        &mut self,
        config: &C,
        index: usize,
        function: &Function,
        host: &Host,
    ) {
        let above = self.nodes[index].parent;
        let reaches = above.is_none_or(|bridge| self.nodes[bridge].reaches_high);
        self.nodes[index].reaches_high =
            reaches && window::has(config, function.address, Class::High);
        for class in Class::ALL {
            // Windows that are not there read like one at address 0, where nothing is ever placed.
            let open = window::read(config, function.address, class);
            let Some(range) = open.filter(|range| range.start != 0) else { continue };
            let io = class == Class::Io;
            if !self.exact
                || self.is_forwarded(above, range, io, host) && self.is_free(range, io, index)
            {
                self.nodes[index].windows[class as usize] = WindowPlan::Fixed(range);
                self.fixed.push(Fixed { range, io, window_of: Some(index) });
            }
        }
    }

    fn look_at_bars(&mut self, index: usize, host: &Host) {
        let above = self.nodes[index].parent;
        let reaches_high = above.is_none_or(|bridge| self.nodes[bridge].reaches_high);
        for slot in 0..BARS {
            let Some(bar) = self.bar(index, slot) else { continue };
            let io = bar.space == BarSpace::Io;
            let range = Range::new(bar.address, bar.size);
            if bar.is_assigned()
                && (!self.exact
                    || self.is_forwarded(above, range, io, host) && self.is_free(range, io, index))
            {
                self.fixed.push(Fixed { range, io, window_of: None });
                continue;
            }
            let class = match bar.space {
                BarSpace::Io => Class::Io,
                BarSpace::Memory64 if bar.prefetchable && reaches_high => Class::High,
                BarSpace::Memory32 | BarSpace::Memory64 => Class::Low,
            };
            self.nodes[index].bars[slot] = BarPlan::Wanted(class);
        }
    }

    fn bar(&self, function: usize, slot: usize) -> Option<Bar> {
        match self.bars.get(function)?.get(slot)? {
            Slot::Present(bar) => Some(*bar),
            _ => None,
        }
    }

    /// Whether addresses reach the bus behind a bridge, or a root bus.
    fn is_forwarded(&self, bridge: Option<usize>, range: Range, io: bool, host: &Host) -> bool {
        match bridge {
            None => host.windows.iter().any(|window| window.io == io && window.pci.contains(range)),
            Some(bridge) => Class::ALL.into_iter().any(|class| {
                let window = self.nodes[bridge].windows[class as usize].range();
                (class == Class::Io) == io && window.is_some_and(|window| window.contains(range))
            }),
        }
    }

    /// Whether nothing else stays at these addresses, but the windows of bridges above.
    fn is_free(&self, range: Range, io: bool, index: usize) -> bool {
        !self.fixed.iter().any(|fixed| {
            let above = fixed.window_of.is_some_and(|bridge| self.is_behind(index, bridge));
            fixed.io == io && fixed.range.touches(range) && !above
        })
    }

    fn is_behind(&self, index: usize, bridge: usize) -> bool {
        let parent = |index: &usize| self.nodes[*index].parent;
        core::iter::successors(parent(&index), parent).any(|above| above == bridge)
    }

    /// Finds places for all that want one, and leaves out what has none.
    pub(super) fn solve(mut self, host: &Host) -> Outcome {
        for round in 0..3 * ROUNDS {
            self.forget();
            let failed = self.place(host);
            if failed.is_empty() {
                return self.outcome();
            }
            for what in failed {
                self.leave_out(what, round < ROUNDS);
            }
        }
        // Garbage. No place is better than a wrong one.
        self.forget();
        for bar in self.nodes.iter_mut().flat_map(|node| &mut node.bars) {
            if matches!(bar, BarPlan::Wanted(_)) {
                *bar = BarPlan::LeftOut;
            }
        }
        self.outcome()
    }

    fn outcome(self) -> Outcome {
        Outcome { nodes: self.nodes, exact: self.exact }
    }

    /// Takes back the last round's places.
    fn forget(&mut self) {
        for node in &mut self.nodes {
            for bar in &mut node.bars {
                if let BarPlan::Placed(class, _) = *bar {
                    *bar = BarPlan::Wanted(class);
                }
            }
            for window in &mut node.windows {
                if matches!(window, WindowPlan::New(_)) {
                    *window = WindowPlan::Closed;
                }
            }
        }
    }

    /// Lets go of a BAR that does not fit, or of the largest one behind a bridge whose window does not; when not `gently`, of
    /// all of them.
    fn leave_out(&mut self, what: What, gently: bool) {
        let (bridge, class) = match what {
            What::Bar { function, slot } => return self.leave_out_bar(function, slot, gently),
            What::Window { bridge, class } => (bridge, class),
        };
        let mut behind: Vec<(u64, usize, usize)> = Vec::new();
        for function in (0..self.nodes.len()).filter(|index| self.is_behind(*index, bridge)) {
            for slot in 0..BARS {
                if self.nodes[function].bars[slot] == BarPlan::Wanted(class) {
                    let size = self.bar(function, slot).map_or(0, |bar| bar.size);
                    behind.push((size, function, slot));
                }
            }
        }
        if gently {
            // The first of the largest.
            let largest = behind.iter().rev().max_by_key(|(size, ..)| *size).copied();
            behind.clear();
            behind.extend(largest);
        }
        for (_, function, slot) in behind {
            self.leave_out_bar(function, slot, gently);
        }
    }

    /// What does not fit into 64 bits may still fit into 32.
    fn leave_out_bar(&mut self, function: usize, slot: usize, gently: bool) {
        let bar = &mut self.nodes[function].bars[slot];
        let was_high = *bar == BarPlan::Wanted(Class::High);
        *bar = if was_high && gently { BarPlan::Wanted(Class::Low) } else { BarPlan::LeftOut };
    }

    /// Places everything, bus by bus. What did not fit is the answer.
    fn place(&mut self, host: &Host) -> Vec<What> {
        let needs = self.needs();
        let mut failed = Vec::new();
        let roots = core::mem::take(&mut self.roots);
        self.place_bus(None, &roots, &needs, host, &mut failed);
        self.roots = roots;
        for bridge in 0..self.nodes.len() {
            let children = core::mem::take(&mut self.nodes[bridge].children);
            if !children.is_empty() {
                self.place_bus(Some(bridge), &children, &needs, host, &mut failed);
            }
            self.nodes[bridge].children = children;
        }
        failed
    }

    /// What each bridge needs for all that is behind it, where its window is not fixed.
    fn needs(&self) -> Vec<[Option<Need>; 3]> {
        let mut needs = vec![[None; 3]; self.nodes.len()];
        for bridge in (0..self.nodes.len()).rev() {
            for class in Class::ALL {
                if matches!(self.nodes[bridge].windows[class as usize], WindowPlan::Fixed(_)) {
                    continue;
                }
                let items = self.items(&self.nodes[bridge].children, class, &needs);
                needs[bridge][class as usize] = pack(&items, class.granule());
            }
        }
        needs
    }

    /// What needs a place on a bus, the largest alignment first.
    fn items(&self, children: &[usize], class: Class, needs: &[[Option<Need>; 3]]) -> Vec<Item> {
        let mut items = Vec::new();
        for &child in children {
            if let Some(need) = needs[child][class as usize] {
                let what = What::Window { bridge: child, class };
                items.push(Item { need, what, wide: false, prefetchable: class == Class::High });
            }
            for slot in 0..BARS {
                if self.nodes[child].bars[slot] != BarPlan::Wanted(class) {
                    continue;
                }
                let Some(bar) = self.bar(child, slot) else { continue };
                // A driver is given whole pages, so nobody else may be in them.
                let size = if class == Class::Io { bar.size } else { bar.size.max(PAGE_BYTES) };
                items.push(Item {
                    need: Need { size, align: size },
                    what: What::Bar { function: child, slot },
                    wide: bar.space == BarSpace::Memory64,
                    prefetchable: bar.prefetchable,
                });
            }
        }
        items.sort_by_key(|item| core::cmp::Reverse((item.need.align, item.need.size)));
        items
    }

    fn place_bus(
        &mut self,
        bridge: Option<usize>,
        children: &[usize],
        needs: &[[Option<Need>; 3]],
        host: &Host,
        failed: &mut Vec<What>,
    ) {
        let mut spaces = [None, None];
        for class in Class::ALL {
            let io = class == Class::Io;
            let window = bridge.map(|bridge| self.nodes[bridge].windows[class as usize].range());
            // Its window found no place: that is known already.
            if window == Some(None) {
                continue;
            }
            for item in self.items(children, class, needs) {
                let Need { size, align } = item.need;
                let space = spaces[usize::from(io)].get_or_insert_with(|| self.space(bridge, io));
                let found = match window.flatten() {
                    Some(window) => space.take(window, size, align),
                    None => root_ranges(host, class, &item)
                        .into_iter()
                        .find_map(|allowed| space.take(allowed, size, align)),
                };
                match (item.what, found) {
                    (what, None) => failed.push(what),
                    (What::Bar { function, slot }, Some(range)) => {
                        self.nodes[function].bars[slot] = BarPlan::Placed(class, range);
                    }
                    (What::Window { bridge, class }, Some(range)) => {
                        self.nodes[bridge].windows[class as usize] = WindowPlan::New(range);
                    }
                }
            }
        }
    }

    /// Addresses on a bus, with what stays there. The windows of the bridges above hold all of the bus, so they do not
    /// count.
    fn space(&self, bridge: Option<usize>, io: bool) -> Space {
        let counts = |fixed: &&Fixed| {
            let above = fixed.window_of.zip(bridge);
            fixed.io == io && !above.is_some_and(|(of, bus)| of == bus || self.is_behind(bus, of))
        };
        Space::new(self.fixed.iter().filter(counts).map(|fixed| fixed.range))
    }
}

/// Where an item on a root bus can lie, the best first.
fn root_ranges(host: &Host, class: Class, item: &Item) -> Vec<Range> {
    let windows = || host.windows.iter().filter(|window| window.io == (class == Class::Io));
    // What has side effects when it is read may not be where the bridge reads ahead.
    let suits = |prefetchable: bool| item.prefetchable || !prefetchable;
    let low = windows().filter(|window| suits(window.prefetchable)).filter_map(|window| {
        let pci = Range { end: window.pci.end.min(LOW_END), ..window.pci };
        (pci.start < pci.end).then_some(pci)
    });
    let high = windows().filter(|window| suits(window.prefetchable)).filter_map(|window| {
        let pci = Range { start: window.pci.start.max(LOW_END), ..window.pci };
        (pci.start < pci.end).then_some(pci)
    });
    match class {
        Class::Io => low.collect(),
        Class::Low if item.wide => low.chain(high).collect(),
        Class::Low => low.collect(),
        Class::High => high.chain(low).collect(),
    }
}

/// The size and alignment of a window that holds all items, laid one behind the other as `Plan::place_bus` does. `None`
/// when there are none.
fn pack(items: &[Item], granule: u64) -> Option<Need> {
    let align = items.iter().map(|item| item.need.align).max()?.max(granule);
    let end = items.iter().try_fold(0u64, |end, item| {
        end.checked_next_multiple_of(item.need.align)?.checked_add(item.need.size)
    });
    // More than there are addresses: it will not fit anywhere, and something behind it is left out.
    let size = end.and_then(|end| end.checked_next_multiple_of(granule)).unwrap_or(u64::MAX);
    Some(Need { size, align })
}
