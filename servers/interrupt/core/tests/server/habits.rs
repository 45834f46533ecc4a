//! What `world` must know of each kind of machine: which random ones there are, how their
//! hardware fails, and what a pair names there.

use crate::common::{OverAmdVi, OverDirectLpi, OverIts, OverMbi, OverVtd, Rig, Server};
use interrupt_core::fake::{
    AmdViOptions, FakeConfig, FakeMachine, GicdOptions, ItsOptions, ItsSetup, VtdOptions,
    fake_device_id,
};
use interrupt_core::gicd::Spi;
use interrupt_core::its::{Lpi, PageSize};
use interrupt_core::vtd::RemappableMessage;
use interrupt_core::{EntryIndex, Pair, RequesterId};
use proptest::prelude::*;

/// A kind of machine, as far as it differs.
pub(crate) trait Habits: Rig {
    /// One machine of the kind.
    type Options;

    /// Whether what is written while a message is blocked is kept.
    const KEEPS: bool;

    /// Whether hardware has an entry on while it is blocked.
    const ON_WHILE_BLOCKED: bool = Self::KEEPS;

    /// Whether a write that comes while an entry is off is remembered, and forgotten later.
    const LATCHES: bool = false;

    /// Whether a message has its event before it is activated.
    const FIXED: bool = false;

    /// The machine and a server that knows nobody.
    fn build(options: Self::Options, cpus: u8, config: &FakeConfig) -> (FakeMachine, Server<Self>)
    where
        Self: Sized;

    /// The next `count` attempts at something are refused by hardware.
    fn refuse(machine: &FakeMachine, count: u32);

    /// What `writer` names when it writes `pair`: equal for what raises the same entry.
    fn names(writer: RequesterId, pair: Pair) -> Option<(u32, u32)>;

    /// Whether hardware has the entry on; `None` where it may not have followed yet.
    fn is_on(machine: &FakeMachine, entry: EntryIndex, late: bool) -> Option<bool>;
}

impl Habits for OverVtd {
    type Options = VtdOptions;

    const KEEPS: bool = false;

    fn build(options: VtdOptions, cpus: u8, config: &FakeConfig) -> (FakeMachine, Server<Self>) {
        let machine = FakeMachine::new(cpus, Some(options));
        let server = Self::bare_server(&machine, config);
        (machine, server)
    }

    fn refuse(machine: &FakeMachine, count: u32) {
        machine.vtd.as_ref().expect("it has one").refuse_invalidations(count);
    }

    /// One table for all.
    fn names(_writer: RequesterId, pair: Pair) -> Option<(u32, u32)> {
        let entry = RemappableMessage::decode(pair).ok().and_then(RemappableMessage::entry)?;
        Some((0, entry.bits().into()))
    }

    /// The table in memory is written at once.
    fn is_on(machine: &FakeMachine, entry: EntryIndex, _late: bool) -> Option<bool> {
        let halves = machine.vtd.as_ref().expect("it has one").entry(entry)?;
        Some(halves[0] & 1 == 1)
    }
}

impl Habits for OverAmdVi {
    type Options = AmdViOptions;

    const KEEPS: bool = false;

    fn build(options: AmdViOptions, cpus: u8, config: &FakeConfig) -> (FakeMachine, Server<Self>) {
        let machine = FakeMachine::with_amdvi(cpus, options);
        let server = Self::bare_server(&machine, config);
        (machine, server)
    }

    fn refuse(machine: &FakeMachine, count: u32) {
        machine.amdvi.as_ref().expect("it has one").refuse_commands(count);
    }

    /// Each device has numbers of its own.
    fn names(writer: RequesterId, pair: Pair) -> Option<(u32, u32)> {
        Some((writer.bits().into(), pair.data))
    }

    /// Tables in memory are written at once. They have 512 entries here, and each device keeps
    /// the one that it got first.
    fn is_on(machine: &FakeMachine, entry: EntryIndex, _late: bool) -> Option<bool> {
        let model = machine.amdvi.as_ref().expect("it has one");
        model.is_on(entry.index() / 512, entry.bits() % 512)
    }
}

impl Habits for OverMbi {
    type Options = GicdOptions;

    const KEEPS: bool = true;
    const ON_WHILE_BLOCKED: bool = false;
    const LATCHES: bool = true;

    fn build(options: GicdOptions, cpus: u8, config: &FakeConfig) -> (FakeMachine, Server<Self>) {
        let machine = FakeMachine::with_mbi(GicdOptions { cpus, ..options });
        let server = Self::bare_server(&machine, config);
        (machine, server)
    }

    /// It has no way to.
    fn refuse(_machine: &FakeMachine, _count: u32) {}

    /// Whoever writes it.
    fn names(_writer: RequesterId, pair: Pair) -> Option<(u32, u32)> {
        Some((0, pair.data))
    }

    fn is_on(machine: &FakeMachine, entry: EntryIndex, late: bool) -> Option<bool> {
        let gicd = machine.gicd.as_ref().expect("it has one");
        (!late).then(|| gicd.reaches_a_cpu(Spi::from_number(entry.bits())))
    }
}

impl Habits for OverDirectLpi {
    type Options = ItsOptions;

    const KEEPS: bool = true;
    const ON_WHILE_BLOCKED: bool = false;
    const LATCHES: bool = true;
    const FIXED: bool = true;

    fn build(options: ItsOptions, cpus: u8, config: &FakeConfig) -> (FakeMachine, Server<Self>) {
        let machine = FakeMachine::with_direct_lpis(ItsOptions { cpus, ..options });
        let server = Self::bare_server(&machine, config);
        (machine, server)
    }

    /// It has no way to.
    fn refuse(_machine: &FakeMachine, _count: u32) {}

    /// Whoever writes it, and wherever.
    fn names(_writer: RequesterId, pair: Pair) -> Option<(u32, u32)> {
        Some((0, pair.data))
    }

    fn is_on(machine: &FakeMachine, entry: EntryIndex, late: bool) -> Option<bool> {
        let its = machine.its.as_ref().expect("it has them");
        (!late).then(|| its.comes_through(Lpi::from_index(entry)))
    }
}

/// Any kind of distributor that takes messages.
pub(crate) fn gicd_options() -> impl Strategy<Value = GicdOptions> {
    (any::<bool>(), 0..4_u32).prop_map(|(two_security_states, lag)| {
        let control = if two_security_states { 0x12 } else { 0x52 };
        GicdOptions { two_security_states, control, lag, ..GicdOptions::default() }
    })
}

/// Any kind of redistributors that take LPIs.
pub(crate) fn direct_options() -> impl Strategy<Value = ItsOptions> {
    (any::<[bool; 2]>(), 0..4_u32).prop_map(|([coherent, told], lag)| ItsOptions {
        coherent,
        sync_tells_of_clearing: told,
        lag,
        ..ItsOptions::default()
    })
}

/// Any kind of AMD IOMMU.
pub(crate) fn amdvi_options() -> impl Strategy<Value = AmdViOptions> {
    (any::<[bool; 2]>(), 0..3_u32).prop_map(|(flags, lag)| AmdViOptions {
        wide: flags[0],
        x2apic: flags[1],
        lag,
        ..AmdViOptions::default()
    })
}

/// An ITS, and how its device table is.
pub(crate) type ItsShape = (ItsOptions, bool);

impl Habits for OverIts {
    type Options = ItsShape;

    const KEEPS: bool = true;

    fn build(
        (options, two_level): ItsShape,
        cpus: u8,
        config: &FakeConfig,
    ) -> (FakeMachine, Server<Self>) {
        let machine = FakeMachine::with_its(ItsOptions { cpus, ..options });
        let server = machine.its_server(config, &ItsSetup { two_level, ..ItsSetup::default() });
        (machine, server)
    }

    fn refuse(machine: &FakeMachine, count: u32) {
        machine.its.as_ref().expect("it has one").stall(count);
    }

    /// Each device has numbers of its own.
    fn names(writer: RequesterId, pair: Pair) -> Option<(u32, u32)> {
        Some((fake_device_id(writer).bits(), pair.data))
    }

    fn is_on(machine: &FakeMachine, entry: EntryIndex, late: bool) -> Option<bool> {
        let its = machine.its.as_ref().expect("it has one");
        (!late).then(|| its.event_of(Lpi::from_index(entry)).is_some())
    }
}

/// Any kind of unit.
pub(crate) fn vtd_options() -> impl Strategy<Value = VtdOptions> {
    (any::<[bool; 3]>(), 5..7_u8, 0..3_u32).prop_map(|(flags, entries_log2, lag)| VtdOptions {
        coherent: flags[0],
        caching_mode: flags[1],
        resume_at_tail: flags[2],
        entries_log2,
        lag,
        fault_records: 2,
        ..VtdOptions::default()
    })
}

/// Any kind of ITS.
pub(crate) fn its_options() -> impl Strategy<Value = ItsShape> {
    let page = prop::sample::select(vec![None, Some(PageSize::Size4K), Some(PageSize::Size16K)]);
    (any::<[bool; 5]>(), page, 0..4_u32).prop_map(|(flags, page, lag)| {
        let options = ItsOptions {
            target_is_address: flags[0],
            hardware_collections: 4 * u8::from(flags[1]),
            coherent: flags[2],
            virtual_lpis: flags[3],
            page,
            lag,
            ..ItsOptions::default()
        };
        (options, flags[4])
    })
}
