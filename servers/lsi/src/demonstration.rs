//! What the device is made to do: reserve every slot of both stores, then, round after
//! round, activate as many as there are vectors, drill them, and release them, until each
//! slot has had its turn.

use alloc::vec;
use alloc::vec::Vec;

use demo_core::Ledger;
use demo_driver::{Expected, Reporter, Stop, hear, refused, row, silence_pin};
use libsys::interrupt::{Activated, Interrupt, Interrupts};
use libsys::object::{Port, now_ns};
use libsys::pci::Device as PciDevice;
use libsys::proto::StoreKind;
use libsys::proto::interrupt::{Information, RemapperKind};
use libsys::proto::pci::Description;
use libsys::proto::report::{Done, Summary};
use libsys::startup::Environment;
use libsys::{Error, Startup};
use lsi_core::slot::{ARRAY_SLOTS, QUEUE_SLOTS};
use lsi_core::{Plan, Store as Which};

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
    /// Which key is whose.
    pub plan: Plan,
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
    let plan = queue_slots(env).and_then(Plan::new);
    let plan = plan.ok_or(Stop::Unexpected("`queue=` wants 1 to 65536"))?;
    let device = Device::start(pci, plan)?;
    // Declared before the interrupts: it must outlive them.
    let port = Port::new()?;
    let server = env.handle("interrupt").ok_or(Error::BadHandle)?;
    let interrupts = Interrupts::new(server, port.handle());

    if Expected::from_args(env)? == Expected::Refusal {
        for store in [&device.array, &device.queue] {
            refused(reporter, &interrupts, store)?;
        }
        return Ok(Done { ok: true, slots: 0, fired: 0, delivered: 0, kind: kind(Which::Queue) });
    }
    let before = interrupts.information()?;
    let mut slots = reserve(&interrupts, &device, plan)?;
    tell_reserved(reporter, plan, before, interrupts.information()?)?;

    // What is active by then takes all vectors that there are.
    reporter.let_others_stand()?;
    let start_ns = now_ns();
    let mut rig = LsiRig { device: &device, port: &port };
    let mut order = plan.order().peekable();
    let mut rounds = 0u64;
    while order.peek().is_some() {
        let round = Round::activate(&mut slots, &mut order)?;
        round.tell(reporter, rounds)?;
        if rounds == 0 {
            round.drill_masks(&mut slots, &mut rig)?;
        }
        round.drill_singles(&mut slots, &mut rig)?;
        if rounds == 0 {
            reporter.stand(&STORES.map(|which| round.standing(which, &identity, &slots)))?;
        }
        round.drill_bursts(&mut slots, &mut rig)?;
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

/// How many slots are to be in queue memory; `None` when the argument is no number.
fn queue_slots(env: &Startup) -> Option<u32> {
    env.arg("queue").map_or(Some(QUEUE_SLOTS), |number| number.parse().ok())
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
fn reserve(interrupts: &Interrupts, device: &Device, plan: Plan) -> Result<Slots> {
    let mut all = Vec::with_capacity(plan.slots() as usize);
    for (store, which) in [(&device.array, Which::Array), (&device.queue, Which::Queue)] {
        let keys = plan.keys(which);
        let slots: Vec<u32> = (0..).zip(keys.clone()).map(|(slot, _)| slot).collect();
        all.extend(interrupts.add_many(store, &slots, keys.start)?);
    }
    let len = all.len();
    Ok(Slots {
        plan,
        interrupts: all,
        ledger: Ledger::new(len),
        routes: vec![None; len],
        most_active: [0; 2],
    })
}

fn tell_reserved(
    reporter: &Reporter,
    plan: Plan,
    before: Information,
    after: Information,
) -> Result<()> {
    let (array, queue) = (ARRAY_SLOTS, plan.queue_slots());
    let entries = after.entries;
    let taken = before.vectors.free.saturating_sub(after.vectors.free);
    let took_all = u64::from(taken) >= plan.slots();
    // What a server above has behind it shows only by what it took.
    if after.remapper == RemapperKind::Its || after.remapper == RemapperKind::Parent && took_all {
        return Ok(reporter.line(format_args!(
            "{array} slots reserved in the chip's script RAM and {queue} in queue memory, each \
             with an LPI of its own: {} of {} are free",
            entries.free, entries.total,
        ))?);
    }
    // Other drivers take vectors at the same time; ours must not show among them.
    reporter.line(format_args!(
        "{array} slots reserved in the chip's script RAM and {queue} in queue memory: \
         {} of {} remapper entries are free, {} of {} vectors ({taken} fewer than before)",
        entries.free, entries.total, after.vectors.free, after.vectors.total,
    ))?;
    if took_all {
        return Err(Stop::Unexpected("reserving took a vector for each slot"));
    }
    Ok(())
}

/// Sends all rows and sums.
fn report(reporter: &Reporter, identity: &Description, slots: &Slots) -> Result<Done> {
    let plan = slots.plan;
    for which in STORES {
        for key in plan.keys(which) {
            let index = key as usize;
            let route = slots.routes[index].ok_or(Stop::Unexpected("a slot was never active"))?;
            reporter.row(&row(
                identity,
                &slots.interrupts[index],
                route,
                &slots.ledger.account(key),
            ))?;
        }
        let sums = slots.ledger.totals(plan.keys(which));
        reporter.summary(&Summary {
            requester: identity.requester,
            kind: kind(which),
            reserved: plan.keys(which).count() as u64,
            active: slots.most_active[which as usize],
            fired: sums.fired,
            delivered: sums.delivered,
            coalesced: sums.coalesced,
            // A packet on a wrong slot ends the run before it gets here.
            wrong: 0,
        })?;
    }
    let sums = slots.ledger.totals(0..plan.slots());
    Ok(Done {
        ok: sums.slots == plan.slots(),
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
