//! Commands, §2.4: 128 bits, the opcode in bits 63:60.

use super::{bits, reject};
use crate::RequesterId;
use crate::vtd::Malformed;

const STORE: u64 = 1;
const FLUSH: u64 = 1 << 2;
const STORE_ADDRESS: u64 = 0x000f_ffff_ffff_fff8;

/// A command of those that interrupt remapping needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// COMPLETION_WAIT (1, §2.4.1), with s and f: when all commands before are complete, and
    /// what used the forgotten tables has reached its CPU, the unit stores `data`. Commands
    /// after it wait for it.
    CompletionWait {
        /// Where, a multiple of 8, below 2^52.
        address: u64,
        /// What.
        data: u64,
    },
    /// INVALIDATE_DEVTAB_ENTRY (2, §2.4.2): forget the device table entry of this id.
    InvalidateDeviceEntry(RequesterId),
    /// INVALIDATE_INTERRUPT_TABLE (5, §2.4.5): forget all entries of this id's table.
    InvalidateInterruptTable(RequesterId),
    /// INVALIDATE_IOMMU_ALL (8, §2.4.8): forget everything. Only where EFR.IASup says so.
    InvalidateAll,
}

impl Command {
    /// Bytes of a command.
    pub const BYTES: usize = 16;

    /// The two halves, low first.
    pub const fn encode(self) -> [u64; 2] {
        match self {
            Command::CompletionWait { address, data } => {
                [0x1 << 60 | address & STORE_ADDRESS | FLUSH | STORE, data]
            }
            Command::InvalidateDeviceEntry(id) => [0x2 << 60 | id.bits() as u64, 0],
            Command::InvalidateInterruptTable(id) => [0x5 << 60 | id.bits() as u64, 0],
            Command::InvalidateAll => [0x8 << 60, 0],
        }
    }

    /// What this server sends; anything else is not a command of its.
    pub fn decode(halves: [u64; 2]) -> Result<Self, Malformed> {
        let [low, high] = halves;
        let id = RequesterId::from_bits(low as u16);
        match bits(low, 60, 4) {
            0x1 => {
                reject(low, 0x0ff0_0000_0000_0000, "COMPLETION_WAIT reserved (59:52)")?;
                if low & 0b111 != STORE | FLUSH {
                    return Err(Malformed { field: "COMPLETION_WAIT s, i, f" });
                }
                Ok(Command::CompletionWait { address: low & STORE_ADDRESS, data: high })
            }
            opcode @ (0x2 | 0x5) => {
                reject(low, 0x0fff_ffff_ffff_0000, "reserved (59:16)")?;
                reject(high, u64::MAX, "reserved (127:64)")?;
                Ok(if opcode == 2 {
                    Command::InvalidateDeviceEntry(id)
                } else {
                    Command::InvalidateInterruptTable(id)
                })
            }
            0x8 => {
                reject(low, 0x0fff_ffff_ffff_ffff, "INVALIDATE_IOMMU_ALL reserved (59:0)")?;
                reject(high, u64::MAX, "reserved (127:64)")?;
                Ok(Command::InvalidateAll)
            }
            _ => Err(Malformed { field: "opcode" }),
        }
    }
}
