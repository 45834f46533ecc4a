//! The machine: functions, and bridges that lead to others.

use alloc::{collections::BTreeMap, vec::Vec};
use core::cell::Cell;

use super::FunctionModel;
use crate::{
    Command, ConfigSpace, FunctionAddress, Register, Width,
    header::{BAR0, COMMAND, HEADER_TYPE, SECONDARY_BUS, SUBORDINATE_BUS},
};

/// Where a function is soldered: the bridges on the way, as indices of earlier functions, do not depend on bus numbers.
#[derive(Clone, Debug)]
struct Placed {
    /// The bridge that it is behind.
    behind: Option<usize>,
    /// Root bus number, when behind no bridge.
    root_bus: u8,
    /// Device 7:3, function 2:0.
    place: u8,
    function: FunctionModel,
}

/// A machine of one segment.
#[derive(Clone, Debug, Default)]
pub struct ConfigModel {
    placed: Vec<Placed>,
    writes: BTreeMap<FunctionAddress, usize>,
    reads: Cell<usize>,
    sized_while_decoding: bool,
}

impl ConfigModel {
    /// No functions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a function on a root bus and returns what to give [`ConfigModel::add_behind`].
    pub fn add(&mut self, bus: u8, device: u8, function: u8, model: FunctionModel) -> usize {
        self.place(None, bus, device, function, model)
    }

    /// Puts a function on the bus behind a bridge.
    pub fn add_behind(
        &mut self,
        bridge: usize,
        device: u8,
        function: u8,
        model: FunctionModel,
    ) -> usize {
        self.place(Some(bridge), 0, device, function, model)
    }

    fn place(
        &mut self,
        behind: Option<usize>,
        root_bus: u8,
        device: u8,
        function: u8,
        model: FunctionModel,
    ) -> usize {
        let place = device << 3 | function & 7;
        self.placed.push(Placed { behind, root_bus, place, function: model });
        self.placed.len() - 1
    }

    /// The function with this index.
    pub fn model(&self, index: usize) -> &FunctionModel {
        &self.placed[index].function
    }

    /// The function with this index, to change it behind the software's back.
    pub fn model_mut(&mut self, index: usize) -> &mut FunctionModel {
        &mut self.placed[index].function
    }

    /// How many writes a function has taken.
    pub fn writes(&self, function: FunctionAddress) -> usize {
        self.writes.get(&function).copied().unwrap_or_default()
    }

    /// How many reads there have been.
    pub fn reads(&self) -> usize {
        self.reads.get()
    }

    /// A BAR of an ordinary function held all ones while the function decoded that space.
    pub fn sized_while_decoding(&self) -> bool {
        self.sized_while_decoding
    }

    /// The function that answers to an address now.
    fn route(&self, address: FunctionAddress) -> Option<usize> {
        if address.segment != 0 {
            return None;
        }
        self.placed.iter().position(|placed| {
            placed.place == address.id.bits() as u8
                && self.is_on(placed.behind, placed.root_bus, address.bus())
        })
    }

    /// Whether the bus behind this bridge has the number, and every bridge above passes it on.
    fn is_on(&self, behind: Option<usize>, root_bus: u8, bus: u8) -> bool {
        let Some(mut bridge) = behind else {
            return root_bus == bus;
        };
        let number = |bridge: usize, offset| {
            let register = Register::new(offset, Width::Byte);
            register.map_or(0, |at| self.placed[bridge].function.read(at) as u8)
        };
        if number(bridge, SECONDARY_BUS) != bus || bus == 0 {
            return false;
        }
        // A bridge passes a request on when its own buses have the number but its secondary bus is another.
        while let Some(above) = self.placed[bridge].behind {
            if !(number(above, SECONDARY_BUS) + 1..=number(above, SUBORDINATE_BUS)).contains(&bus) {
                return false;
            }
            bridge = above;
        }
        true
    }

    fn watch(&mut self, index: usize, register: Register, value: u32) {
        let function = &self.placed[index].function;
        let read = |offset, width| Register::new(offset, width).map_or(0, |at| function.read(at));
        let is_bar = (BAR0..BAR0 + 24).contains(&register.offset());
        let ordinary = read(HEADER_TYPE, Width::Byte) & 0x7f == 0;
        let command = Command::from_bits_retain(read(COMMAND, Width::Word) as u16);
        if is_bar && ordinary && value == !0 && command.intersects(Command::IO | Command::MEMORY) {
            self.sized_while_decoding = true;
        }
    }
}

impl ConfigSpace for ConfigModel {
    fn read(&self, function: FunctionAddress, register: Register) -> u32 {
        self.reads.set(self.reads.get() + 1);
        match self.route(function) {
            Some(index) => self.placed[index].function.read(register),
            None => register.width().ones(),
        }
    }

    fn write(&mut self, function: FunctionAddress, register: Register, value: u32) {
        if let Some(index) = self.route(function) {
            self.watch(index, register, value);
            *self.writes.entry(function).or_default() += 1;
            self.placed[index].function.write(register, value);
        }
    }
}
