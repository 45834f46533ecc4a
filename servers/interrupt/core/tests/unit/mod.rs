//! What the tests of the VT-d back end share.

use interrupt_core::fake::{FakeUnit, MessageOutcome, VtdModel, VtdOptions};
use interrupt_core::vtd::{ExtendedMode, VtdConfig, VtdInitError, VtdUnit};
use interrupt_core::{ApicId, CpuIndex, Entry, Remapper, RequesterId, Source, Target, Vector};

pub(crate) const A: RequesterId = RequesterId::from_bits(0x0010);

pub(crate) fn config(extended_mode: ExtendedMode) -> VtdConfig {
    VtdConfig { extended_mode, wait_budget: 1000 }
}

pub(crate) fn new(model: &VtdModel, mode: ExtendedMode) -> Result<FakeUnit, VtdInitError> {
    VtdUnit::new(model.registers(), model.memory(), config(mode))
}

pub(crate) fn start(options: VtdOptions) -> (VtdModel, FakeUnit) {
    let model = VtdModel::new(options);
    let unit = new(&model, ExtendedMode::IfSupported).expect("the unit follows");
    (model, unit)
}

pub(crate) fn target(apic: u32, vector: u8) -> Target {
    Target {
        cpu: CpuIndex::new(0).unwrap(),
        apic: ApicId::from_bits(apic),
        vector: Vector::new(vector).unwrap(),
    }
}

pub(crate) fn event(apic: u32, vector: u8) -> MessageOutcome {
    let Target { apic, vector, .. } = target(apic, vector);
    MessageOutcome::Event { apic, vector }
}

pub(crate) fn one(unit: &mut FakeUnit) -> Entry {
    unit.reserve(Source::Function(A), 0).unwrap().next().unwrap()
}

pub(crate) fn quiet(model: &VtdModel) {
    assert_eq!(model.violations(), Vec::<String>::new());
}
