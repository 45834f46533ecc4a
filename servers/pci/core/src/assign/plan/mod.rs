//! Who gets which addresses.

mod look;
mod place;

use alloc::vec::Vec;

use super::{Class, Host, ROUNDS};
use crate::{
    bars::{BARS, Bar, Bars, Slot},
    placement::Range,
};

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

/// What needs a place.
#[derive(Clone, Copy, Debug)]
enum What {
    Bar { function: usize, slot: usize },
    Window { bridge: usize, class: Class },
}

/// How much is let go of when something does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// What does not fit into 64 bits may still fit into 32; of what is behind a bridge only the largest.
    Gently,
    /// All of it.
    Wholly,
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

impl Plan<'_> {
    /// Finds places for all that want one, and leaves out what has none.
    pub(super) fn solve(mut self, host: &Host) -> Outcome {
        for round in 0..3 * ROUNDS {
            self.forget();
            let failed = self.place(host);
            if failed.is_empty() {
                return self.outcome();
            }
            for what in failed {
                let manner = if round < ROUNDS { Manner::Gently } else { Manner::Wholly };
                self.leave_out(what, manner);
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

    /// Lets go of a BAR that does not fit, or of what is behind a bridge whose window does not.
    fn leave_out(&mut self, what: What, manner: Manner) {
        let (bridge, class) = match what {
            What::Bar { function, slot } => return self.leave_out_bar(function, slot, manner),
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
        if manner == Manner::Gently {
            // The first of the largest.
            let largest = behind.iter().rev().max_by_key(|(size, ..)| *size).copied();
            behind.clear();
            behind.extend(largest);
        }
        for (_, function, slot) in behind {
            self.leave_out_bar(function, slot, manner);
        }
    }

    fn leave_out_bar(&mut self, function: usize, slot: usize, manner: Manner) {
        let bar = &mut self.nodes[function].bars[slot];
        let was_high = *bar == BarPlan::Wanted(Class::High);
        *bar = if was_high && manner == Manner::Gently {
            BarPlan::Wanted(Class::Low)
        } else {
            BarPlan::LeftOut
        };
    }

    /// A BAR register of a function, if there is a BAR.
    fn bar(&self, function: usize, slot: usize) -> Option<Bar> {
        match self.bars.get(function)?.get(slot)? {
            Slot::Present(bar) => Some(*bar),
            _ => None,
        }
    }

    /// Whether a bridge is above a function.
    fn is_behind(&self, index: usize, bridge: usize) -> bool {
        let parent = |index: &usize| self.nodes[*index].parent;
        core::iter::successors(parent(&index), parent).any(|above| above == bridge)
    }
}
