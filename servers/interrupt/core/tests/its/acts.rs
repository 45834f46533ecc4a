//! What the tests of the ITS back end do again and again.

use crate::rig::{Unit, cpu};
use interrupt_core::Unrouted;
use interrupt_core::fake::ItsModel;
use interrupt_core::its::{DeviceId, Event, EventRemapper, Stale};

pub(crate) const A: DeviceId = DeviceId::from_bits(0x0010);
pub(crate) const B: DeviceId = DeviceId::from_bits(0x0018);

pub(crate) fn one(unit: &mut Unit, device: DeviceId) -> Event {
    unit.reserve(device, 0).unwrap().next().unwrap()
}

pub(crate) fn settled(unit: &mut Unit, stale: Stale) {
    unit.settle(stale).expect("the ITS follows");
}

pub(crate) fn route(unit: &mut Unit, event: &Event, to: u8) {
    let stale = unit.route(event, cpu(to));
    settled(unit, stale);
}

/// DISCARD → SYNC → (drained) → release.
pub(crate) fn give_back(unit: &mut Unit, event: Event) {
    let unrouted: Unrouted = unit.unroute(&event);
    let flushed = unit.flush(unrouted).expect("the ITS follows");
    unit.release(event, flushed.drained());
}

pub(crate) fn quiet(model: &ItsModel) {
    assert_eq!(model.violations(), Vec::<String>::new());
}
