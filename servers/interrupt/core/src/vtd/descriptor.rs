//! Queued-invalidation descriptors, §6.5.2: 128 bits each.
//!
//! Interrupt entry cache invalidate (§6.5.2.7):
//!
//! | bits | field |
//! | --- | --- |
//! | 3:0, 11:9 | type, 4 |
//! | 4 | G: 0 global, 1 index-selective |
//! | 31:27 | IM: the low IM bits of the index are not compared |
//! | 47:32 | IIDX |
//! | others | reserved |
//!
//! Invalidation wait (§6.5.2.8):
//!
//! | bits | field |
//! | --- | --- |
//! | 3:0, 11:9 | type, 5 |
//! | 4 | IF: raise the completion event |
//! | 5 | SW: write the status |
//! | 6 | FN: fence, later descriptors start only after this one |
//! | 63:32 | status data |
//! | 127:66 | status address 63:2 |
//! | others | reserved (bit 7, page request drain, is not used here) |

use super::{Malformed, bits, reject};
use crate::EntryIndex;

const TYPE_ENTRY_CACHE: u64 = 4;
const TYPE_WAIT: u64 = 5;
const INDEX_SELECTIVE: u64 = 1 << 4;
const CACHE_RESERVED: u64 = 0xffff_0000_07ff_f1e0;
const INTERRUPT_FLAG: u64 = 1 << 4;
const STATUS_WRITE: u64 = 1 << 5;
const FENCE: u64 = 1 << 6;
const WAIT_RESERVED: u64 = 0xffff_f180;

/// One descriptor of the two kinds that interrupt remapping needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Descriptor {
    /// Forget cached table entries.
    Cache(CacheInvalidate),
    /// Report that everything before is done.
    Wait(Wait),
}

/// Interrupt entry cache invalidation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CacheInvalidate {
    /// Every entry.
    Global,
    /// 2^mask entries around `index`.
    Selective {
        /// An entry of the block.
        index: EntryIndex,
        /// How many low bits of the index are not compared, 0..=15.
        mask: u8,
    },
}

/// Invalidation wait with a status write. The interrupt form is not used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait {
    /// Let no later descriptor overtake.
    pub fence: bool,
    /// What hardware writes when all earlier descriptors are complete.
    pub status_data: u32,
    /// Where: a bus address, a multiple of 4.
    pub status_address: u64,
}

impl Descriptor {
    /// The two 64-bit halves, low first.
    pub const fn encode(self) -> [u64; 2] {
        match self {
            Descriptor::Cache(CacheInvalidate::Global) => [TYPE_ENTRY_CACHE, 0],
            Descriptor::Cache(CacheInvalidate::Selective { index, mask }) => {
                let mask = (mask as u64 & 31) << 27;
                [TYPE_ENTRY_CACHE | INDEX_SELECTIVE | mask | (index.bits() as u64) << 32, 0]
            }
            Descriptor::Wait(wait) => {
                let fence = if wait.fence { FENCE } else { 0 };
                let low = TYPE_WAIT | STATUS_WRITE | fence | (wait.status_data as u64) << 32;
                [low, wait.status_address & !3]
            }
        }
    }

    /// From the queue. `Err` for other types, reserved bits, and fields that the type does
    /// not use and that are not zero.
    pub fn decode(halves: [u64; 2]) -> Result<Self, Malformed> {
        let [low, high] = halves;
        match bits(low, 0, 4) | bits(low, 9, 3) << 4 {
            TYPE_ENTRY_CACHE => {
                reject(low, CACHE_RESERVED, "reserved (63:48, 26:12, 8:5)")?;
                reject(high, !0, "reserved (127:64)")?;
                if low & INDEX_SELECTIVE == 0 {
                    reject(low, 0xffff_f800_0000, "IIDX, IM")?;
                    return Ok(Descriptor::Cache(CacheInvalidate::Global));
                }
                let mask = bits(low, 27, 5) as u8;
                if mask > 15 {
                    return Err(Malformed { field: "IM" });
                }
                let index = EntryIndex::new(bits(low, 32, 16) as u16);
                Ok(Descriptor::Cache(CacheInvalidate::Selective { index, mask }))
            }
            TYPE_WAIT => {
                reject(low, WAIT_RESERVED, "reserved (31:12, 8:7)")?;
                reject(low, INTERRUPT_FLAG, "IF")?;
                if low & STATUS_WRITE == 0 {
                    return Err(Malformed { field: "SW" });
                }
                reject(high, 3, "reserved (65:64)")?;
                Ok(Descriptor::Wait(Wait {
                    fence: low & FENCE != 0,
                    status_data: bits(low, 32, 32) as u32,
                    status_address: high,
                }))
            }
            _ => Err(Malformed { field: "type" }),
        }
    }
}
