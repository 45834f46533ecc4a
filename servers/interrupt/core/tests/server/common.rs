//! What the server tests share: one test, run over each kind of back end.

use interrupt_core::fake::{
    AmdViOptions, FakeAmdViUnit, FakeConfig, FakeDirectLpiUnit, FakeError, FakeHandle, FakeItsUnit,
    FakeKernel, FakeMachine, FakeMbiUnit, FakeUnit, GicdOptions, ItsOptions, ItsSetup, VtdOptions,
    fake_device_id,
};
use interrupt_core::{
    AllocRequest, Allocated, BackEnd, ClientDevices, ClientId, ClientPolicy, Contiguity, Core,
    CpuSet, Error, Events, Kind, RequesterId, Vectored,
};

pub(crate) const A: RequesterId = RequesterId::from_bits(0x0010);
pub(crate) const B: RequesterId = RequesterId::from_bits(0x0018);

/// A server over one back end and the fake kernel.
pub(crate) type Server<R> = Core<<R as Rig>::BackEnd, FakeKernel>;

/// A kind of machine.
pub(crate) trait Rig {
    /// What the server runs over there.
    type BackEnd: BackEnd;

    /// Hardware checks who writes.
    const ISOLATED: bool = true;

    /// A machine whose remapper does all that it should.
    fn machine(cpus: u8) -> FakeMachine;

    /// A machine in which an entry that is switched on is not on before hardware follows.
    fn waiting_machine(cpus: u8) -> FakeMachine;

    /// A server in it.
    fn bare_server(machine: &FakeMachine, config: &FakeConfig) -> Server<Self>
    where
        Self: Sized;

    /// A server that knows the devices A and B.
    fn server(machine: &FakeMachine, config: &FakeConfig) -> Server<Self>
    where
        Self: Sized,
    {
        let mut config = *config;
        config.core.allow_unisolated |= !Self::ISOLATED;
        let mut core = Self::bare_server(machine, &config);
        for client in [A, B] {
            let policy = ClientPolicy { devices: devices(client), ..config.core.default_policy };
            core.register(client, policy).expect("a place for each");
        }
        core
    }
}

/// What pci says of a device.
pub(crate) fn devices(client: RequesterId) -> ClientDevices {
    ClientDevices { own: Some(fake_device_id(client)), dma: None }
}

/// x86 with a VT-d unit.
pub(crate) struct OverVtd;

impl Rig for OverVtd {
    type BackEnd = Vectored<FakeUnit>;

    fn machine(cpus: u8) -> FakeMachine {
        FakeMachine::new(cpus, Some(VtdOptions::default()))
    }

    fn waiting_machine(cpus: u8) -> FakeMachine {
        let options = VtdOptions { caching_mode: true, ..VtdOptions::default() };
        FakeMachine::new(cpus, Some(options))
    }

    fn bare_server(machine: &FakeMachine, config: &FakeConfig) -> Server<Self> {
        machine.server(config)
    }
}

/// x86 with an AMD IOMMU.
pub(crate) struct OverAmdVi;

impl Rig for OverAmdVi {
    type BackEnd = Vectored<FakeAmdViUnit>;

    fn machine(cpus: u8) -> FakeMachine {
        FakeMachine::with_amdvi(cpus, AmdViOptions::default())
    }

    fn waiting_machine(cpus: u8) -> FakeMachine {
        Self::machine(cpus)
    }

    fn bare_server(machine: &FakeMachine, config: &FakeConfig) -> Server<Self> {
        machine.amdvi_server(config)
    }
}

/// aarch64 with an ITS.
pub(crate) struct OverIts;

impl Rig for OverIts {
    type BackEnd = Events<FakeItsUnit>;

    fn machine(cpus: u8) -> FakeMachine {
        FakeMachine::with_its(ItsOptions { cpus, ..ItsOptions::default() })
    }

    fn waiting_machine(cpus: u8) -> FakeMachine {
        Self::machine(cpus)
    }

    fn bare_server(machine: &FakeMachine, config: &FakeConfig) -> Server<Self> {
        machine.its_server(config, &ItsSetup::default())
    }
}

/// aarch64 whose distributor takes messages.
pub(crate) struct OverMbi;

impl Rig for OverMbi {
    type BackEnd = FakeMbiUnit;

    const ISOLATED: bool = false;

    fn machine(cpus: u8) -> FakeMachine {
        FakeMachine::with_mbi(GicdOptions { cpus, ..GicdOptions::default() })
    }

    fn waiting_machine(cpus: u8) -> FakeMachine {
        Self::machine(cpus)
    }

    fn bare_server(machine: &FakeMachine, config: &FakeConfig) -> Server<Self> {
        machine.mbi_server(config)
    }
}

/// aarch64 whose redistributors take LPIs without an ITS.
pub(crate) struct OverDirectLpi;

impl Rig for OverDirectLpi {
    type BackEnd = FakeDirectLpiUnit;

    const ISOLATED: bool = false;

    fn machine(cpus: u8) -> FakeMachine {
        FakeMachine::with_direct_lpis(ItsOptions { cpus, lag: 2, ..ItsOptions::default() })
    }

    fn waiting_machine(cpus: u8) -> FakeMachine {
        Self::machine(cpus)
    }

    fn bare_server(machine: &FakeMachine, config: &FakeConfig) -> Server<Self> {
        machine.direct_lpi_server(config, &ItsSetup::default())
    }
}

/// Runs each of these tests over those back ends that nobody's isolation is the point of:
/// `over_unisolated!(mbi: …; direct_lpi: …;)`.
macro_rules! over_unisolated {
    (mbi: $($mbi:ident),*; direct_lpi: $($direct:ident),*;) => {
        mod mbi {
            $(#[test] fn $mbi() { super::$mbi::<crate::common::OverMbi>(); })*
        }
        mod direct_lpi {
            $(#[test] fn $direct() { super::$direct::<crate::common::OverDirectLpi>(); })*
        }
    };
}
pub(crate) use over_unisolated;

/// Runs each of these tests over each back end with a remapper.
macro_rules! over_each {
    ($($name:ident),* $(,)?) => {
        mod vtd {
            $(#[test] fn $name() { super::$name::<crate::common::OverVtd>(); })*
        }
        mod amdvi {
            $(#[test] fn $name() { super::$name::<crate::common::OverAmdVi>(); })*
        }
        mod its {
            $(#[test] fn $name() { super::$name::<crate::common::OverIts>(); })*
        }
    };
}
pub(crate) use over_each;

pub(crate) fn request(kind: Kind) -> AllocRequest {
    AllocRequest { kind, contiguity: Contiguity::Single, cpus: CpuSet::ALL }
}

pub(crate) fn alloc<B: BackEnd>(
    core: &mut Core<B, FakeKernel>,
    client: impl Into<ClientId>,
    kind: Kind,
) -> Result<Allocated<FakeHandle>, Error<FakeError>> {
    let mut out = [None];
    core.alloc(client, &request(kind), &mut out)?;
    Ok(out[0].expect("an answer"))
}

/// The CPUs take everything, and the quarantine empties.
pub(crate) fn settle<B: BackEnd>(machine: &FakeMachine, core: &mut Core<B, FakeKernel>) {
    machine.take_events();
    for _ in 0..1000 {
        if core.tick(64) == 0 {
            return;
        }
    }
    panic!("the quarantine does not empty");
}
