//! Real devices: what they write arrives where it must and nowhere else (invariants 1, 2,
//! 4, 5 and 7).

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use libsys::ipc::AskError;
use tocsin_abi::{Error, Rights};
use tocsin_proto::StoreKind;
use tocsin_proto::interrupt::{ANY_CPU, RemapperKind};

use crate::arch;
use crate::driver::{Client, Edu, Irq, Lsi};
use crate::harness::{Failure, Outcome, check, refused, same, skip};
use crate::kit::{self, Ctx, Own};
use crate::worker::Worker;

crate::tests![
    device_msi_arrives_once_each,
    device_msi_on_every_cpu,
    device_msi_is_not_lost_while_it_moves,
    device_masked_slot_is_silent,
    device_blocked_message_is_silent_and_told_afterwards,
    device_freed_message_is_silent,
    device_revoked_driver_is_silent,
    device_pair_of_another_device_is_blocked,
    device_msi_pair_is_never_made_up,
    device_ims_arrives_on_its_own_message,
    device_ims_freed_message_is_silent,
    device_ims_blocked_message_is_silent_and_told_afterwards,
    device_ims_moves_without_touching_the_store,
    device_ims_is_not_lost_while_it_moves,
    device_ims_wrong_addresses_raise_nothing,
];

/// An active MSI message of `edu`, bound to a port.
struct Msi {
    edu: Edu,
    client: Client,
    irq: Irq,
    port: Own,
}

impl Msi {
    fn new(ctx: &Ctx) -> Result<Msi, Failure> {
        let edu = Edu::new(ctx)?;
        let client = edu.client(ctx)?;
        let irq = client.one(StoreKind::PciMsi)?;
        let port = kit::port()?;
        irq.bind(&port, 0xed)?;
        client.activate(irq.id)?;
        edu.claim.msi_write(&irq.message)?;
        edu.claim.msi_unmask()?;
        Ok(Msi { edu, client, irq, port })
    }

    /// Raises once and expects exactly one packet.
    #[track_caller]
    fn arrives(&self) -> Outcome {
        self.edu.raise();
        let packet = kit::next(&self.port)?;
        same((packet.key, packet.count), (0xed, 1), "key and count")
    }

    /// Raises a few times and expects nothing.
    #[track_caller]
    fn is_silent(&self, what: &str) -> Outcome {
        for _ in 0..3 {
            self.edu.raise();
        }
        refused(kit::listen(&self.port), Error::TimedOut, what)
    }
}

fn device_msi_arrives_once_each(ctx: &Ctx) -> Outcome {
    let msi = Msi::new(ctx)?;
    for _ in 0..200 {
        msi.arrives()?;
    }
    refused(kit::poll(&msi.port), Error::TimedOut, "no packet without a write")?;
    same(msi.irq.status()?.delivered, 200, "delivered as the kernel counts")?;
    msi.client.free(msi.irq.id)?;
    Ok(())
}

fn device_msi_on_every_cpu(ctx: &Ctx) -> Outcome {
    let msi = Msi::new(ctx)?;
    if !msi.client.info()?.isolated {
        return Err(skip("without a remapper a message stays where it was made for"));
    }
    for round in 0..40 {
        let cpu = round % ctx.env.cpus;
        msi.client.move_to(msi.irq.id, 1 << cpu)?;
        msi.arrives()?;
        same(u32::from(msi.irq.status()?.cpu), cpu, "the CPU that took the event")?;
    }
    Ok(())
}

/// Raises from a worker, which waits for each packet, while the message moves from CPU to
/// CPU as fast as it can: no write may be without a packet.
fn raised_while_moving(
    ctx: &Ctx,
    client: &Client,
    irq: &Irq,
    port: &Own,
    raise: impl Fn() + Send + 'static,
) -> Outcome {
    const MOVES: u32 = 60;
    let (raised, heard) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let (port, raises, count, over) = (port.h(), raised.clone(), heard.clone(), stop.clone());
    let worker = Worker::start(ctx, ctx.env.cpus - 1, 3, move || {
        while !over.load(SeqCst) {
            raises.fetch_add(1, SeqCst);
            raise();
            let deadline = kit::now() + kit::PATIENCE_NS;
            if libsys::sys::port_wait(port, 0, 1, deadline).is_err() {
                break;
            }
            count.fetch_add(1, SeqCst);
        }
    })?;
    for moves in 0..MOVES {
        client.move_to(irq.id, 1 << (moves % ctx.env.cpus))?;
        // The worker's priority is lower: on this CPU it runs while we sleep.
        kit::sleep(100_000);
    }
    stop.store(true, SeqCst);
    worker.join()?;
    let (raised, heard) = (raised.load(SeqCst), heard.load(SeqCst));
    same(heard, raised, format_args!("writes heard during {MOVES} moves"))?;
    check(raised > 20, format_args!("only {raised} writes"))
}

fn device_msi_is_not_lost_while_it_moves(ctx: &Ctx) -> Outcome {
    let Msi { edu, client, irq, port } = Msi::new(ctx)?;
    if !client.info()?.isolated {
        return Err(skip("without a remapper a message stays where it was made for"));
    }
    let registers = edu.registers().address() as u64;
    raised_while_moving(ctx, &client, &irq, &port, move || arch::store32(registers + 0x60, 1))
}

fn device_masked_slot_is_silent(ctx: &Ctx) -> Outcome {
    let msi = Msi::new(ctx)?;
    msi.edu.claim.msi_mask()?;
    msi.is_silent("a packet while masked")?;
    msi.edu.claim.msi_unmask()?;
    let _ = kit::listen(&msi.port);
    msi.arrives()
}

fn device_blocked_message_is_silent_and_told_afterwards(ctx: &Ctx) -> Outcome {
    let msi = Msi::new(ctx)?;
    msi.client.block(msi.irq.id)?;
    msi.is_silent("a packet while blocked")?;
    msi.client.unblock(msi.irq.id)?;
    // The server can not know what the remapper dropped, so there is one packet: look.
    same(kit::next(&msi.port)?.key, 0xed, "the packet after unblock")?;
    msi.arrives()
}

fn device_freed_message_is_silent(ctx: &Ctx) -> Outcome {
    let msi = Msi::new(ctx)?;
    msi.arrives()?;
    msi.client.free(msi.irq.id)?;
    // The pair is still in the device, and the device still writes.
    msi.is_silent("a late write after free")?;
    // Whoever gets the entry, or the vector, hears nothing of the old pair either.
    let mut others = alloc::vec::Vec::new();
    for key in 0..20 {
        let other = msi.client.one(StoreKind::PciMsi)?;
        other.bind(&msi.port, key)?;
        msi.client.activate(other.id)?;
        others.push(other);
    }
    let reused =
        others.iter().any(|other| msi.irq.address == other.address && msi.irq.data == other.data);
    if !reused {
        msi.is_silent("a late write heard by a successor")?;
    }
    for other in &others {
        msi.client.free(other.id)?;
    }
    Ok(())
}

fn device_revoked_driver_is_silent(ctx: &Ctx) -> Outcome {
    let msi = Msi::new(ctx)?;
    msi.arrives()?;
    msi.client.gone()?;
    msi.is_silent("a late write after the client's end")
}

fn device_pair_of_another_device_is_blocked(ctx: &Ctx) -> Outcome {
    let msi = Msi::new(ctx)?;
    if !msi.client.info()?.isolated {
        return Err(skip("without a remapper nobody checks who sent a message"));
    }
    msi.arrives()?;
    // Another client's message, active and bound, whose pair edu gets to write.
    let other = Client::ghost(ctx, 0xfe20)?;
    let (foreign, port) = (other.one(StoreKind::PciMsi)?, kit::port()?);
    foreign.bind(&port, 1)?;
    other.activate(foreign.id)?;
    msi.edu.claim.msi_mask()?;
    match msi.edu.claim.msi_write(&foreign.message) {
        // The PCI server need not know whose message it is...
        Ok(()) => msi.edu.claim.msi_unmask()?,
        // ...but it may, and then there is nothing to block.
        Err(AskError::Refused(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let _ = kit::listen(&msi.port);
    for _ in 0..3 {
        msi.edu.raise();
    }
    refused(kit::listen(&port), Error::TimedOut, "another device's message was raised")?;
    same(foreign.status()?.delivered, 0, "delivered to the other")?;
    libsys::sys::message_signal(foreign.message.h())?;
    same(kit::next(&port)?.key, 1, "it is alive, though")?;
    other.free(foreign.id)?;
    // And with its own pair the device works again.
    msi.edu.claim.msi_mask()?;
    msi.edu.claim.msi_write(&msi.irq.message)?;
    msi.edu.claim.msi_unmask()?;
    let _ = kit::listen(&msi.port);
    msi.arrives()
}

fn device_msi_pair_is_never_made_up(ctx: &Ctx) -> Outcome {
    let msi = Msi::new(ctx)?;
    let memory = kit::memory(4096)?;
    let not_a_message = msi.edu.claim.msi_write(&memory);
    check(matches!(not_a_message, Err(AskError::Refused(_))), "memory as message")?;
    let blind = kit::duplicate(msi.irq.message.h(), Rights::BIND | Rights::TRANSFER)?;
    let unreadable = msi.edu.claim.msi_write(&blind);
    check(unreadable.is_err(), "a message without READ")?;
    msi.arrives()
}

/// Active IMS messages of `lsi`, each with its own key on one port.
struct Ims {
    lsi: Lsi,
    client: Client,
    irqs: alloc::vec::Vec<Irq>,
    port: Own,
}

impl Ims {
    fn new(ctx: &Ctx, count: u64) -> Result<Ims, Failure> {
        let lsi = Lsi::new(ctx)?;
        let client = lsi.client(ctx)?;
        if !client.info()?.isolated {
            return Err(skip("IMS needs a remapper"));
        }
        let port = kit::port()?;
        let mut irqs = alloc::vec::Vec::new();
        for key in 0..count {
            let irq = client.one(StoreKind::DeviceArray)?;
            irq.bind(&port, key)?;
            client.activate(irq.id)?;
            irqs.push(irq);
        }
        Ok(Ims { lsi, client, irqs, port })
    }

    /// Fires one and expects its packet and no other.
    #[track_caller]
    fn arrives(&self, which: usize) -> Outcome {
        self.lsi.fire(&self.irqs[which]);
        let packet = kit::next(&self.port)?;
        same((packet.key, packet.count), (which as u64, 1), "key and count")
    }
}

fn device_ims_arrives_on_its_own_message(ctx: &Ctx) -> Outcome {
    let ims = Ims::new(ctx, 40)?;
    for round in 0..120usize {
        ims.arrives(round * 7 % 40)?;
    }
    refused(kit::poll(&ims.port), Error::TimedOut, "no packet without a write")?;
    for irq in &ims.irqs {
        same(irq.status()?.delivered, 3, "delivered as the kernel counts")?;
    }
    Ok(())
}

fn device_ims_freed_message_is_silent(ctx: &Ctx) -> Outcome {
    let ims = Ims::new(ctx, 4)?;
    ims.arrives(2)?;
    ims.client.free(ims.irqs[2].id)?;
    for _ in 0..5 {
        ims.lsi.fire(&ims.irqs[2]);
    }
    refused(kit::listen(&ims.port), Error::TimedOut, "a late write after free")?;
    ims.arrives(1)?;
    ims.client.deactivate(ims.irqs[3].id)?;
    ims.lsi.fire(&ims.irqs[3]);
    refused(kit::listen(&ims.port), Error::TimedOut, "a late write after deactivation")?;
    ims.client.activate(ims.irqs[3].id)?;
    // What came while the entry was off may be told now; then it works as before.
    let _ = kit::poll(&ims.port);
    ims.arrives(3)
}

fn device_ims_blocked_message_is_silent_and_told_afterwards(ctx: &Ctx) -> Outcome {
    let ims = Ims::new(ctx, 2)?;
    ims.client.block(ims.irqs[0].id)?;
    ims.lsi.fire(&ims.irqs[0]);
    refused(kit::listen(&ims.port), Error::TimedOut, "a packet while blocked")?;
    ims.arrives(1)?;
    ims.client.unblock(ims.irqs[0].id)?;
    same(kit::next(&ims.port)?.key, 0, "the packet after unblock")?;
    ims.arrives(0)
}

fn device_ims_moves_without_touching_the_store(ctx: &Ctx) -> Outcome {
    let ims = Ims::new(ctx, 3)?;
    for round in 0..30 {
        let (which, cpu) = (round as usize % 3, round % ctx.env.cpus);
        ims.client.move_to(ims.irqs[which].id, 1 << cpu)?;
        ims.arrives(which)?;
        same(u32::from(ims.irqs[which].status()?.cpu), cpu, "the CPU that took the event")?;
    }
    ims.client.move_to(ims.irqs[0].id, ANY_CPU)?;
    ims.arrives(0)
}

fn device_ims_is_not_lost_while_it_moves(ctx: &Ctx) -> Outcome {
    let mut ims = Ims::new(ctx, 1)?;
    let irq = ims.irqs.remove(0);
    let dsp = ims.lsi.load(irq.address, irq.data);
    let (register, script) = dsp;
    raised_while_moving(ctx, &ims.client, &irq, &ims.port, move || arch::store32(register, script))
}

/// To an AMD IOMMU the data are an entry's number, whatever the address. What looks like a
/// vector and an APIC id is one that nobody has, and so is any past the table; data 10:8
/// are no delivery mode that gets past the entries.
fn ims_wrong_numbers_raise_nothing(ims: &Ims) -> Outcome {
    let own = |number: u32| ims.irqs.iter().any(|irq| irq.data == number);
    for number in (0..0x200).filter(|number| !own(*number)) {
        ims.lsi.write(0xfee0_0000, number);
    }
    for number in [0x2ff, 0x400, 0x500, 0x7ff, 0x8000_0130, 0xffff_ffff] {
        ims.lsi.write(0xfee0_0000, number);
    }
    refused(kit::listen(&ims.port), Error::TimedOut, "a packet from a made-up pair")?;
    ims.arrives(0)?;
    ims.arrives(1)
}

fn device_ims_wrong_addresses_raise_nothing(ctx: &Ctx) -> Outcome {
    let ims = Ims::new(ctx, 2)?;
    if ims.client.info()?.remapper == RemapperKind::AmdVi {
        return ims_wrong_numbers_raise_nothing(&ims);
    }
    for irq in &ims.irqs {
        for (address, data) in arch::forged_pairs(irq.address, irq.data) {
            ims.lsi.write(address, data);
        }
    }
    refused(kit::listen(&ims.port), Error::TimedOut, "a packet from a made-up pair")?;
    ims.arrives(0)?;
    ims.arrives(1)
}
