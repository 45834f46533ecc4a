//! A line and its owners.

use alloc::string::String;
use core::fmt::{self, Write};
use tocsin_proto::interrupt::{LineState, OwnerState, WireMode, WireOwner, WireRow};

use crate::names::{EventName, OwnerName, line_state, owner_state};

/// What is the line's.
pub fn line(rows: &[WireRow], f: &mut String) -> fmt::Result {
    let Some(row) = rows.first() else { return Ok(()) };
    write!(f, "    {}: {}", row.line, row.wiring)?;
    match row.mode {
        WireMode::Exclusive => f.write_str(", exclusive")?,
        WireMode::Shared => write!(f, ", shared by {}", rows.len())?,
    }
    write!(f, ", {}", EventName(row.event))?;
    if let Some(id) = row.message {
        write!(f, ", message {:#x}", id.0)?;
    }
    match row.state {
        LineState::HeldOff => f.write_str(": held off, it came too often or an owner is late"),
        LineState::Closing => f.write_str(": closing, nobody's any more"),
        LineState::Open | LineState::Held => Ok(()),
    }
}

/// What is one owner's.
pub fn owner(row: &WireRow, owner: WireOwner, f: &mut String) -> fmt::Result {
    write!(f, "      {}: {}", OwnerName(owner), line_state(row.state))?;
    if owner.state != OwnerState::Good {
        write!(f, " ({})", owner_state(owner.state))?;
    }
    if let Some(binding) = row.binding {
        write!(f, " -> port {} of process {}", binding.port, binding.process)?;
        write!(f, ", key {:#x}", binding.key)?;
    }
    if let Some(it) = row.counters {
        write!(f, "; delivered {}, coalesced {}", it.delivered, it.coalesced)?;
        write!(f, ", blocked {}, last on CPU {}", it.blocked, it.last_cpu)?;
    }
    Ok(())
}
