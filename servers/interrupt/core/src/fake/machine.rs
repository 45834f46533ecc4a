//! Devices, remapper, CPUs and kernel in one.

use super::vtd::{MessageOutcome, VtdModel, VtdOptions};
use super::{FakeHandle, FakeKernel, ModelRegion, ModelRegisters};
use crate::vtd::{CompatibilityMessage, ExtendedMode, VtdConfig, VtdInitError, VtdUnit};
use crate::{
    ApicId, ClientPolicy, Config, Core, Cpu, CpuIndex, NoRemapper, Pair, RequesterId, Vector,
    VectorRange,
};
use alloc::vec::Vec;

/// The VT-d back end over the model.
pub type FakeUnit = VtdUnit<ModelRegisters, ModelRegion>;

/// A machine: CPU n has APIC id 2n, so that the two numbers are never mixed up unnoticed.
pub struct FakeMachine {
    /// The unit; `None` in a machine without a remapper.
    pub vtd: Option<VtdModel>,
    /// The kernel.
    pub kernel: FakeKernel,
    cpus: Vec<Cpu>,
}

/// Limits for small machines: `cpus` as the machine's, vectors 0x30..=`last`.
pub fn fake_config<'a>(cpus: &'a [Cpu], last: u8, messages: u32, quota: u32) -> Config<'a> {
    let vector = |number| Vector::new(number).unwrap_or_else(|| unreachable!());
    Config {
        cpus,
        vectors: VectorRange::new(vector(0x30), vector(last.max(0x30)))
            .unwrap_or_else(|| unreachable!()),
        messages,
        clients: 16,
        default_policy: ClientPolicy { quota, source: None },
        allow_unisolated: false,
    }
}

impl FakeMachine {
    /// A machine with `cpus` CPUs, and a VT-d unit when there are options for one.
    pub fn new(cpus: u8, vtd: Option<VtdOptions>) -> Self {
        Self {
            vtd: vtd.map(VtdModel::new),
            kernel: FakeKernel::new(),
            cpus: (0..cpus as u32).map(|cpu| Cpu { apic: ApicId::from_bits(2 * cpu) }).collect(),
        }
    }

    /// Its CPUs.
    pub fn cpus(&self) -> &[Cpu] {
        &self.cpus
    }

    /// Takes its unit into service. Panics in a machine without one.
    pub fn unit(&self) -> Result<FakeUnit, VtdInitError> {
        let model = self.vtd.as_ref().expect("a machine with a unit");
        let config = VtdConfig { extended_mode: ExtendedMode::IfSupported, wait_budget: 1000 };
        VtdUnit::new(model.registers(), model.memory(), config)
    }

    /// A server over its unit.
    pub fn server(&self, config: &Config<'_>) -> Core<FakeUnit, FakeKernel> {
        let unit = self.unit().expect("the unit follows");
        Core::new(unit, self.kernel.clone(), config).expect("a good configuration")
    }

    /// A server without a remapper.
    pub fn plain_server(&self, config: &Config<'_>) -> Core<NoRemapper, FakeKernel> {
        let kernel = self.kernel.clone();
        Core::new(NoRemapper::new(), kernel, config).expect("a good configuration")
    }

    /// A device writes a pair. The event stays pending in its CPU: `take_events` delivers.
    pub fn write(&self, source: Option<RequesterId>, pair: Pair) -> MessageOutcome {
        let outcome = match &self.vtd {
            Some(model) => model.message(source, pair),
            None => match CompatibilityMessage::decode(pair) {
                Ok(message) => MessageOutcome::Event {
                    apic: ApicId::from_bits(message.destination.into()),
                    vector: message.vector,
                },
                Err(_) => MessageOutcome::Blocked(crate::FaultReason::RequestReserved),
            },
        };
        if let MessageOutcome::Event { apic, vector } = outcome {
            let cpu = self.cpus.iter().position(|cpu| cpu.apic == apic);
            if let Some(cpu) = cpu.and_then(|cpu| CpuIndex::new(cpu as u8)) {
                self.kernel.raise(cpu, vector);
            }
        }
        outcome
    }

    /// A device writes a pair and the CPUs take what is pending; how many packets that made
    /// for `handle`.
    pub fn fire(&self, source: RequesterId, pair: Pair, handle: FakeHandle) -> u64 {
        let before = self.kernel.delivered(handle);
        self.write(Some(source), pair);
        self.kernel.take_events();
        self.kernel.delivered(handle) - before
    }

    /// What driver and server did that specification or kernel do not allow. Faults
    /// are not among it: those are the devices'.
    pub fn violations(&self) -> Vec<alloc::string::String> {
        let mut all = self.kernel.violations();
        if let Some(model) = &self.vtd {
            all.extend(model.violations());
        }
        all
    }
}
