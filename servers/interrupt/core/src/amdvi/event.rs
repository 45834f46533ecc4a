//! Event log entries, §2.5: 128 bits, the code in bits 63:60.
//!
//! | bits | field |
//! | --- | --- |
//! | 15:0 | DeviceID, where the event has one |
//! | 51 | I, the request was an interrupt |
//! | 52 | PR, the entry was enabled |
//! | 55 | RZ, a reserved bit was not zero |
//! | 63:60 | code |
//! | 127:64 | address |

use super::bits;
use crate::vtd::Malformed;
use crate::{Fault, FaultReason, RequesterId};

const INTERRUPT: u64 = 1 << 51;
const PRESENT: u64 = 1 << 52;
const RESERVED_BIT: u64 = 1 << 55;

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventCode {
    /// ILLEGAL_DEV_TABLE_ENTRY (1): a reserved bit in a device table entry.
    IllegalDeviceEntry,
    /// IO_PAGE_FAULT (2): an interrupt or an access that was not let through.
    PageFault,
    /// DEV_TAB_HARDWARE_ERROR (3): the device table could not be read.
    DeviceTableError,
    /// PAGE_TAB_HARDWARE_ERROR (4): a table could not be read.
    TableError,
    /// ILLEGAL_COMMAND_ERROR (5): the unit stands still at a command.
    IllegalCommand,
    /// COMMAND_HARDWARE_ERROR (6): commands could not be read.
    CommandError,
    /// INVALID_DEVICE_REQUEST (8): a request that makes no sense.
    InvalidRequest,
    /// Any other but 0.
    Other(u8),
}

impl EventCode {
    const fn number(self) -> u64 {
        match self {
            EventCode::IllegalDeviceEntry => 1,
            EventCode::PageFault => 2,
            EventCode::DeviceTableError => 3,
            EventCode::TableError => 4,
            EventCode::IllegalCommand => 5,
            EventCode::CommandError => 6,
            EventCode::InvalidRequest => 8,
            EventCode::Other(number) => number as u64 & 0xf,
        }
    }

    const fn from_number(number: u8) -> Self {
        match number {
            1 => EventCode::IllegalDeviceEntry,
            2 => EventCode::PageFault,
            3 => EventCode::DeviceTableError,
            4 => EventCode::TableError,
            5 => EventCode::IllegalCommand,
            6 => EventCode::CommandError,
            8 => EventCode::InvalidRequest,
            other => EventCode::Other(other),
        }
    }
}

/// One entry of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogEvent {
    /// What happened.
    pub code: EventCode,
    /// Who was it. Of no meaning for commands.
    pub source: RequesterId,
    /// The request was an interrupt.
    pub interrupt: bool,
    /// The entry was enabled.
    pub present: bool,
    /// A reserved bit was set in it.
    pub reserved_bit: bool,
    /// The address that was meant. An interrupt's tells nothing of its data, so not which
    /// entry it named.
    pub address: u64,
}

impl LogEvent {
    /// Bytes of an entry.
    pub const BYTES: usize = 16;

    /// A device's message that an entry did not let through.
    pub const fn interrupt(source: RequesterId, present: bool, reserved_bit: bool) -> Self {
        let (code, address) = (EventCode::PageFault, 0xfee0_0000);
        Self { code, source, interrupt: true, present, reserved_bit, address }
    }

    /// The two halves, low first.
    pub const fn encode(self) -> [u64; 2] {
        let mut low = self.source.bits() as u64 | self.code.number() << 60;
        if self.interrupt {
            low |= INTERRUPT;
        }
        if self.present {
            low |= PRESENT;
        }
        if self.reserved_bit {
            low |= RESERVED_BIT;
        }
        [low, self.address]
    }

    /// An error where the unit has not written the entry yet: no event has code 0.
    pub fn decode(halves: [u64; 2]) -> Result<Self, Malformed> {
        let [low, address] = halves;
        let code = bits(low, 60, 4) as u8;
        if code == 0 {
            return Err(Malformed { field: "event code" });
        }
        Ok(Self {
            code: EventCode::from_number(code),
            source: RequesterId::from_bits(low as u16),
            interrupt: low & INTERRUPT != 0,
            present: low & PRESENT != 0,
            reserved_bit: low & RESERVED_BIT != 0,
            address,
        })
    }

    /// As the server has it. `None` for what no device did.
    pub fn fault(self) -> Option<Fault> {
        let reason = match self.code {
            EventCode::IllegalCommand | EventCode::CommandError => return None,
            EventCode::PageFault if self.interrupt && self.reserved_bit => {
                FaultReason::EntryReserved
            }
            EventCode::PageFault if self.interrupt && !self.present => FaultReason::NotPresent,
            EventCode::IllegalDeviceEntry => FaultReason::EntryReserved,
            EventCode::DeviceTableError | EventCode::TableError => FaultReason::TableAccess,
            EventCode::InvalidRequest => FaultReason::RequestReserved,
            other => FaultReason::Other(other.number() as u8),
        };
        Some(Fault { source: self.source, entry: None, reason })
    }
}
