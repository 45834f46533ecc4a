//! What the manifest says.

use super::ClientPolicy;

/// The server's limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
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
    /// No message or client records, or too many.
    Limits,
    /// Not enough memory for the tables.
    NoMemory,
}

impl Config {
    pub(super) const fn check(&self) -> Result<(), ConfigError> {
        if self.messages == 0 || self.messages > 1 << 20 || self.clients == 0 {
            return Err(ConfigError::Limits);
        }
        Ok(())
    }
}
