//! A model ITS taken into service by the driver that it is the model for.

use super::its_memory::ItsRegion;
use super::its_registers::ItsFrame;
use super::{ItsModel, ItsOptions};
use crate::its::{
    DeviceTable, ItsConfig, ItsInitError, ItsMemory, ItsProbe, ItsUnit, LpiTable, PendingTableNeed,
    Priority, TableMemory, TableNeed, enable_lpis,
};
use crate::vtd::DmaRegion;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;

/// The ITS back end over the model.
pub type FakeItsUnit = ItsUnit<ItsFrame, ItsRegion>;

/// What the caller of [`ItsUnit::new`] chooses.
#[derive(Clone, Debug)]
pub struct ItsSetup {
    /// Two levels for the device table.
    pub two_level: bool,
    /// DeviceIDs that the device table is sized for.
    pub ids: u64,
    /// Pages of the command queue.
    pub queue_pages: usize,
    /// LPIs to manage.
    pub lpis: u32,
    /// Bits of an INTID: what the property table is sized for.
    pub id_bits: u8,
    /// Polls of one wait.
    pub wait_budget: u32,
    /// Bytes that devices' tables may take up. A test can change it while the ITS runs.
    pub table_bytes: Rc<Cell<usize>>,
}

impl Default for ItsSetup {
    fn default() -> Self {
        Self {
            two_level: false,
            ids: 0x1000,
            queue_pages: 1,
            lpis: 64,
            id_bits: 14,
            wait_budget: 200,
            table_bytes: Rc::new(Cell::new(1 << 20)),
        }
    }
}

/// Regions within a budget; what comes back is given out again.
struct ModelTables {
    its: ItsModel,
    left: Rc<Cell<usize>>,
    back: Vec<ItsRegion>,
}

impl TableMemory<ItsRegion> for ModelTables {
    fn take(&mut self, bytes: usize, align: usize) -> Option<ItsRegion> {
        self.left.set(self.left.get().checked_sub(bytes)?);
        let fits = |region: &ItsRegion| {
            region.size_bytes() == bytes && region.bus_address().is_multiple_of(align as u64)
        };
        match self.back.iter().position(fits) {
            Some(place) => Some(self.back.remove(place)),
            None => Some(self.its.region(bytes, align)),
        }
    }

    fn give_back(&mut self, memory: ItsRegion) {
        self.left.set(self.left.get() + memory.size_bytes());
        self.back.push(memory);
    }
}

impl ItsModel {
    /// The priority that every LPI is given.
    pub fn priority() -> Priority {
        Priority::new(0xa0).unwrap_or(Priority::LOWEST)
    }

    /// A model and its driver.
    ///
    /// # Errors
    /// Whatever the driver says.
    pub fn start(
        options: ItsOptions,
        setup: &ItsSetup,
    ) -> Result<(Self, FakeItsUnit), ItsInitError> {
        let model = Self::new(options);
        let unit = model.bring_up(setup)?;
        Ok((model, unit))
    }

    /// Its driver, with all memory that it asks for.
    ///
    /// # Errors
    /// Whatever the driver says.
    pub fn bring_up(&self, setup: &ItsSetup) -> Result<FakeItsUnit, ItsInitError> {
        let probe = ItsProbe::new(&mut self.registers(), setup.wait_budget)?;
        let memory = self.memory(&probe, setup);
        self.finish(&probe, memory, setup)
    }

    /// The driver, with this memory.
    ///
    /// # Errors
    /// Whatever the driver says.
    pub fn finish(
        &self,
        probe: &ItsProbe,
        memory: ItsMemory<ItsRegion>,
        setup: &ItsSetup,
    ) -> Result<FakeItsUnit, ItsInitError> {
        let config = ItsConfig {
            control_frame: self.control_frame(),
            cpus: &self.targets(),
            lpis: setup.lpis,
            priority: Self::priority(),
            wait_budget: setup.wait_budget,
        };
        ItsUnit::new(self.registers(), probe, memory, config)
    }

    /// Memory as the ITS asks for it. Panics when the setup asks for what can not be.
    pub fn memory(&self, probe: &ItsProbe, setup: &ItsSetup) -> ItsMemory<ItsRegion> {
        let region = |bytes: Option<usize>, align| {
            self.region(bytes.expect("a table that GITS_BASER<n> can say"), align)
        };
        let table = |need: TableNeed, ids| region(need.flat_bytes(ids), need.page.bytes());
        let page = probe.devices.page.bytes();
        ItsMemory {
            queue: self.region(4096 * setup.queue_pages, 0x1_0000),
            devices: if setup.two_level {
                DeviceTable::TwoLevel(region(probe.devices.level_one_bytes(setup.ids), page))
            } else {
                DeviceTable::Flat(table(probe.devices, setup.ids))
            },
            collections: probe.collections.map(|need| table(need, 64)),
            virtual_processors: probe.virtual_processors.map(|need| table(need, 16)),
            properties: self.properties(setup),
            tables: self.tables(setup),
        }
    }

    /// Memory for devices' tables.
    pub fn tables(&self, setup: &ItsSetup) -> Box<dyn TableMemory<ItsRegion>> {
        let (its, left) = (self.clone(), setup.table_bytes.clone());
        Box::new(ModelTables { its, left, back: Vec::new() })
    }

    /// The property table, known to every redistributor. Panics when one does not take it.
    pub fn properties(&self, setup: &ItsSetup) -> LpiTable<ItsRegion> {
        let memory = self.region(LpiTable::<ItsRegion>::bytes(setup.id_bits), 4096);
        let table = LpiTable::new(memory, setup.id_bits, Self::priority());
        let mut table = table.expect("memory as it has to be");
        let need = PendingTableNeed::new(setup.id_bits);
        for cpu in 0..self.targets().len() {
            let pending = self.region(need.bytes, need.align);
            let frame = &mut self.redistributor(cpu);
            let enabled = enable_lpis(frame, &mut table, pending, setup.wait_budget);
            assert!(enabled.is_ok(), "redistributor {cpu}");
        }
        table
    }
}
