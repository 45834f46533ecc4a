//! Writing the plan.

use alloc::{vec, vec::Vec};

use super::plan::{BarPlan, Node, Outcome, WindowPlan};
use super::{Class, Note, Unplaced, window};
use crate::{
    Command, ConfigExt, ConfigSpace, FunctionAddress, Topology,
    bars::{Bar, Bars, Slot, Space},
    header::{BAR0, COMMAND},
};

/// By class: the bridge on the way that did not take its window.
type Stuck = [Option<FunctionAddress>; 3];

/// Writes everything, bridges before what is behind them.
pub(super) fn commit<C: ConfigSpace + ?Sized>(
    config: &mut C,
    topology: &Topology,
    bars: &mut [Bars],
    outcome: &Outcome,
) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut stuck: Vec<Stuck> = vec![[None; 3]; outcome.nodes.len()];
    for (index, function) in topology.functions().iter().enumerate() {
        let (Some(node), Some(bars)) = (outcome.nodes.get(index), bars.get_mut(index)) else {
            break;
        };
        let mut writer =
            Writer { config: &mut *config, function: function.address, notes: &mut notes };
        let above = node.parent.map_or([None; 3], |parent| stuck[parent]);
        stuck[index] = writer.windows(node, above, outcome.exact);
        writer.bars(node, bars, above, outcome.exact);
        if !node.children.is_empty() {
            writer.forward(node);
        }
    }
    notes
}

/// Writes what concerns one function.
struct Writer<'w, C: ?Sized> {
    config: &'w mut C,
    function: FunctionAddress,
    notes: &'w mut Vec<Note>,
}

impl<C: ConfigSpace + ?Sized> Writer<'_, C> {
    /// Opens a bridge's new windows and, where it is known what the host bridge forwards, closes those that lead nowhere.
    fn windows(&mut self, node: &Node, above: Stuck, exact: bool) -> Stuck {
        let bridge = self.function;
        let mut stuck = above;
        for class in Class::ALL {
            match node.windows[class as usize] {
                WindowPlan::Fixed(_) => {}
                WindowPlan::Closed => {
                    let is_open =
                        node.is_bridge && window::read(self.config, bridge, class).is_some();
                    if exact && is_open {
                        // A window that is not there cannot be closed; it does no harm.
                        let _ = window::write(self.config, bridge, class, None);
                    }
                }
                // Nothing comes to it.
                WindowPlan::New(_) if stuck[class as usize].is_some() => {}
                WindowPlan::New(range) => {
                    if window::write(self.config, bridge, class, Some(range)) {
                        self.notes.push(Note::Opened { bridge, class, range });
                    } else {
                        let _ = window::write(self.config, bridge, class, None);
                        stuck[class as usize] = Some(bridge);
                    }
                }
            }
        }
        stuck
    }

    /// Writes new addresses. The function does not decode meanwhile, nor afterwards what still has none.
    fn bars(&mut self, node: &Node, bars: &mut Bars, above: Stuck, exact: bool) {
        if node.bars.iter().all(|plan| *plan == BarPlan::Untouched) {
            return;
        }
        let function = self.function;
        let command = Command::from_bits_retain(self.config.read16(function, COMMAND));
        let quiet = command - (Command::MEMORY | Command::IO);
        let mut after = command;
        self.config.write16(function, COMMAND, quiet.bits());
        for (slot, plan) in bars.iter_mut().zip(node.bars) {
            let Slot::Present(bar) = slot else { continue };
            let placed = match plan {
                BarPlan::Untouched => continue,
                BarPlan::Wanted(_) | BarPlan::LeftOut => Err(Unplaced::NoRoom),
                BarPlan::Placed(class, range) => match above[class as usize] {
                    Some(bridge) => Err(Unplaced::BridgeStuck { bridge }),
                    None if self.write_bar(bar, range.start) => Ok(range.start),
                    None => Err(Unplaced::Stuck),
                },
            };
            bar.address = placed.unwrap_or(0);
            match placed {
                Ok(_) => self.notes.push(Note::Placed { function, bar: *bar }),
                Err(why) => {
                    self.notes.push(Note::NotPlaced { function, bar: *bar, why });
                    after -= if bar.space == Space::Io { Command::IO } else { Command::MEMORY };
                }
            }
        }
        // Where firmware has been at work, what it has switched on stays on: it may know why.
        let command = if exact { after } else { command };
        self.config.write16(function, COMMAND, command.bits());
    }

    /// Says whether the register holds the address.
    fn write_bar(&mut self, bar: &Bar, address: u64) -> bool {
        let at = BAR0 + u16::from(bar.index) * 4;
        let flags = if bar.space == Space::Io { 3 } else { 0xf };
        // Writes to the type bits go nowhere (PCIe §7.5.1.2.1).
        self.config.write32(self.function, at, address as u32);
        let mut holds = u64::from(self.config.read32(self.function, at) & !flags);
        if bar.space == Space::Memory64 {
            self.config.write32(self.function, at + 4, (address >> 32) as u32);
            holds |= u64::from(self.config.read32(self.function, at + 4)) << 32;
        }
        holds == address
    }

    /// Lets a bridge forward in both directions: requests from above to its windows, and DMA and messages from below.
    fn forward(&mut self, node: &Node) {
        let mut wanted = Command::MEMORY | Command::BUS_MASTER;
        wanted.set(Command::IO, node.windows[Class::Io as usize] != WindowPlan::Closed);
        let command = Command::from_bits_retain(self.config.read16(self.function, COMMAND));
        if !command.contains(wanted) {
            self.config.write16(self.function, COMMAND, (command | wanted).bits());
        }
    }
}
