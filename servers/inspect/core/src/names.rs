//! Ids as people write them.

use core::fmt;
use tocsin_proto::badge;
use tocsin_proto::interrupt::{
    Arrives, ClientRow, Event, LineState, OwnerState, RowState, WireMode, WireOwner, WireRow,
};

/// A PCI requester id: bus, device, function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bdf(pub u16);

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{}", self.0 >> 8, self.0 >> 3 & 0x1f, self.0 & 7)
    }
}

/// A client of an interrupt server: a device by its requester id, one of the platform's servers by
/// its number, or an IOAPIC by the id that its messages arrive with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientName(pub u32);

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u16::try_from(self.0) {
            Ok(requester) => Bdf(requester).fmt(f),
            Err(_) if self.0 & badge::LINE_CHIP_CLIENT != 0 => {
                write!(f, "IOAPIC {}", Bdf(self.0 as u16))
            }
            Err(_) => write!(f, "platform {}", self.0 & !badge::PLATFORM_CLIENT),
        }
    }
}

/// The ids that a client's writes arrive with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source<'a>(pub &'a ClientRow);

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = self.0;
        match row.arrives {
            Arrives::Own if row.client < badge::PLATFORM_CLIENT => ClientName(row.client).fmt(f)?,
            Arrives::Own => f.write_str("none")?,
            Arrives::Function(id) => Bdf(id).fmt(f)?,
            Arrives::Device(id) => write!(f, "{:02x}:{:02x}.*", id >> 8, id >> 3 & 0x1f)?,
            Arrives::Buses { first, last } => write!(f, "bus {first:02x}-{last:02x}")?,
        }
        if let Some(id) = row.dma_arrives {
            write!(f, ", DMA {}", Bdf(id))?;
        }
        if row.past_remapper {
            f.write_str(", registers past the remapper, NOT isolated")?;
        }
        if let Some(id) = row.device {
            write!(f, ", DeviceID {id:#x}")?;
        }
        if let Some(id) = row.dma_device {
            write!(f, ", DMA DeviceID {id:#x}")?;
        }
        Ok(())
    }
}

/// A CPU event: a vector as the x86 manuals write it, an INTID as Arm's do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventName(pub Event);

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event { cpu, vector } = self.0;
        write!(f, "CPU {cpu} ")?;
        match vector {
            0..256 => write!(f, "{vector:#04x}"),
            _ => write!(f, "{vector}"),
        }
    }
}

/// The word for a state, in text and in data.
#[must_use]
pub const fn state(state: RowState) -> &'static str {
    match state {
        RowState::Reserved => "reserved",
        RowState::Active => "active",
        RowState::Blocked => "blocked",
        RowState::Quarantined => "quarantined",
    }
}

/// Every state, in the order of a message's life.
pub const STATES: [RowState; 4] =
    [RowState::Reserved, RowState::Active, RowState::Blocked, RowState::Quarantined];

/// The word for what a line does.
#[must_use]
pub const fn line_state(state: LineState) -> &'static str {
    match state {
        LineState::Open => "open",
        LineState::Held => "held",
        LineState::HeldOff => "held-off",
        LineState::Closing => "closing",
    }
}

/// Every state of a line.
pub const LINE_STATES: [LineState; 4] =
    [LineState::Open, LineState::Held, LineState::HeldOff, LineState::Closing];

/// The word for how a line's owner stands.
#[must_use]
pub const fn owner_state(state: OwnerState) -> &'static str {
    match state {
        OwnerState::Good => "good",
        OwnerState::Late => "late",
        OwnerState::Dropped => "dropped",
    }
}

/// Every way that an owner can stand.
pub const OWNER_STATES: [OwnerState; 3] = [OwnerState::Good, OwnerState::Late, OwnerState::Dropped];

/// The word for whether others may have a line.
#[must_use]
pub const fn wire_mode(mode: WireMode) -> &'static str {
    match mode {
        WireMode::Exclusive => "exclusive",
        WireMode::Shared => "shared",
    }
}

/// Both.
pub const WIRE_MODES: [WireMode; 2] = [WireMode::Exclusive, WireMode::Shared];

/// The source that a line is one of. INTIDs: Arm IHI 0069, §2.2.
#[must_use]
pub const fn line_source(row: &WireRow) -> &'static str {
    match (row.direct, row.line.0) {
        (false, _) => "IOAPIC",
        (true, 16..32 | 1056..1120) => "GIC PPIs",
        (true, _) => "GIC SPIs",
    }
}

/// A line's owner: its program, and what it is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnerName(pub WireOwner);

impl fmt::Display for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.name.as_str() {
            "" => f.write_str("driver not known")?,
            name => f.write_str(name)?,
        }
        write!(f, " ({})", ClientName(self.0.client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use alloc::string::ToString;

    #[test]
    fn clients_are_devices_and_numbers() {
        let names = [0x20, 0xffff, 0x1_0003, 0x2_f0f8].map(|client| ClientName(client).to_string());
        assert_eq!(names, ["00:04.0", "ff:1f.7", "platform 3", "IOAPIC f0:1f.0"]);
    }

    #[test]
    fn sources_say_all_that_is_known() {
        let own = samples::client(0x20, "lsi", 1);
        assert_eq!(Source(&own).to_string(), "00:04.0");
        let moved = ClientRow {
            arrives: Arrives::Buses { first: 2, last: 3 },
            dma_arrives: Some(0xa0),
            device: Some(0x20),
            dma_device: Some(0),
            ..own
        };
        let text = "bus 02-03, DMA 00:14.0, DeviceID 0x20, DMA DeviceID 0x0";
        assert_eq!(Source(&moved).to_string(), text);
        let platform = samples::client(0x1_0003, "hpet", 0);
        assert_eq!(Source(&platform).to_string(), "none");
    }

    #[test]
    fn events_are_vectors_or_intids() {
        let names = [0x31, 8192].map(|vector| EventName(Event { cpu: 1, vector }).to_string());
        assert_eq!(names, ["CPU 1 0x31", "CPU 1 8192"]);
    }
}
