//! What the tests of the ITS back end share: an ITS brought up on the model.

use interrupt_core::CpuIndex;
use interrupt_core::fake::{ItsFrame, ItsModel, ItsOptions, ItsRegion};
use interrupt_core::its::{
    AttachError, Attached, DeviceId, DeviceTable, ItsConfig, ItsInitError, ItsMemory, ItsProbe,
    ItsUnit, LpiTable, PendingTableNeed, Priority, enable_lpis,
};

pub(crate) type Unit = ItsUnit<ItsFrame, ItsRegion>;

pub(crate) const ID_BITS: u8 = 14;
pub(crate) const BUDGET: u32 = 200;

/// What the caller of `ItsUnit::new` chooses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    pub(crate) two_level: bool,
    /// Ids that the device table is sized for.
    pub(crate) ids: u64,
    pub(crate) queue_pages: usize,
    pub(crate) lpis: u32,
}

impl Default for Choice {
    fn default() -> Self {
        Self { two_level: false, ids: 0x1000, queue_pages: 1, lpis: 64 }
    }
}

pub(crate) fn priority() -> Priority {
    Priority::new(0xa0).unwrap()
}

pub(crate) fn cpu(number: u8) -> CpuIndex {
    CpuIndex::new(number).unwrap()
}

/// The property table, known to every redistributor.
pub(crate) fn properties(model: &ItsModel) -> LpiTable<ItsRegion> {
    let memory = model.region(LpiTable::<ItsRegion>::bytes(ID_BITS), 4096);
    let mut table = LpiTable::new(memory, ID_BITS, priority()).unwrap();
    let need = PendingTableNeed::new(ID_BITS);
    for cpu in 0..model.targets().len() {
        let pending = model.region(need.bytes, need.align);
        let enabled = enable_lpis(&mut model.redistributor(cpu), &mut table, pending, BUDGET);
        assert!(enabled.is_ok(), "redistributor {cpu}");
    }
    table
}

pub(crate) fn memory(model: &ItsModel, probe: &ItsProbe, choice: Choice) -> ItsMemory<ItsRegion> {
    let region = |bytes: Option<usize>, align| model.region(bytes.unwrap(), align);
    let page = probe.devices.page.bytes();
    ItsMemory {
        queue: model.region(4096 * choice.queue_pages, 0x1_0000),
        devices: if choice.two_level {
            DeviceTable::TwoLevel(region(probe.devices.level_one_bytes(choice.ids), page))
        } else {
            DeviceTable::Flat(region(probe.devices.flat_bytes(choice.ids), page))
        },
        collections: probe.collections.map(|need| region(need.flat_bytes(64), need.page.bytes())),
        virtual_processors: probe
            .virtual_processors
            .map(|need| region(need.flat_bytes(16), need.page.bytes())),
        properties: properties(model),
    }
}

pub(crate) fn bring_up(model: &ItsModel, choice: Choice) -> Result<Unit, ItsInitError> {
    let probe = ItsProbe::new(&mut model.registers(), BUDGET)?;
    let memory = memory(model, &probe, choice);
    finish(model, &probe, memory, choice.lpis)
}

pub(crate) fn finish(
    model: &ItsModel,
    probe: &ItsProbe,
    memory: ItsMemory<ItsRegion>,
    lpis: u32,
) -> Result<Unit, ItsInitError> {
    let config = ItsConfig {
        control_frame: model.control_frame(),
        cpus: &model.targets(),
        lpis,
        priority: priority(),
        wait_budget: BUDGET,
    };
    ItsUnit::new(model.registers(), probe, memory, config)
}

pub(crate) fn start(options: ItsOptions, choice: Choice) -> (ItsModel, Unit) {
    let model = ItsModel::new(options);
    let unit = bring_up(&model, choice).expect("the ITS follows");
    (model, unit)
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
