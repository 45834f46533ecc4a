//! The server: clients, messages, and their life cycle (DESIGN §5).
//!
//! | file | idea |
//! | --- | --- |
//! | `config` | what the machine and the manifest say |
//! | `types` | requests, answers, errors |
//! | `clients` | one record per device, with its quota |
//! | `table` | message records, by number and generation |
//! | `quarantine` | numbers that wait until nothing can use them |
//! | `alloc` | reserving |
//! | `withheld` | blocks that do not fit into one answer |
//! | `activate` | activating, and giving the vector back |
//! | `affinity` | moving to another CPU |
//! | `block` | blocking, storms, unblocking |
//! | `release` | freeing, orphans, clients that are gone |
//! | `direct` | messages of a device whose writes go past the remapper |
//! | `event` | the remapper's own message |
//! | `above` | the same steps, taken by a parent |
//! | `subsystems` | sets of devices that another server looks after |
//! | `faults` | whose fault a blocked message is |
//! | `notice` | how a client hears of faults |
//! | `describe` | the domain tree, as a whole |
//! | `survey` | the domain tree in pieces, for the inspector |
//!
//! Two rules hold for every operation. *Decode, then commit*: an error means that nothing
//! has changed. *Stop at the kernel first*: taking something away starts with the kernel
//! call, which can fail; the remapper's part after it cannot fail, it can only be late, and
//! what is late waits in the quarantine.

mod above;
mod activate;
mod affinity;
mod alloc;
mod block;
mod clients;
mod config;
mod describe;
mod direct;
mod event;
mod faults;
mod notice;
mod quarantine;
mod release;
mod subsystems;
mod survey;
mod table;
mod types;
mod withheld;

pub use clients::{ClientDevices, ClientPolicy};
pub use config::{Config, ConfigError};
pub use describe::{Describe, Domain, MessageInfo, Statistics};
pub use faults::FaultOwner;
pub use subsystems::SubsystemInfo;
pub use survey::{ClientNode, MessageNode, Node, Place, ServerNode, Step};
pub use types::{AllocRequest, Allocated, Contiguity, Error, Kind, MessageId, MessageState};

use crate::{BackEnd, ClientId, CpuSet, KernelMessages};
use ::alloc::vec::Vec;
use clients::Clients;
use event::FaultEvent;
use notice::Notice;
use quarantine::Quarantine;
use subsystems::Subsystem;
use table::Table;

/// An operation's result.
type Outcome<T, K> = Result<T, Error<<K as KernelMessages>::Error>>;

/// The interrupt server over a back end and a kernel.
pub struct Core<B: BackEnd, K: KernelMessages> {
    back_end: B,
    kernel: K,
    cpus: CpuSet,
    isolated: bool,
    table: Table<B, K::Handle>,
    clients: Clients,
    quarantine: Quarantine<B>,
    subsystems: Vec<Subsystem>,
    /// Which record an entry belongs to, for faults.
    by_entry: Vec<u32>,
    allow_unisolated: bool,
    statistics: Statistics,
    fault_event: Option<FaultEvent<B::Lease, K::Handle>>,
    /// By client; shorter than the clients' list while the last of them have asked for none.
    notices: Vec<Notice<K::Handle>>,
}

impl<B: BackEnd, K: KernelMessages> Core<B, K> {
    /// Takes a back end into service. All memory that the server ever needs, except for
    /// client records and what the back end needs for a new device, is taken here.
    pub fn new(back_end: B, kernel: K, config: &Config) -> Result<Self, ConfigError> {
        config.check()?;
        let capabilities = back_end.capabilities();
        let no_memory = ConfigError::NoMemory;
        let mut by_entry = Vec::new();
        by_entry.try_reserve_exact(capabilities.entries as usize).map_err(|_| no_memory)?;
        by_entry.resize(capabilities.entries as usize, table::NONE);
        // A record can wait once for each event it had, and once without.
        let waiting = back_end.leases() + 2 * config.messages as usize;
        Ok(Self {
            cpus: back_end.cpus(),
            isolated: capabilities.isolated,
            back_end,
            kernel,
            table: Table::new(config.messages).ok_or(no_memory)?,
            clients: Clients::new(config.clients, config.default_policy),
            quarantine: Quarantine::new(waiting).ok_or(no_memory)?,
            subsystems: Vec::new(),
            by_entry,
            allow_unisolated: config.allow_unisolated,
            statistics: Statistics::default(),
            fault_event: None,
            notices: Vec::new(),
        })
    }

    /// Makes a client known before it speaks, with its own quota or source check. A client
    /// that is not made known gets the default policy at its first `alloc`.
    pub fn register(
        &mut self,
        client: impl Into<ClientId>,
        policy: ClientPolicy,
    ) -> Outcome<(), K> {
        let index = self.clients.find_or_add(client.into()).ok_or(Error::NoMemory)?;
        let record = self.clients.get_mut(index);
        record.policy = policy;
        record.registered = true;
        for kind in [Kind::Msix, Kind::DeviceArray] {
            let sender = self.clients.get(index).sender(kind);
            self.back_end.announce(&sender);
        }
        Ok(())
    }

    /// The back end, for what is its own (the fault event, the log).
    pub fn back_end_mut(&mut self) -> &mut B {
        &mut self.back_end
    }

    /// The kernel binding.
    pub fn kernel_mut(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// The machine's CPUs.
    pub const fn cpus(&self) -> CpuSet {
        self.cpus
    }

    /// The machine's CPUs out of a wanted set.
    fn usable(&self, wanted: CpuSet) -> Outcome<CpuSet, K> {
        let usable = wanted.intersect(self.cpus);
        if usable.is_empty() {
            return Err(Error::BadArgument);
        }
        Ok(usable)
    }

    /// The record that a client means, if it is its own.
    fn own(&self, client: impl Into<ClientId>, id: MessageId) -> Outcome<u32, K> {
        let slot = self.table.find(id).ok_or(Error::BadId)?;
        match self.clients.find(client.into()) {
            Some(index) if index == self.table.get(slot).client => Ok(slot),
            _ => Err(Error::NotYours),
        }
    }
}
