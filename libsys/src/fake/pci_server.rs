//! A model of the PCI server's side of MSI and MSI-X: it reads an MSI slot's pair from the
//! message it is given, and switches the MSI-X table as a whole.

use super::kernel::{self, Call, Return};
use super::trace;
use crate::sys;
use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use tocsin_abi::Handle;
use tocsin_proto::pci::{Description, Error, Msi, MsiPendingSlots, MsiX, MsiXSet, Request};
use tocsin_proto::{Frame, Nothing, Reply, badge};

/// One slot of the capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Slot {
    pair: (u64, u32),
    is_masked: bool,
}

/// A device with an MSI or an MSI-X capability. Clones are the same device.
#[derive(Clone, Debug)]
pub struct FakePci(Rc<RefCell<Capabilities>>);

#[derive(Debug)]
struct Capabilities {
    msi: Vec<Slot>,
    per_slot_mask: bool,
    /// Masked slots with an event.
    pending: u32,
    msix: Option<(MsiX, MsiXSet)>,
}

impl FakePci {
    /// A device with so many MSI slots; zero for none.
    #[must_use]
    pub fn new(slots: u8) -> FakePci {
        let slot = Slot { pair: (0, 0), is_masked: true };
        let msi = alloc::vec![slot; slots.into()];
        FakePci(Rc::new(RefCell::new(Capabilities {
            msi,
            per_slot_mask: true,
            pending: 0,
            msix: None,
        })))
    }

    /// A device with so many MSI slots that can not be masked one by one.
    #[must_use]
    pub fn without_masks(slots: u8) -> FakePci {
        let device = FakePci::new(slots);
        device.0.borrow_mut().per_slot_mask = false;
        device
    }

    /// A device with this MSI-X capability, which firmware has left on.
    #[must_use]
    pub fn with_msix(msix: MsiX) -> FakePci {
        let device = FakePci::new(0);
        device.0.borrow_mut().msix = Some((msix, MsiXSet::On));
        device
    }

    /// How the MSI-X table is switched.
    #[must_use]
    pub fn msix(&self) -> Option<MsiXSet> {
        self.0.borrow().msix.map(|(_, set)| set)
    }

    /// An endpoint for its driver.
    #[must_use]
    pub fn client(&self, requester: u16) -> Handle {
        let device = self.clone();
        kernel::endpoint(badge::of_device(requester), move |call| device.answer(&call))
    }

    /// The device raises a slot: false when it is masked.
    #[must_use]
    pub fn raise(&self, slot: u8) -> bool {
        let mut device = self.0.borrow_mut();
        let Slot { pair, is_masked } = device.msi[usize::from(slot)];
        if is_masked && device.per_slot_mask {
            device.pending |= 1 << slot;
            return false;
        }
        // Without masks it is all of them or none.
        let is_on = device.msi.iter().any(|slot| !slot.is_masked);
        drop(device);
        is_on && kernel::device_write(pair.0, pair.1)
    }

    fn answer(&self, call: &Call) -> Return {
        let result = Request::decode(call.label, &call.words, call.handles.len())
            .map_err(Error::from)
            .and_then(|request| self.request(&request, &call.handles));
        Return { frame: result.unwrap_or_else(Frame::refusal), handles: Vec::new() }
    }

    fn request(&self, request: &Request, handles: &[Handle]) -> Result<Frame, Error> {
        let mut device = self.0.borrow_mut();
        let Capabilities { msi: slots, per_slot_mask, pending, msix } = &mut *device;
        let count = slots.len() as u8;
        match *request {
            Request::Describe(_) => {
                let msi = Msi { slots: count, per_slot_mask: *per_slot_mask, wide_address: true };
                let description = Description {
                    requester: 0x18,
                    vendor: 0x1234,
                    device: 0x11e8,
                    revision: 0,
                    class: [0xff, 0, 0],
                    msi: (count > 0).then_some(msi),
                    msix: msix.map(|(msix, _)| msix),
                };
                return Ok(description.frame());
            }
            Request::MsiWrite(ask) => {
                trace("msi write");
                let message = handles.first().ok_or(Error::NotAMessage)?;
                let status = sys::message_read(*message).map_err(|_| Error::NotAMessage)?.values;
                slot(slots, ask.slot)?.pair = (status[0], status[1] as u32);
            }
            Request::MsiMask(ask) => {
                trace(format!("msi mask {}", ask.slot));
                slot(slots, ask.slot)?.is_masked = true;
            }
            Request::MsiUnmask(ask) => {
                trace(format!("msi unmask {}", ask.slot));
                slot(slots, ask.slot)?.is_masked = false;
                let waits = *pending & 1 << ask.slot != 0;
                *pending &= !(1 << ask.slot);
                if waits {
                    let (address, data) = slot(slots, ask.slot)?.pair;
                    drop(device);
                    let _ = kernel::device_write(address, data);
                    return Ok(Nothing.frame());
                }
            }
            Request::MsiPending(_) => {
                return Ok(MsiPendingSlots { slots: *pending }.frame());
            }
            Request::MsiXSet(set) => {
                trace(format!("msix {set:?}"));
                msix.as_mut().ok_or(Error::NotSupported)?.1 = set;
            }
            _ => return Err(Error::NotAllowed),
        }
        Ok(Nothing.frame())
    }
}

fn slot(slots: &mut [Slot], n: u8) -> Result<&mut Slot, Error> {
    slots.get_mut(usize::from(n)).ok_or(Error::BadSlot)
}
