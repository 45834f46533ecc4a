//! Records of lines and of owners, by number and generation. There are few of them: what is
//! looked for is looked for one by one.

use super::types::LineKey;
use super::{LINES, LineId, Mode, OWNERS, Standing, Trigger, Way, WireId, Wiring};
use crate::{ClientId, CpuEvent, MessageId};
use alloc::vec::Vec;

/// Who may have which line.
pub(super) struct Grant {
    pub(super) client: ClientId,
    pub(super) line: LineId,
    pub(super) wiring: Wiring,
}

/// What a line does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Delivered.
    Open,
    /// Masked because of its rate, until then.
    HeldOff { until_ns: u64 },
    /// Nobody's any more; something of it may be on its way.
    Closing,
}

/// What the kernel knows of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LineMessage<H> {
    /// The object, until the kernel has let go of it.
    pub(super) handle: Option<H>,
    /// Its name at the core, where the line is a message; else the line's event is its own.
    pub(super) id: Option<MessageId>,
    /// Where it arrives.
    pub(super) event: CpuEvent,
    /// It moved, and the kernel still accepts the former CPU.
    pub(super) moving: bool,
    /// The kernel was told to block it, or to take its event away ([`Line::loses_its_event`]).
    pub(super) blocked: bool,
    /// Events that the kernel had counted as blocked before it was held off.
    pub(super) missed: u64,
}

/// A line in use.
pub(super) struct Line<H> {
    pub(super) id: LineId,
    pub(super) wiring: Wiring,
    pub(super) mode: Mode,
    pub(super) way: Way,
    pub(super) state: State,
    pub(super) message: LineMessage<H>,
    /// Owners that were told and have not answered.
    pub(super) waiting: u32,
    /// When it came.
    pub(super) fired_ns: u64,
    /// When the others stop waiting for them.
    pub(super) patience_ns: u64,
    /// A step of the chip that it did not follow in time.
    pub(super) owed: Owed,
}

/// What the chip still has to be told, which is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Owed {
    pub(super) mask: bool,
    pub(super) end: bool,
}

impl<H> Line<H> {
    /// Whether the kernel's event is taken from it while it is held off.
    pub(super) const fn loses_its_event(&self) -> bool {
        matches!((self.way, self.wiring.trigger), (Way::Private(_), Trigger::Edge))
    }

    pub(super) const fn needs_tick(&self) -> bool {
        !matches!(self.state, State::Open) || self.waiting > 0 || self.owed.mask || self.owed.end
    }
}

/// An owner of a line.
pub(super) struct Owner<H> {
    pub(super) client: ClientId,
    /// The line's record.
    pub(super) line: u32,
    /// What it was given: the line's message, or one of its own.
    pub(super) handle: H,
    /// It was told of the line's last event and has not answered.
    pub(super) told: bool,
    /// Whether it answers.
    pub(super) standing: Standing,
}

/// Places that are used again, each time under a new generation.
pub(super) struct Slab<T> {
    places: Vec<(u32, Option<T>)>,
    limit: usize,
}

impl<T> Slab<T> {
    const fn with_limit(limit: usize) -> Self {
        Self { places: Vec::new(), limit }
    }

    /// A free place, with its generation. It stays free until `put`.
    pub(super) fn reserve(&mut self) -> Option<(u32, u32)> {
        let free = self.places.iter().position(|(_, item)| item.is_none());
        let place = match free {
            Some(place) => place,
            None if self.places.len() == self.limit => return None,
            None => {
                self.places.try_reserve(1).ok()?;
                self.places.push((0, None));
                self.places.len() - 1
            }
        };
        Some((place as u32, self.places[place].0))
    }

    pub(super) fn put(&mut self, place: u32, item: T) {
        self.places[place as usize].1 = Some(item);
    }

    /// Its name means nothing from here on.
    pub(super) fn take(&mut self, place: u32) -> Option<T> {
        let (generation, item) = self.places.get_mut(place as usize)?;
        *generation = generation.wrapping_add(1);
        item.take()
    }

    fn named(&self, place: u32, generation: u32) -> Option<u32> {
        let (own, item) = self.places.get(place as usize)?;
        (item.is_some() && *own == generation).then_some(place)
    }

    pub(super) fn generation(&self, place: u32) -> u32 {
        self.places[place as usize].0
    }

    pub(super) fn peek(&self, place: u32) -> Option<&T> {
        self.places.get(place as usize)?.1.as_ref()
    }

    /// Every caller has the place from `reserve`, `find` or `iter`.
    pub(super) fn get(&self, place: u32) -> &T {
        let item = self.places[place as usize].1.as_ref();
        item.expect("a place in use")
    }

    pub(super) fn get_mut(&mut self, place: u32) -> &mut T {
        let item = self.places[place as usize].1.as_mut();
        item.expect("a place in use")
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(place, (_, item))| Some((place as u32, item.as_ref()?)))
    }

    /// Behind the last place that was ever used: for loops that change what they walk over.
    pub(super) fn end(&self) -> u32 {
        self.places.len() as u32
    }

    /// The place, if it is in use.
    pub(super) fn used(&mut self, place: u32) -> Option<&mut T> {
        self.places.get_mut(place as usize)?.1.as_mut()
    }
}

pub(super) type Lines<H> = Slab<Line<H>>;
pub(super) type Owners<H> = Slab<Owner<H>>;

impl<H> Slab<Line<H>> {
    pub(super) const fn new() -> Self {
        Self::with_limit(LINES)
    }

    pub(super) fn find(&self, key: LineKey) -> Option<u32> {
        self.named(key.slot, key.generation)
    }

    pub(super) fn key(&self, place: u32) -> LineKey {
        LineKey { slot: place, generation: self.generation(place) }
    }

    pub(super) fn of(&self, id: LineId) -> Option<u32> {
        self.iter().find(|(_, line)| line.id == id).map(|(place, _)| place)
    }
}

impl<H> Slab<Owner<H>> {
    pub(super) const fn new() -> Self {
        Self::with_limit(OWNERS)
    }

    pub(super) fn find(&self, id: WireId) -> Option<u32> {
        self.named(id.slot(), id.generation())
    }

    pub(super) fn id(&self, place: u32) -> WireId {
        WireId::new(place, self.generation(place))
    }

    pub(super) fn of_line(&self, line: u32) -> impl Iterator<Item = (u32, &Owner<H>)> {
        self.iter().filter(move |(_, owner)| owner.line == line)
    }
}
