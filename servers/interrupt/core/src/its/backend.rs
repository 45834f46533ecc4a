//! The ITS as an [`EventRemapper`].

use super::events::{
    Event, EventBlock, EventCapabilities, EventRemapper, EventReserveError, EventState, Prepare,
    PrepareError, Stale,
};
use super::unit::{ItsError, ItsRegisters, ItsUnit, Slot, Wanted};
use super::{DeviceId, EventId};
use crate::vtd::DmaRegion;
use crate::{CpuIndex, Drained, EntryIndex, Flushed, Pair, Unrouted};

/// Multi-message MSI has at most 32 messages (PCI Local Bus 3.0 §6.8.1.3).
const LARGEST_ORDER: u8 = 5;

impl<R: ItsRegisters, M: DmaRegion> EventRemapper for ItsUnit<R, M> {
    type Error = ItsError;

    fn capabilities(&self) -> EventCapabilities {
        EventCapabilities {
            name: "GICv3 ITS",
            isolated: true,
            lpis: self.slots.len() as u32,
            largest_order: LARGEST_ORDER,
        }
    }

    fn can_target(&self, cpu: CpuIndex) -> bool {
        cpu.index() < self.targets.len()
    }

    fn prepare(&mut self, device: DeviceId, need: Prepare) -> Result<(), PrepareError<ItsError>> {
        self.prepare_table(device, need)
    }

    fn outgrow(&mut self, device: DeviceId, events: u32) {
        self.give_up_small_table(device, events);
    }

    fn reserve(&mut self, device: DeviceId, order: u8) -> Result<EventBlock, EventReserveError> {
        let record = self.devices.live(device).ok_or(EventReserveError::NotAttached)?;
        let (events, lpis) = (&mut record.events, &mut self.lpis);
        if events.is_empty() {
            return Err(EventReserveError::NoEvents);
        }
        if lpis.is_empty() {
            return Err(EventReserveError::NoLpis);
        }
        let run = if order == 0 {
            events.take_lowest().zip(lpis.take_lowest())
        } else if order > LARGEST_ORDER {
            None
        } else {
            let first = events.take_run(order);
            let lpi = first.and_then(|_| lpis.take_run(order));
            if let (Some(first), None) = (first, lpi) {
                for number in first..first + (1 << order) {
                    events.insert(number);
                }
            }
            first.zip(lpi)
        };
        let (first, lpi) = run.ok_or(EventReserveError::NoContiguous)?;
        for step in 0..1 << order {
            let owner = Some((device, EventId::from_bits(first + step)));
            // What was here last is done with, so a new slot starts without a ticket.
            self.slots[(lpi + step) as usize] = Slot::new(owner);
        }
        // At most 65,536 LPIs: `ItsUnit::new` checks it.
        Ok(EventBlock::new(device, first, EntryIndex::new(lpi as u16), order))
    }

    fn compose(&self, event: &Event) -> Pair {
        Pair { address: self.translater, data: event.number().bits() }
    }

    fn state(&self, event: &Event) -> EventState {
        match self.slots[event.index().index()].wanted {
            Wanted::Off => EventState::Off,
            Wanted::Routed(cpu) => EventState::Routed(cpu),
            Wanted::Blocked(cpu) => EventState::Blocked(cpu),
        }
    }

    fn route(&mut self, event: &Event, cpu: CpuIndex) -> Stale {
        let wanted = if self.can_target(cpu) { Wanted::Routed(cpu) } else { Wanted::Off };
        self.want(event.index(), wanted);
        Stale::new(event.index())
    }

    fn block(&mut self, event: &Event) -> Option<Stale> {
        let (EventState::Routed(cpu) | EventState::Blocked(cpu)) = self.state(event) else {
            return None;
        };
        self.want(event.index(), Wanted::Blocked(cpu));
        Some(Stale::new(event.index()))
    }

    fn settle(&mut self, stale: Stale) -> Result<(), (Stale, ItsError)> {
        self.bring(stale.index()).map_err(|error| (stale, error))
    }

    /// The property is disabled at once: DISCARD makes redistributors look at it.
    fn unroute(&mut self, event: &Event) -> Unrouted {
        self.want(event.index(), Wanted::Off);
        Unrouted::new(event.index())
    }

    fn flush(&mut self, unrouted: Unrouted) -> Result<Flushed, (Unrouted, ItsError)> {
        match self.bring(unrouted.index()) {
            Ok(()) => Ok(unrouted.flushed()),
            Err(error) => Err((unrouted, error)),
        }
    }

    fn release(&mut self, event: Event, drained: Drained) {
        let index = event.index();
        let owner = Some((event.device(), event.number()));
        let mut freed = false;
        if drained.index() == index && self.is_quiet(index) && self.owner(index) == owner {
            if let Some(device) = self.devices.live(event.device()) {
                freed = device.events.insert(event.number().bits());
            }
            freed = freed && self.lpis.insert(index.bits().into());
            self.slots[index.index()] = Slot::default();
        }
        // The server pairs them; what is not given back is only lost, never shared.
        debug_assert!(freed, "proof and event belong together, and the event is off");
    }

    fn events_used(&self) -> u32 {
        self.slots.len() as u32 - self.lpis.len()
    }
}

impl<R: ItsRegisters, M: DmaRegion> ItsUnit<R, M> {
    fn owner(&self, index: EntryIndex) -> Option<(DeviceId, EventId)> {
        self.slots.get(index.index()).and_then(|slot| slot.owner)
    }
}
