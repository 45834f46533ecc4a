//! The HPET: a block of timers that can send messages.

use alloc::vec::Vec;

use init_core::windows::Range;
use libsys::println;
use tocsin_abi::limits::PAGE_BYTES;
use tocsin_firmware::{
    Blob, Devices, Dmar, Hpet as Table, Ivrs, RequesterId, ScopeKind, Signature, Special,
};

use super::{Device, slice};
use crate::authority::Authority;

/// A block of timers.
pub struct Hpet {
    /// Its page.
    pub page: Device,
    /// Where in the page it begins.
    pub offset: u64,
    /// What a remapper sees of its messages, where firmware says so.
    pub source: Option<u16>,
}

impl Hpet {
    /// Bytes of the registers (HPET §2.3.1).
    const BYTES: u64 = 1024;

    /// The first block that firmware names. What can not be used is a line.
    pub fn find(authority: &Authority, blob: &Blob<'_>, taken: &mut Vec<Range>) -> Option<Self> {
        let table = match Table::parse(blob.find(Signature::HPET, 0).ok()?) {
            Ok(table) => table,
            Err(error) => {
                println!("init: no HPET: {error}");
                return None;
            }
        };
        let page = table.base / PAGE_BYTES * PAGE_BYTES;
        let offset = table.base - page;
        if table.base == 0 || offset + Self::BYTES > PAGE_BYTES {
            println!("init: no HPET: its registers would be at {:#x}", table.base);
            return None;
        }
        let range = Range::new(page, PAGE_BYTES);
        if let Some(other) = taken.iter().find(|it| it.start < range.end && range.start < it.end) {
            println!("init: no HPET: it would lie in other registers ({other})");
            return None;
        }
        let page = slice(authority, range, "HPET")?;
        taken.push(range);
        let source = source(blob, table.number).map(RequesterId::bits);
        Some(Self { page, offset, source })
    }
}

/// The requester id that VT-d (§8.3.1, type 4) or AMD-Vi sees of this block's messages.
fn source(blob: &Blob<'_>, number: u8) -> Option<RequesterId> {
    if let Ok(dmar) = blob.find(Signature::DMAR, 0).and_then(Dmar::parse) {
        let mut scopes = dmar.drhds().flat_map(|drhd| drhd.scopes().flatten());
        let scope = scopes
            .find(|scope| scope.kind == ScopeKind::MsiHpet && scope.enumeration_id == number)?;
        // No bridge lies before a timer; a path through one would need its bus.
        return scope.resolve(|_| None);
    }
    let ivrs = blob.find(Signature::IVRS, 0).and_then(Ivrs::parse).ok()?;
    let mut entries = ivrs.units().flat_map(|unit| unit.entries().flatten());
    entries.find_map(|entry| match entry.devices {
        Devices::Special { handle, source, kind: Special::Hpet } if handle == number => {
            Some(source)
        }
        _ => None,
    })
}
