//! Where a device tree says that interrupt pins lead.
//!
//! A host bridge's `interrupt-map` has an entry for each slot and pin (DT 2.4.3, OF 7): the child's address and pin, both
//! under a mask, then whose interrupt it is. That may be a node with a map of its own, and so on up to a controller. Behind
//! a bridge a pin first becomes one of the bridge's ([`Pin::swizzle`]), unless the bridge has a node with its own map.
//!
//! Nothing is kept: an answer is looked up when a device's driver asks for its wire, which is once.

use dtoolkit::Property;
use dtoolkit::fdt::Fdt;

use super::interrupt_map::{Request, resolve};
use super::{MAX_HOSTS, Pin, tree};
use crate::arm::Error;
use crate::nodes::{Nodes, Place};
use crate::{Line, RequesterId, tree as flattened};

pub use super::interrupt_map::NoLine;

/// The pins of all devices behind the host bridges of a device tree.
#[derive(Clone, Copy, Debug)]
pub struct Pins<'a> {
    tree: Fdt<'a>,
}

impl<'a> Pins<'a> {
    /// Of a flattened device tree. `bytes` may be longer than it is.
    pub fn from_device_tree(bytes: &'a [u8]) -> Result<Self, Error> {
        Ok(Self { tree: flattened::open(bytes)? })
    }

    /// The line of a function's pin. `way` leads to the function: the one on a bus of the host bridge first, then what is
    /// behind it, and so on; the function itself is the last.
    pub fn line(&self, segment: u16, way: &[RequesterId], pin: Pin) -> Result<Line, NoLine> {
        let host = self.host(segment).ok_or(NoLine::NoMap)?;
        let (function, mut above) = way.split_last().ok_or(NoLine::NoMap)?;
        if node_of(host, way).is_some_and(|node| {
            ["interrupts", "interrupts-extended"].iter().any(|name| node.property(name).is_some())
        }) {
            return Err(NoLine::OwnNode);
        }
        let (mut function, mut pin) = (*function, pin);
        loop {
            let bus = node_of(host, above).filter(|bus| bus.property("interrupt-map").is_some());
            if let Some(bus) = bus {
                return resolve(self.tree, &bus, Request::of_pin(function, pin));
            }
            let Some((bridge, further)) = above.split_last() else { return Err(NoLine::NoMap) };
            pin = pin.swizzle(function.device());
            (function, above) = (*bridge, further);
        }
    }

    /// The node of the host bridge with this segment: bridges that are described wrongly do not count, and get no number.
    fn host(&self, segment: u16) -> Option<Place<'a>> {
        let mut number = 0;
        Nodes::of(self.tree).filter(tree::is_host).find(|place| {
            let found = tree::segment(place, number);
            number += usize::from(found.is_ok());
            number <= MAX_HOSTS && found.is_ok_and(|found| found.segment == segment)
        })
    }
}

/// The node at the end of a way from the host bridge. Few functions have one: what can be found by asking need not be
/// described.
fn node_of<'a>(host: Place<'a>, way: &[RequesterId]) -> Option<Place<'a>> {
    way.iter().try_fold(host, |bus, function| {
        bus.children().find(|node| {
            // The first cell of `reg` (OF 2.2.1.1). Its bus number does not count: buses are numbered after the tree was
            // written.
            let reg = node.property("reg");
            let first = reg.and_then(|reg| Some(u32::from_be_bytes(*reg.value().first_chunk()?)));
            first.is_some_and(|first| first >> 8 & 0xff == u32::from(function.bits()) & 0xff)
        })
    })
}
