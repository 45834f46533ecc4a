//! What the manifest says, from the startup page.

use alloc::collections::BTreeMap;

use init_control::{SetDevice, SetQuota, SetSource, Source as Arrives, Writes};
use interrupt_core::its::DeviceId;
use interrupt_core::{ClientDevices, ClientId, ClientPolicy, RequesterId, Source};
use libsys::startup::Environment;
use tocsin_abi::startup::Startup;
use tocsin_proto::interrupt::RemapperKind;

/// How long a storm's message is held back, unless its owner unblocks it earlier.
pub const BACK_OFF_NS: u64 = 100_000_000;

/// A message's rate budget.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    /// More events than this …
    pub events: u64,
    /// … in this time are a storm.
    pub window_ns: u64,
}

/// Quotas, source checks and limits.
pub struct Policy {
    /// For clients that nobody has made known.
    pub default: ClientPolicy,
    /// IMS even where nobody checks the sender.
    pub allow_unisolated: bool,
    /// Make the remapper tell of a fault at the start, to see that it does (`provoke-fault`).
    pub provoke_fault: bool,
    /// Rate budget, if there is one.
    pub storm: Option<Storm>,
    clients: BTreeMap<ClientId, ClientPolicy>,
}

impl Policy {
    /// From the values that init put beside the message control.
    pub fn new(env: &Startup) -> Self {
        let quota = env.value("quota").unwrap_or(0);
        let storm = env.find("storm").filter(|entry| entry.value > 0).map(|entry| Storm {
            events: entry.value,
            window_ns: entry.value2.saturating_mul(1_000_000),
        });
        Self {
            default: ClientPolicy {
                quota: quota.try_into().unwrap_or(u32::MAX),
                source: None,
                dma_source: None,
                past_remapper: false,
                devices: ClientDevices::default(),
            },
            allow_unisolated: env.value("allow-unisolated") == Some(1),
            provoke_fault: env.has_arg("provoke-fault"),
            storm,
            clients: BTreeMap::new(),
        }
    }

    /// Of a child: what its parent gives may be any of its clients', and the parent says who gets
    /// how much of it.
    pub fn of_child(messages: u32) -> Self {
        Self {
            default: ClientPolicy {
                quota: messages,
                source: None,
                dma_source: None,
                past_remapper: false,
                devices: ClientDevices::default(),
            },
            allow_unisolated: true,
            provoke_fault: false,
            storm: None,
            clients: BTreeMap::new(),
        }
    }

    /// A client's quota is known now.
    pub fn set_quota(&mut self, set: SetQuota) -> Option<(ClientId, ClientPolicy)> {
        let client = ClientId::from_bits(set.client)?;
        let policy = self.clients.entry(client).or_insert(self.default);
        policy.quota = set.messages;
        Some((client, *policy))
    }

    /// What a remapper sees of a client's device is known now.
    pub fn set_device(
        &mut self,
        set: SetDevice,
        remapper: RemapperKind,
    ) -> Option<(ClientId, ClientPolicy)> {
        let client = ClientId::from_bits(set.client)?;
        let policy = self.clients.entry(client).or_insert(self.default);
        let id = Some(DeviceId::from_bits(set.device));
        match set.writes {
            Writes::Messages => policy.devices.own = id,
            Writes::Dma => policy.devices.dma = id,
            // Other remappers know no such id, and must not check for it.
            Writes::AmdViDma if remapper == RemapperKind::AmdVi => {
                policy.dma_source = u16::try_from(set.device).ok().map(RequesterId::from_bits);
            }
            Writes::AmdViDma => {}
        }
        Some((client, *policy))
    }

    /// The ids that a client's messages arrive with are known now.
    pub fn set_source(&mut self, set: SetSource) -> Option<(ClientId, ClientPolicy)> {
        let client = ClientId::from_bits(set.client)?;
        let policy = self.clients.entry(client).or_insert(self.default);
        policy.past_remapper = set.source == Arrives::Past;
        policy.source = match set.source {
            Arrives::Function(id) => Some(Source::Function(RequesterId::from_bits(id))),
            Arrives::Buses { first, last } => Some(Source::Buses { first, last }),
            Arrives::Past => None,
        };
        Some((client, *policy))
    }
}
