//! Places, bus by bus.

use alloc::{vec, vec::Vec};

use super::{BarPlan, Fixed, Plan, What, WindowPlan};
use crate::{
    assign::{Class, Host, space::Space},
    bars::{BARS, Space as BarSpace},
    placement::{PAGE_BYTES, Range},
};

/// End of what 32-bit registers reach.
const LOW_END: u64 = 1 << 32;

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

impl Plan<'_> {
    /// Places everything, bus by bus. What did not fit is the answer.
    pub(super) fn place(&mut self, host: &Host) -> Vec<What> {
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
