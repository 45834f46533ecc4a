//! What the tests of the ITS back end share: an ITS brought up on the model.

use interrupt_core::CpuIndex;
use interrupt_core::fake::{FakeItsUnit, ItsModel, ItsOptions, ItsRegion, ItsSetup};
use interrupt_core::its::{
    AttachError, Attached, DeviceId, ItsInitError, ItsMemory, ItsProbe, LpiTable, Priority,
};

pub(crate) type Unit = FakeItsUnit;
pub(crate) type Choice = ItsSetup;

pub(crate) const ID_BITS: u8 = 14;
pub(crate) const BUDGET: u32 = 200;

pub(crate) fn cpu(number: u8) -> CpuIndex {
    CpuIndex::new(number).unwrap()
}

pub(crate) fn priority() -> Priority {
    ItsModel::priority()
}

pub(crate) fn properties(model: &ItsModel) -> LpiTable<ItsRegion> {
    model.properties(&Choice::default())
}

pub(crate) fn memory(model: &ItsModel, probe: &ItsProbe, choice: Choice) -> ItsMemory<ItsRegion> {
    model.memory(probe, &choice)
}

pub(crate) fn bring_up(model: &ItsModel, choice: Choice) -> Result<Unit, ItsInitError> {
    model.bring_up(&choice)
}

pub(crate) fn finish(
    model: &ItsModel,
    probe: &ItsProbe,
    memory: ItsMemory<ItsRegion>,
    lpis: u32,
) -> Result<Unit, ItsInitError> {
    model.finish(probe, memory, &Choice { lpis, ..Choice::default() })
}

pub(crate) fn start(options: ItsOptions, choice: Choice) -> (ItsModel, Unit) {
    ItsModel::start(options, &choice).expect("the ITS follows")
}

/// Attaches a device, giving it a level-two page where one is asked for.
pub(crate) fn attach(
    model: &ItsModel,
    unit: &mut Unit,
    device: DeviceId,
    event_bits: u8,
) -> Result<Attached, AttachError> {
    let table = model.region(unit.event_table_bytes(event_bits), 256);
    match unit.attach(device, event_bits, table) {
        Err((AttachError::NeedsPage, table)) => {
            let page = model.region(unit.device_page_bytes(), unit.device_page_bytes());
            unit.add_device_page(device, page).map_err(|(error, _)| error)?;
            unit.attach(device, event_bits, table).map_err(|(error, _)| error)
        }
        other => other.map_err(|(error, _)| error),
    }
}
