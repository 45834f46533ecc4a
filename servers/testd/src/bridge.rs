//! A root port as a device of its own: MSI of the 32-bit form with mask and pending bits, two
//! messages (QEMU's `ioh3420`, the only such device there). Its hot-plug controller raises
//! message 0 when a command is complete, and every write to Slot Control is a command (PCIe
//! §6.7.3.2).

use alloc::vec::Vec;
use libsys::interrupt::{Interrupt, Interrupts};
use libsys::pci::Device;
use libsys::store::{Store, StoreError};
use tocsin_abi::Error;
use tocsin_proto::interrupt::Error as Refusal;
use tocsin_proto::pci::Width;

use crate::driver::{Claimed, Client};
use crate::harness::{Failure, Outcome, check, refused, same, skip, wrong};
use crate::kit::{self, Ctx, Own};

crate::tests![
    bridge_masked_slot_keeps_its_event,
    bridge_slot_registers_are_all_that_can_be_written,
    bridge_block_is_as_large_as_its_capability,
];

const IOH3420: (u16, u16) = (0x8086, 0x3420);
/// Key of message 0.
const KEY: u64 = 0x50;

/// Slot Control and Slot Status (PCIe §7.5.3.10, §7.5.3.11): command completed, and interrupts.
const CONTROL: u16 = 0x18;
const STATUS: u16 = 0x1a;
const COMPLETED: u32 = 1 << 4;
const INTERRUPTS: u32 = 1 << 5;
/// Slot Control: the power controller.
const POWER: u32 = 1 << 10;

/// The port, its block, and where its registers are.
struct Ioh {
    claim: Claimed,
    store: Store,
    slots: Vec<Interrupt>,
    port: Own,
    express: u16,
    msi: u16,
}

/// Where a capability is.
fn capability(device: Device, id: u32) -> Result<u16, Failure> {
    let mut at = device.config_read(0x34, Width::Byte)? as u16;
    for _ in 0..48 {
        if at != 0 && device.config_read(at, Width::Byte)? == id {
            return Ok(at);
        }
        at = device.config_read(at + 1, Width::Byte)? as u16;
    }
    Err(wrong(alloc::format!("no capability {id:#x}")))
}

impl Ioh {
    fn new(ctx: &Ctx) -> Result<Ioh, Failure> {
        let claim = Claimed::new(ctx, IOH3420)?;
        if !Client::new(ctx, claim.requester)?.info()?.isolated {
            return Err(skip("a block needs a remapper"));
        }
        let device = claim.device();
        let found = device.describe()?.msi.ok_or_else(|| wrong("no MSI capability"))?;
        same((found.slots, found.per_slot_mask, found.wide_address), (2, true, false), "its form")?;
        let (express, msi) = (capability(device, 0x10)?, capability(device, 0x05)?);
        let store = Store::pci_msi(device).map_err(|error| wrong(alloc::format!("{error}")))?;
        let mut ioh = Ioh { claim, store, slots: Vec::new(), port: kit::port()?, express, msi };
        ioh.slots = ioh.interrupts().add_block(&ioh.store, 2, KEY).map_err(failed)?;
        for slot in &mut ioh.slots {
            slot.activate().map_err(failed)?;
        }
        Ok(ioh)
    }

    fn interrupts(&self) -> Interrupts {
        Interrupts::new(self.claim.interrupt.h(), self.port.h())
    }

    /// Has the port complete a command, which raises message 0.
    fn raise(&self) -> Outcome {
        let (device, status) = (self.claim.device(), self.express + STATUS);
        if device.config_read(status, Width::Word)? & COMPLETED != 0 {
            device.config_write(status, Width::Word, COMPLETED)?;
        }
        let control = device.config_read(self.express + CONTROL, Width::Word)?;
        let command = control | COMPLETED | INTERRUPTS;
        Ok(device.config_write(self.express + CONTROL, Width::Word, command)?)
    }

    #[track_caller]
    fn arrives(&self, what: &str) -> Outcome {
        let packet = kit::next(&self.port)?;
        same((packet.key, packet.count), (KEY, 1), what)
    }

    fn pending(&self) -> Result<[Option<bool>; 2], StoreError> {
        Ok([self.store.is_pending(0)?, self.store.is_pending(1)?])
    }
}

fn failed(error: impl core::fmt::Debug) -> Failure {
    wrong(alloc::format!("unexpected {error:?}"))
}

fn bridge_masked_slot_keeps_its_event(ctx: &Ctx) -> Outcome {
    let mut ioh = Ioh::new(ctx)?;
    let control = ioh.claim.device().config_read(ioh.msi + 2, Width::Word)?;
    // Enabled, two of two messages, 32 bits, mask bits (PCIe §7.7.1.2).
    same(control & 0x1ff, 0x113, "message control")?;
    ioh.raise()?;
    ioh.arrives("an event of an unmasked slot")?;
    for round in 0..8 {
        let cpu = round % ctx.env.cpus;
        ioh.slots[0].mask().map_err(failed)?;
        ioh.raise()?;
        refused(kit::listen(&ioh.port), Error::TimedOut, "a packet of a masked slot")?;
        same(ioh.pending().map_err(failed)?, [Some(true), Some(false)], "pending bits, masked")?;
        // It moves meanwhile, in the remapper, and the event goes where the message is then.
        ioh.slots[0].set_affinity(1 << cpu).map_err(failed)?;
        ioh.slots[0].unmask().map_err(failed)?;
        ioh.arrives("what was pending")?;
        same(ioh.pending().map_err(failed)?, [Some(false); 2], "pending bits, unmasked")?;
        same(u32::from(ioh.slots[0].status()?.cpu), cpu, "the CPU that took the event")?;
        // The other slot's mask is its own.
        ioh.slots[1].mask().map_err(failed)?;
        ioh.raise()?;
        ioh.arrives("an event while the other slot is masked")?;
        ioh.slots[1].unmask().map_err(failed)?;
    }
    refused(kit::listen(&ioh.port), Error::TimedOut, "a packet without an event")?;
    same(ioh.slots[1].status()?.delivered, 0, "delivered to the slot that nothing raised")
}

fn bridge_slot_registers_are_all_that_can_be_written(ctx: &Ctx) -> Outcome {
    let ioh = Ioh::new(ctx)?;
    let device = ioh.claim.device();
    let control = device.config_read(ioh.express + CONTROL, Width::Word)?;
    let mut good = 0;
    for offset in (0..0x100).step_by(2) {
        let value = device.config_read(offset, Width::Word)?;
        let same_value = device.config_write(offset, Width::Word, value).is_ok();
        // Status bits that are set would be cleared by it.
        let slots = [ioh.express + CONTROL, ioh.express + STATUS].contains(&offset);
        check(!same_value || slots, format_args!("{offset:#x} can be written"))?;
        good += u32::from(same_value);
    }
    check(good >= 1, "Slot Control can be written")?;
    let power = device.config_write(ioh.express + CONTROL, Width::Word, control ^ POWER);
    check(power.is_err(), "the power of what is in the slot")?;
    let wide = device.config_write(ioh.express + CONTROL, Width::Long, control);
    check(wide.is_err(), "both registers at once")
}

fn bridge_block_is_as_large_as_its_capability(ctx: &Ctx) -> Outcome {
    let mut ioh = Ioh::new(ctx)?;
    let before = ioh.claim.requester;
    ioh.slots.clear();
    let too_many = ioh.interrupts().add_block(&ioh.store, 4, KEY).map(drop);
    same(too_many, Err(StoreError::TooManySlots.into()), "four of two")?;
    let odd = ioh.interrupts().add_block(&ioh.store, 0, KEY).map(drop);
    let bad = libsys::interrupt::InterruptError::Server(Refusal::BadArgument);
    same(odd, Err(bad), "none")?;
    // The slots of the first block are free again, and work.
    ioh.slots = ioh.interrupts().add_block(&ioh.store, 2, KEY).map_err(failed)?;
    ioh.slots[0].activate().map_err(failed)?;
    ioh.raise()?;
    ioh.arrives("the second block")?;
    same(ioh.claim.requester, before, "its requester id")
}
