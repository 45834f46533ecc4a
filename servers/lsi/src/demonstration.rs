//! What the device is made to do: reserve every slot of both stores, then, round after
//! round, activate as many as there are vectors, drill them, and release them, until each
//! slot has had its turn.

use alloc::vec;
use alloc::vec::Vec;

use demo_core::Ledger;
use demo_driver::{Reporter, Stop, hear, row, silence_pin};
use libsys::interrupt::{Activated, Interrupt, InterruptError, Interrupts};
use libsys::object::{Port, now_ns};
use libsys::pci::Device as PciDevice;
use libsys::proto::interrupt::Error as Refusal;
use libsys::proto::pci::Description;
use libsys::proto::report::{Done, Summary};
use libsys::proto::{StoreKind, interrupt::Information};
use libsys::startup::Environment;
use libsys::{Error, Startup};
use lsi_core::slot::{ARRAY_SLOTS, QUEUE_SLOTS};
use lsi_core::{Store as Which, plan};

use crate::device::{Device, DeviceError, LsiRig};
use crate::round::Round;

type Result<T> = core::result::Result<T, Stop<DeviceError>>;

/// Both stores, in the order of their keys.
const STORES: [Which; 2] = [Which::Array, Which::Queue];

/// How long released entries and vectors may be in quarantine, and how often to look.
const RETURN_NS: u64 = 1_000_000_000;
const LOOK_NS: u64 = 1_000_000;
/// Messages that the other drivers may have taken meanwhile: the smallest quota.
const OTHERS: u32 = 4;

/// What is known of all slots, by key.
pub struct Slots {
    /// The interrupts.
    pub interrupts: Vec<Interrupt>,
    /// The books.
    pub ledger: Ledger,
    /// Where each went when it was active.
    pub routes: Vec<Option<Activated>>,
    /// How many of each store were active at once, at most.
    pub most_active: [u64; 2],
}

impl Slots {
    /// The interrupt with this key.
    pub fn interrupt(&mut self, key: u64) -> Result<&mut Interrupt> {
        let found = usize::try_from(key).ok().and_then(|index| self.interrupts.get_mut(index));
        found.ok_or(Stop::Device(DeviceError::UnknownKey(key)))
    }
}

/// Runs the demonstration.
pub fn run(env: &Startup, reporter: &Reporter) -> Result<Done> {
    let pci = PciDevice::new(env.handle("pci").ok_or(Error::BadHandle)?);
    let identity = pci.describe()?;
    silence_pin(pci)?;
    let device = Device::start(pci)?;
    // Declared before the interrupts: it must outlive them.
    let port = Port::new()?;
    let server = env.handle("interrupt").ok_or(Error::BadHandle)?;
    let interrupts = Interrupts::new(server, port.handle());

    match env.arg("expect") {
        None => {}
        Some("refused") => return refused(reporter, &interrupts, &device),
        Some(_) => return Err(Stop::Unexpected("the argument `expect=` knows only `refused`")),
    }
    let before = interrupts.information()?;
    let mut slots = reserve(&interrupts, &device)?;
    tell_reserved(reporter, before, interrupts.information()?)?;

    let start_ns = now_ns();
    let mut rig = LsiRig { device: &device, port: &port };
    let mut order = plan::order().map(plan::key).peekable();
    let mut rounds = 0u64;
    while order.peek().is_some() {
        let round = Round::activate(&mut slots, &mut order)?;
        round.tell(reporter, rounds)?;
        if rounds == 0 {
            round.drill_masks(&mut slots, &mut rig)?;
        }
        round.drill(&mut slots, &mut rig)?;
        round.release(&mut slots, &mut rig)?;
        rounds += 1;
    }
    reporter.line(format_args!(
        "every slot of both stores was active, fired and delivered after {rounds} round(s), {} ms",
        (now_ns() - start_ns) / 1_000_000
    ))?;
    let done = report(reporter, &identity, &slots)?;
    for interrupt in slots.interrupts {
        interrupt.release()?;
    }
    returned(reporter, before, &interrupts, &port)?;
    Ok(done)
}

/// Waits until what was released is free again: numbers stay in quarantine until nothing
/// can be in flight any more.
fn returned(
    reporter: &Reporter,
    before: Information,
    interrupts: &Interrupts,
    port: &Port,
) -> Result<()> {
    let deadline_ns = now_ns().saturating_add(RETURN_NS);
    loop {
        let now = interrupts.information()?;
        let back = |now: u32, before: u32| now.saturating_add(OTHERS) >= before;
        if back(now.entries.free, before.entries.free)
            && back(now.vectors.free, before.vectors.free)
        {
            return Ok(reporter.line(format_args!(
                "all given back: {} of {} remapper entries are free, {} of {} vectors",
                now.entries.free, now.entries.total, now.vectors.free, now.vectors.total,
            ))?);
        }
        if now_ns() > deadline_ns {
            return Err(Stop::Unexpected("entries or vectors did not come back after release"));
        }
        // Nothing can come any more: this only waits.
        if hear(port, LOOK_NS)?.is_some() {
            return Err(Stop::Unexpected("a packet came after release"));
        }
    }
}

/// Reserves all slots of both stores: pairs and remapper entries, no vectors.
fn reserve(interrupts: &Interrupts, device: &Device) -> Result<Slots> {
    let mut all = Vec::with_capacity(plan::SLOTS as usize);
    for (store, which, slots) in
        [(&device.array, Which::Array, ARRAY_SLOTS), (&device.queue, Which::Queue, QUEUE_SLOTS)]
    {
        let slots: Vec<u32> = (0..slots).collect();
        all.extend(interrupts.add_many(store, &slots, plan::keys(which).start)?);
    }
    let len = all.len();
    Ok(Slots {
        interrupts: all,
        ledger: Ledger::new(len),
        routes: vec![None; len],
        most_active: [0; 2],
    })
}

fn tell_reserved(reporter: &Reporter, before: Information, after: Information) -> Result<()> {
    // Other drivers take vectors at the same time; ours must not show among them.
    let taken = before.vectors.free.saturating_sub(after.vectors.free);
    reporter.line(format_args!(
        "{ARRAY_SLOTS} slots reserved in the chip's script RAM and {QUEUE_SLOTS} in queue memory: \
         {} of {} remapper entries are free, {} of {} vectors ({taken} fewer than before)",
        after.entries.free, after.entries.total, after.vectors.free, after.vectors.total,
    ))?;
    if u64::from(taken) >= plan::SLOTS {
        return Err(Stop::Unexpected("reserving took a vector for each slot"));
    }
    Ok(())
}

/// On a machine that can not tell who sent a message, both stores must be refused.
fn refused(reporter: &Reporter, interrupts: &Interrupts, device: &Device) -> Result<Done> {
    for store in [&device.array, &device.queue] {
        match interrupts.add(store, 0, 0) {
            Err(InterruptError::Server(Refusal::NotSupported)) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Err(Stop::Unexpected("IMS was granted, and was to be refused")),
        }
        if store.used() != 0 {
            return Err(Stop::Unexpected("a refused slot is still taken"));
        }
        reporter.line(format_args!("IMS refused: NotSupported ({})", store.kind()))?;
    }
    Ok(Done { ok: true, slots: 0, fired: 0, delivered: 0, kind: StoreKind::QueueMemory })
}

/// Sends all rows and sums.
fn report(reporter: &Reporter, identity: &Description, slots: &Slots) -> Result<Done> {
    for which in STORES {
        for key in plan::keys(which) {
            let index = key as usize;
            let route = slots.routes[index].ok_or(Stop::Unexpected("a slot was never active"))?;
            reporter.row(&row(
                identity,
                &slots.interrupts[index],
                route,
                &slots.ledger.account(key),
            ))?;
        }
        let sums = slots.ledger.totals(plan::keys(which));
        reporter.summary(&Summary {
            requester: identity.requester,
            kind: kind(which),
            reserved: plan::keys(which).count() as u64,
            active: slots.most_active[which as usize],
            fired: sums.fired,
            delivered: sums.delivered,
            coalesced: sums.coalesced,
            // A packet on a wrong slot ends the run before it gets here.
            wrong: 0,
        })?;
    }
    let sums = slots.ledger.totals(0..plan::SLOTS);
    Ok(Done {
        ok: sums.slots == plan::SLOTS,
        slots: sums.slots,
        fired: sums.fired,
        delivered: sums.delivered,
        kind: StoreKind::QueueMemory,
    })
}

/// The kind of a store.
pub fn kind(which: Which) -> StoreKind {
    match which {
        Which::Array => StoreKind::DeviceArray,
        Which::Queue => StoreKind::QueueMemory,
    }
}
