//! What the machine and the manifest say.

use super::ClientPolicy;
use crate::{ApicId, CpuIndex, Remapper, Target, VectorRange};

/// One CPU; its place in [`Config::cpus`] is its kernel number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cpu {
    /// Its name in the interrupt fabric.
    pub apic: ApicId,
}

/// The server's limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config<'a> {
    /// The CPUs, by kernel number: 1 to 64.
    pub cpus: &'a [Cpu],
    /// The vectors that the kernel leaves to devices.
    pub vectors: VectorRange,
    /// Message records: all live messages of all clients, at most 2^20.
    pub messages: u32,
    /// Client records.
    pub clients: u16,
    /// For clients that were not registered.
    pub default_policy: ClientPolicy,
    /// The manifest's `allow-unisolated`: IMS even where nobody checks the sender.
    pub allow_unisolated: bool,
}

/// Why a server was not made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigError {
    /// No CPU, or more than 64.
    Cpus,
    /// No message or client records, or too many.
    Limits,
    /// The back end cannot address this CPU (an APIC id above 254 in xAPIC mode).
    CpuOutOfReach(CpuIndex),
    /// Not enough memory for the tables.
    NoMemory,
}

impl Config<'_> {
    pub(super) fn check(&self, remapper: &impl Remapper) -> Result<(), ConfigError> {
        if self.cpus.is_empty() || self.cpus.len() > 64 {
            return Err(ConfigError::Cpus);
        }
        if self.messages == 0 || self.messages > 1 << 20 || self.clients == 0 {
            return Err(ConfigError::Limits);
        }
        for (index, cpu) in self.cpus.iter().enumerate() {
            let number = CpuIndex::new(index as u8).ok_or(ConfigError::Cpus)?;
            let target = Target { cpu: number, apic: cpu.apic, vector: self.vectors.first() };
            if !remapper.can_target(target) {
                return Err(ConfigError::CpuOutOfReach(number));
            }
        }
        Ok(())
    }
}
