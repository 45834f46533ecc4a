//! What drivers tell the demonstration: rows of its table, sums, text, and "done".

use crate::wire::{Reader, get_entry, operation, protocol, put_entry};
use crate::{DecodeError, Nothing, StoreKind, Text, Words};

protocol! {
    errors {
        /// The words were no request of this protocol.
        Malformed = 1, "request makes no sense";
        /// The caller has said `Done` before.
        AlreadyDone = 2, "caller is done already (AlreadyDone)";
    }
    requests {
        /// One slot.
        Row,
        /// A line of text.
        Line,
        /// One store's sums, at the driver's end.
        Done,
        /// One store's sums, more to come.
        Summary,
        /// What one store holds while the driver stands still to be looked at.
        Standing,
        /// Whether the driver may go on.
        Hold,
    }
}

/// One slot of a store, as a row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Requester id.
    pub requester: u16,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Store.
    pub kind: StoreKind,
    /// Slot.
    pub slot: u32,
    /// Remapper entry.
    pub entry: Option<u32>,
    /// Vector, on aarch64 the INTID; zero when not active.
    pub vector: u16,
    /// CPU of the vector.
    pub cpu: u8,
    /// Address of the pair.
    pub address: u64,
    /// Data of the pair.
    pub data: u32,
    /// Times the device was told to raise it.
    pub fired: u64,
    /// Packets for it.
    pub delivered: u64,
    /// Events that were folded into a packet.
    pub coalesced: u64,
}

operation! { Row = 1, handles 0 => Nothing;
    put(row, words) {
        words.put(
            u64::from(row.requester)
                | u64::from(row.vendor) << 16
                | u64::from(row.device) << 32
                | (row.kind as u64) << 48,
        );
        words.put(u64::from(row.slot));
        put_entry(words, row.entry);
        words.put(u64::from(row.vector) | u64::from(row.cpu) << 16);
        words.put(row.address);
        words.put(u64::from(row.data));
        words.put(row.fired);
        words.put(row.delivered);
        words.put(row.coalesced);
    }
    get(reader) {
        let mut bits = reader.bits()?;
        let (requester, vendor, device) = (bits.half(), bits.half(), bits.half());
        let kind = StoreKind::from_code(u64::from(bits.byte()))?;
        bits.end()?;
        let slot = reader.small()?;
        let entry = get_entry(reader)?;
        let mut bits = reader.bits()?;
        let (vector, cpu) = (bits.half(), bits.byte());
        bits.end()?;
        let (address, data) = (reader.word()?, reader.small()?);
        let (fired, delivered, coalesced) = (reader.word()?, reader.word()?, reader.word()?);
        Ok(Row {
            requester, vendor, device, kind, slot, entry, vector, cpu, address, data,
            fired, delivered, coalesced,
        })
    }
}

/// A line that the demonstration prints between its tables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// The text, without the line's end.
    pub text: Text,
}

operation! { Line = 2, handles 0 => Nothing;
    put(request, words) { request.text.put(words); }
    get(reader) { Ok(Line { text: Text::get(reader)? }) }
}

/// The driver's last word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Done {
    /// Everything was as it should be.
    pub ok: bool,
    /// Slots used, over all stores.
    pub slots: u64,
    /// Times that slots were fired.
    pub fired: u64,
    /// Packets.
    pub delivered: u64,
    /// The driver's (last) store.
    pub kind: StoreKind,
}

operation! { Done = 3, handles 0 => Nothing;
    put(request, words) {
        words.put(u64::from(request.ok));
        words.put(request.slots);
        words.put(request.fired);
        words.put(request.delivered);
        words.put(request.kind as u64);
    }
    get(reader) {
        let ok = reader.flag()?;
        let (slots, fired, delivered) = (reader.word()?, reader.word()?, reader.word()?);
        Ok(Done { ok, slots, fired, delivered, kind: StoreKind::from_code(reader.word()?)? })
    }
}

/// Of which device, and which of its stores.
fn put_store(words: &mut Words, requester: u16, kind: StoreKind) {
    words.put(u64::from(requester) | (kind as u64) << 16);
}

fn get_store(reader: &mut Reader<'_>) -> Result<(u16, StoreKind), DecodeError> {
    let mut bits = reader.bits()?;
    let requester = bits.half();
    let kind = StoreKind::from_code(u64::from(bits.byte()))?;
    bits.end()?;
    Ok((requester, kind))
}

/// One store's sums.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary {
    /// Requester id.
    pub requester: u16,
    /// The store.
    pub kind: StoreKind,
    /// Slots reserved.
    pub reserved: u64,
    /// Slots that were active at the same time, at most.
    pub active: u64,
    /// Times that slots were fired.
    pub fired: u64,
    /// Packets on the right slot.
    pub delivered: u64,
    /// Events folded into a packet.
    pub coalesced: u64,
    /// Packets on a slot that nobody fired.
    pub wrong: u64,
}

operation! { Summary = 4, handles 0 => Nothing;
    put(request, words) {
        put_store(words, request.requester, request.kind);
        words.put(request.reserved);
        words.put(request.active);
        words.put(request.fired);
        words.put(request.delivered);
        words.put(request.coalesced);
        words.put(request.wrong);
    }
    get(reader) {
        let (requester, kind) = get_store(reader)?;
        let (reserved, active) = (reader.word()?, reader.word()?);
        let (fired, delivered) = (reader.word()?, reader.word()?);
        let (coalesced, wrong) = (reader.word()?, reader.word()?);
        Ok(Summary { requester, kind, reserved, active, fired, delivered, coalesced, wrong })
    }
}

/// What one store holds while the driver stands still: what an inspector must see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Requester id.
    pub requester: u16,
    /// The store.
    pub kind: StoreKind,
    /// Messages.
    pub messages: u64,
    /// Those that are active.
    pub active: u64,
    /// Packets so far.
    pub delivered: u64,
    /// Events folded into a packet so far.
    pub coalesced: u64,
}

operation! { Standing = 5, handles 0 => Nothing;
    put(request, words) {
        put_store(words, request.requester, request.kind);
        words.put(request.messages);
        words.put(request.active);
        words.put(request.delivered);
        words.put(request.coalesced);
    }
    get(reader) {
        let (requester, kind) = get_store(reader)?;
        let (messages, active) = (reader.word()?, reader.word()?);
        let (delivered, coalesced) = (reader.word()?, reader.word()?);
        Ok(Standing { requester, kind, messages, active, delivered, coalesced })
    }
}

/// Asks whether the driver may go on. Whoever may not asks again a little later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Hold {
    /// Until all that was to be looked at has been: what it holds it has said
    /// ([`Standing`]), and nothing of it changes meanwhile.
    UntilSeen = 0,
    /// Until the others stand still. For a driver that takes all that is left, so that they
    /// can have what they need first.
    UntilOthersStand = 1,
}

operation! { Hold = 6, handles 0 => Held;
    put(request, words) { words.put(*request as u64); }
    get(reader) {
        match reader.word()? {
            0 => Ok(Hold::UntilSeen),
            1 => Ok(Hold::UntilOthersStand),
            _ => Err(DecodeError::BadValue),
        }
    }
}

/// Reply to `Hold`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Held {
    /// Ask again.
    NotYet,
    /// Go on.
    GoOn,
}

impl crate::Reply for Held {
    fn put(&self, words: &mut crate::Words) {
        words.put((*self == Held::GoOn).into());
    }

    fn get(reader: &mut crate::wire::Reader<'_>, handles: usize) -> Result<Self, DecodeError> {
        crate::wire::no_handles(handles)?;
        Ok(if reader.flag()? { Held::GoOn } else { Held::NotYet })
    }
}
