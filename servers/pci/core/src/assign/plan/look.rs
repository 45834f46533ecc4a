//! What there is, and what of it stays.

use alloc::{vec, vec::Vec};

use super::{BarPlan, Fixed, Node, Plan, WindowPlan};
use crate::{
    ConfigSpace, Function, Kind, Topology,
    assign::{Class, Host, window},
    bars::{BARS, Bars, Space},
    placement::Range,
};

impl<'b> Plan<'b> {
    /// What there is, and what of it stays.
    pub(in crate::assign) fn new<C: ConfigSpace + ?Sized>(
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
            let io = bar.space == Space::Io;
            let range = Range::new(bar.address, bar.size);
            if bar.is_assigned()
                && (!self.exact
                    || self.is_forwarded(above, range, io, host) && self.is_free(range, io, index))
            {
                self.fixed.push(Fixed { range, io, window_of: None });
                continue;
            }
            let class = match bar.space {
                Space::Io => Class::Io,
                Space::Memory64 if bar.prefetchable && reaches_high => Class::High,
                Space::Memory32 | Space::Memory64 => Class::Low,
            };
            self.nodes[index].bars[slot] = BarPlan::Wanted(class);
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
}
