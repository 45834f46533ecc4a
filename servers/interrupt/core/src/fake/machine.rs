//! Devices, remapper, CPUs and kernel in one.

use super::amdvi::{AmdViModel, AmdViOptions};
use super::amdvi_memory::AmdViRegion;
use super::amdvi_registers::AmdViModelRegisters;
use super::its_bring_up::{FakeItsUnit, ItsSetup};
use super::vtd::{MessageOutcome, VtdModel, VtdOptions};
use super::{
    FakeDirectLpiUnit, FakeHandle, FakeKernel, GicdFrame, GicdModel, GicdOptions, ItsModel,
    ItsOptions, ItsOutcome, ModelRegion, ModelRegisters,
};
use crate::amdvi::{AmdViConfig, AmdViInitError, AmdViUnit};
use crate::its::DeviceId;
use crate::mbi::{MbiConfig, MbiInitError, MbiUnit};
use crate::vtd::{CompatibilityMessage, ExtendedMode, VtdConfig, VtdInitError, VtdUnit};
use crate::{
    ApicId, BackEnd, ClientDevices, ClientPolicy, Config, Core, CpuEvent, CpuIndex, Events,
    NoRemapper, Pair, RequesterId, Vector, VectorRange, Vectored,
};
use alloc::string::String;
use alloc::vec::Vec;

/// The VT-d back end over the model.
pub type FakeUnit = VtdUnit<ModelRegisters, ModelRegion>;

/// A server over it.
pub type VtdServer = Core<Vectored<FakeUnit>, FakeKernel>;
/// The AMD-Vi back end over the model.
pub type FakeAmdViUnit = AmdViUnit<AmdViModelRegisters, AmdViRegion>;
/// A server over it.
pub type AmdViServer = Core<Vectored<FakeAmdViUnit>, FakeKernel>;
/// A server over the model ITS.
pub type ItsServer = Core<Events<FakeItsUnit>, FakeKernel>;
/// The MBI back end over the model distributor.
pub type FakeMbiUnit = MbiUnit<GicdFrame>;
/// A server over it.
pub type MbiServer = Core<FakeMbiUnit, FakeKernel>;
/// A server over redistributors that take LPIs without an ITS.
pub type DirectLpiServer = Core<FakeDirectLpiUnit, FakeKernel>;
/// A server without a remapper.
pub type PlainServer = Core<Vectored<NoRemapper>, FakeKernel>;

/// A machine: CPU n has APIC id 2n, so that the two numbers are never mixed up unnoticed.
pub struct FakeMachine {
    /// The VT-d unit, if it has one.
    pub vtd: Option<VtdModel>,
    /// The AMD IOMMU, if it has one.
    pub amdvi: Option<AmdViModel>,
    /// The ITS, if it has one.
    pub its: Option<ItsModel>,
    /// The distributor, if it takes messages.
    pub gicd: Option<GicdModel>,
    /// The kernel.
    pub kernel: FakeKernel,
    cpus: Vec<ApicId>,
}

/// Where a device's write went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Landed {
    /// Into a CPU, or a redistributor that holds it for one.
    Event(CpuEvent),
    /// Nowhere.
    Nowhere,
}

/// A server's limits in a small machine.
#[derive(Clone, Copy, Debug)]
pub struct FakeConfig {
    /// Vectors 0x30..=`last` of each CPU are for devices.
    pub last: u8,
    /// LPIs, where there is an ITS.
    pub lpis: u32,
    /// The rest.
    pub core: Config,
}

/// Limits for a small machine: vectors 0x30..=`last`, 64 LPIs.
pub fn fake_config(last: u8, messages: u32, quota: u32) -> FakeConfig {
    let devices = ClientDevices::default();
    let core = Config {
        messages,
        clients: 16,
        default_policy: ClientPolicy {
            quota,
            source: None,
            dma_source: None,
            past_remapper: false,
            devices,
        },
        allow_unisolated: false,
    };
    FakeConfig { last, lpis: 64, core }
}

/// What an ITS knows a device by in this machine: never its requester id.
pub fn fake_device_id(requester: RequesterId) -> DeviceId {
    DeviceId::from_bits(u32::from(requester.bits()) + 0x200)
}

impl FakeConfig {
    fn range(&self) -> VectorRange {
        let vector = |number| Vector::new(number).unwrap_or_else(|| unreachable!());
        let range = VectorRange::new(vector(0x30), vector(self.last.max(0x30)));
        range.unwrap_or_else(|| unreachable!())
    }
}

impl FakeMachine {
    /// A machine with `cpus` CPUs, and a VT-d unit when there are options for one.
    pub fn new(cpus: u8, vtd: Option<VtdOptions>) -> Self {
        let cpus = (0..cpus.into()).map(|cpu: u32| ApicId::from_bits(2 * cpu)).collect();
        let vtd = vtd.map(VtdModel::new);
        Self { vtd, amdvi: None, its: None, gicd: None, kernel: FakeKernel::new(), cpus }
    }

    /// A machine with `cpus` CPUs and an AMD IOMMU.
    pub fn with_amdvi(cpus: u8, options: AmdViOptions) -> Self {
        Self { amdvi: Some(AmdViModel::new(options)), ..Self::new(cpus, None) }
    }

    /// A machine with an ITS, and as many CPUs as its options say.
    pub fn with_its(options: ItsOptions) -> Self {
        let its = Some(ItsModel::new(options));
        let kernel = FakeKernel::with_intids();
        Self { vtd: None, amdvi: None, its, gicd: None, kernel, cpus: Vec::new() }
    }

    /// A machine whose redistributors take LPIs without an ITS.
    pub fn with_direct_lpis(options: ItsOptions) -> Self {
        Self::with_its(ItsOptions { direct_lpis: true, ..options })
    }

    /// A machine whose distributor takes messages.
    pub fn with_mbi(options: GicdOptions) -> Self {
        let gicd = Some(GicdModel::new(options));
        let kernel = FakeKernel::with_intids();
        Self { vtd: None, amdvi: None, its: None, gicd, kernel, cpus: Vec::new() }
    }

    /// Its CPUs, where they have APIC ids.
    pub fn cpus(&self) -> &[ApicId] {
        &self.cpus
    }

    /// Takes its VT-d unit into service. Panics in a machine without one.
    pub fn unit(&self) -> Result<FakeUnit, VtdInitError> {
        let model = self.vtd.as_ref().expect("a machine with a unit");
        let config = VtdConfig { extended_mode: ExtendedMode::IfSupported, wait_budget: 1000 };
        VtdUnit::new(model.registers(), model.memory(), config)
    }

    /// A server over its VT-d unit.
    pub fn server(&self, config: &FakeConfig) -> VtdServer {
        let unit = self.unit().expect("the unit follows");
        let back_end = Vectored::new(unit, &self.cpus, config.range()).expect("good CPUs");
        self.core(back_end, config)
    }

    /// Takes its AMD IOMMU into service. Panics in a machine without one.
    pub fn amdvi_unit(&self) -> Result<FakeAmdViUnit, AmdViInitError> {
        let model = self.amdvi.as_ref().expect("a machine with an IOMMU");
        let config = AmdViConfig {
            extended_mode: ExtendedMode::IfSupported,
            writes_128: true,
            wait_budget: 1000,
            aliases: Vec::new(),
            io_apics: Vec::new(),
        };
        AmdViUnit::new(model.registers(), model.memory(), config)
    }

    /// A server over its AMD IOMMU.
    pub fn amdvi_server(&self, config: &FakeConfig) -> AmdViServer {
        let unit = self.amdvi_unit().expect("the unit follows");
        let back_end = Vectored::new(unit, &self.cpus, config.range()).expect("good CPUs");
        self.core(back_end, config)
    }

    /// A server without a remapper.
    pub fn plain_server(&self, config: &FakeConfig) -> PlainServer {
        let none = NoRemapper::new();
        let back_end = Vectored::new(none, &self.cpus, config.range()).expect("good CPUs");
        self.core(back_end, config)
    }

    /// A server over its ITS. Panics in a machine without one.
    pub fn its_server(&self, config: &FakeConfig, setup: &ItsSetup) -> ItsServer {
        let model = self.its.as_ref().expect("a machine with an ITS");
        let unit = model.bring_up(&ItsSetup { lpis: config.lpis, ..setup.clone() });
        let cpus = model.targets().len() as u8;
        let back_end = Events::new(unit.expect("the ITS follows"), cpus).expect("good CPUs");
        self.core(back_end, config)
    }

    /// A server over redistributors. Panics in a machine whose own do not take LPIs.
    pub fn direct_lpi_server(&self, config: &FakeConfig, setup: &ItsSetup) -> DirectLpiServer {
        let model = self.its.as_ref().expect("a machine with redistributors");
        let unit = model.direct_unit(&ItsSetup { lpis: config.lpis, ..setup.clone() });
        self.core(unit.expect("they follow"), config)
    }

    /// Takes its distributor's messages into service: SPIs in two ranges, as many as there are
    /// to be LPIs. Panics in a machine without.
    pub fn mbi_unit(&self, spis: u32) -> Result<FakeMbiUnit, MbiInitError> {
        let model = self.gicd.as_ref().expect("a machine with a distributor");
        let cpus: Vec<u32> = (0..model.cpus().into()).map(GicdModel::affinity).collect();
        let (lower, upper) = (spis / 2, spis - spis / 2);
        let ranges: Vec<_> =
            [(64, lower), (128, upper)].into_iter().filter(|(_, count)| *count > 0).collect();
        let config = MbiConfig {
            ranges: &ranges,
            frame: GicdModel::BASE,
            cpus: &cpus,
            priority: ItsModel::priority(),
            wait_budget: 50,
        };
        MbiUnit::new(model.registers(), &config)
    }

    /// A server over them.
    pub fn mbi_server(&self, config: &FakeConfig) -> MbiServer {
        self.core(self.mbi_unit(config.lpis).expect("it follows"), config)
    }

    fn core<B: BackEnd>(&self, back_end: B, config: &FakeConfig) -> Core<B, FakeKernel> {
        Core::new(back_end, self.kernel.clone(), &config.core).expect("a good configuration")
    }

    /// A device writes a pair; without a name, it is DMA that carries none. The event stays
    /// pending: [`FakeMachine::take_events`] delivers.
    pub fn write(&self, source: Option<RequesterId>, pair: Pair) -> Landed {
        if let Some(gicd) = &self.gicd {
            let spi = gicd.message(GicdModel::BASE, pair);
            let cpu = spi.and_then(|spi| gicd.cpu_of(spi)).and_then(cpu_index);
            return match spi.zip(cpu) {
                Some((spi, cpu)) => Landed::Event(CpuEvent { cpu, vector: spi.into() }),
                None => Landed::Nowhere,
            };
        }
        if let Some(its) = self.its.as_ref().filter(|its| its.is_direct()) {
            return match its.direct_message(pair) {
                Some(ItsOutcome::Pending { cpu, lpi }) => cpu_index(cpu)
                    .map_or(Landed::Nowhere, |cpu| {
                        Landed::Event(CpuEvent { cpu, vector: lpi.into() })
                    }),
                _ => Landed::Nowhere,
            };
        }
        if let Some(its) = &self.its {
            let device = source.map_or(DeviceId::from_bits(0), fake_device_id);
            return match its.message(device, pair) {
                ItsOutcome::Pending { cpu, lpi } => {
                    let cpu = CpuIndex::new(cpu as u8).unwrap_or_else(|| unreachable!());
                    Landed::Event(CpuEvent { cpu, vector: lpi.into() })
                }
                ItsOutcome::Dropped(_) => Landed::Nowhere,
            };
        }
        let outcome = match (&self.vtd, &self.amdvi) {
            (Some(model), _) => Some(model.message(source, pair)),
            (None, Some(model)) => Some(model.message(source, pair)),
            (None, None) => None,
        };
        let hit = match outcome {
            Some(MessageOutcome::Event { apic, vector }) => Some((apic, vector)),
            Some(MessageOutcome::Blocked(_)) => None,
            None => CompatibilityMessage::decode(pair)
                .ok()
                .map(|message| (ApicId::from_bits(message.destination.into()), message.vector)),
        };
        let Some((apic, vector)) = hit else { return Landed::Nowhere };
        let cpu = self.cpus.iter().position(|cpu| *cpu == apic);
        match cpu.and_then(|cpu| CpuIndex::new(cpu as u8)) {
            Some(cpu) => {
                let event = CpuEvent { cpu, vector: vector.into() };
                self.kernel.raise(event);
                Landed::Event(event)
            }
            None => Landed::Nowhere,
        }
    }

    /// CPUs acknowledge what is pending for them, and have not dealt with it yet. What a
    /// remapper of x86 lets through is in its CPU at once.
    pub fn acknowledge(&self) {
        if let Some(gicd) = &self.gicd {
            for cpu in 0..gicd.cpus().into() {
                while let Some((spi, cpu)) = gicd.acknowledge(cpu).zip(cpu_index(cpu)) {
                    self.kernel.raise(CpuEvent { cpu, vector: spi.into() });
                }
            }
        }
        let Some(its) = &self.its else { return };
        for number in 0..its.targets().len() {
            let Some(cpu) = CpuIndex::new(number as u8) else { break };
            while let Some(lpi) = its.acknowledge(number) {
                self.kernel.raise(CpuEvent { cpu, vector: lpi.into() });
            }
        }
    }

    /// The CPUs take all events.
    pub fn take_events(&self) {
        self.acknowledge();
        self.kernel.take_events();
        if let Some(its) = &self.its {
            (0..its.targets().len()).for_each(|cpu| its.complete(cpu));
        }
        if let Some(gicd) = &self.gicd {
            (0..gicd.cpus().into()).for_each(|cpu| gicd.complete(cpu));
        }
    }

    /// A device writes a pair and the CPUs take what is pending; how many packets that made
    /// for `handle`.
    pub fn fire(&self, source: RequesterId, pair: Pair, handle: FakeHandle) -> u64 {
        let before = self.kernel.delivered(handle);
        self.write(Some(source), pair);
        self.take_events();
        self.kernel.delivered(handle) - before
    }

    /// Its remapper stands still, or goes on.
    pub fn hang(&self, hung: bool) {
        if let Some(model) = &self.vtd {
            model.hang(hung);
        }
        if let Some(model) = &self.amdvi {
            model.hang(hung);
        }
        if let Some(model) = &self.its {
            model.hang(hung);
        }
        if let Some(model) = &self.gicd {
            model.hang(hung);
        }
    }

    /// What driver and server did that specification or kernel do not allow. Faults
    /// are not among it: those are the devices'.
    pub fn violations(&self) -> Vec<String> {
        let mut all = self.kernel.violations();
        if let Some(model) = &self.vtd {
            all.extend(model.violations());
        }
        if let Some(model) = &self.amdvi {
            all.extend(model.violations());
        }
        if let Some(model) = &self.its {
            all.extend(model.violations());
        }
        if let Some(model) = &self.gicd {
            all.extend(model.violations());
        }
        all
    }
}

fn cpu_index(cpu: usize) -> Option<CpuIndex> {
    CpuIndex::new(u8::try_from(cpu).ok()?)
}
