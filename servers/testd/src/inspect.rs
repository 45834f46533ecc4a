//! The domain tree as the interrupt server shows it: to a driver its own rows, to the
//! inspector everybody's, to nobody anything that changes something.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use init_control::{ClientGone, SYSTEM_BADGE, SetQuota};
use libsys::ipc::{ask, call};
use libsys::sys;
use tocsin_abi::{Handle, Rights};
use tocsin_proto::interrupt::{
    ANY_CPU, Cursor, Describe, Error, Info, MessageRow, Row, RowState, ServerRow,
};
use tocsin_proto::{Operation, StoreKind, badge};

use crate::driver::{Client, IrqError};
use crate::harness::{Failure, Outcome, check, same, wrong};
use crate::kit::{self, Ctx, Own};

crate::tests![
    inspect_no_cursor_leads_to_others,
    inspect_inspector_sees_everybodys,
    inspect_rows_follow_a_message,
    inspect_inspector_asks_for_nothing_else,
    inspect_walks_are_short,
];

/// Requester ids on a bus that the machine does not have.
const GHOST: u16 = 0xfe20;
const OTHER_GHOST: u16 = 0xfe28;

/// All rows from a cursor on, and in how many requests.
pub fn walk(endpoint: Handle, mut cursor: Cursor) -> Result<(Vec<Row>, u32), IrqError> {
    let (mut rows, mut requests) = (Vec::new(), 0);
    loop {
        let reply = ask(endpoint, &Describe { cursor })?;
        requests += 1;
        rows.extend_from_slice(reply.rows());
        match reply.next {
            Some(next) => cursor = next,
            None => return Ok((rows, requests)),
        }
    }
}

/// The messages among rows.
pub fn messages(rows: &[Row]) -> Vec<MessageRow> {
    let of = |row: &Row| match row {
        Row::Message(row) => Some(*row),
        _ => None,
    };
    rows.iter().filter_map(of).collect()
}

fn inspector(ctx: &Ctx) -> Result<Own, Failure> {
    Ok(kit::badged(ctx.need("interrupt")?, Rights::CALL, badge::INSPECT)?)
}

fn server_of(rows: &[Row]) -> Result<ServerRow, Failure> {
    match rows.first() {
        Some(Row::Server(row)) => Ok(*row),
        other => Err(wrong(alloc::format!("the first row is {other:?}"))),
    }
}

fn inspect_no_cursor_leads_to_others(ctx: &Ctx) -> Outcome {
    let (owner, other) = (Client::ghost(ctx, GHOST)?, Client::ghost(ctx, OTHER_GHOST)?);
    let mine = owner.one(StoreKind::PciMsi)?;
    let theirs = other.alloc(StoreKind::PciMsi, 8, ANY_CPU)?;
    let numbers = [0, 1, 2, 7, 255, 511, 20_479, u64::from(u32::MAX)];
    let parts = [0, 1, 2, 3, 4, 1 << 30, u64::from(u32::MAX)];
    for cursor in parts.into_iter().flat_map(|part| numbers.map(|number| part << 32 | number)) {
        for row in walk(owner.h(), Cursor(cursor))?.0 {
            let own = match row {
                Row::Client(row) => row.client == u32::from(GHOST),
                Row::Message(row) => row.owner == u32::from(GHOST),
                Row::Wire(row) => row.owner.is_some_and(|it| it.client == u32::from(GHOST)),
                Row::Server(_) | Row::Space(_) => false,
            };
            check(own, format_args!("cursor {cursor:#x} leads to {row:?}"))?;
        }
    }
    // Who is no client at all, and who is the system but no inspector, see nothing.
    for badge in [0, 1, badge::INSPECT | 1, badge::INSPECT | badge::CLIENT, SYSTEM_BADGE] {
        let stranger = kit::badged(ctx.need("interrupt")?, Rights::CALL, badge)?;
        let reply = call(stranger.h(), Describe::LABEL, &[0], &[])?;
        check(reply.label != 0 && reply.words.is_empty(), format_args!("badge {badge:#x}"))?;
    }
    owner.free(mine.id)?;
    theirs.iter().try_for_each(|irq| other.free(irq.id))?;
    Ok(())
}

fn inspect_inspector_sees_everybodys(ctx: &Ctx) -> Outcome {
    let (one, other) = (Client::ghost(ctx, GHOST)?, Client::ghost(ctx, OTHER_GHOST)?);
    one.at_rest()?;
    let inspector = inspector(ctx)?;
    let made =
        [one.alloc(StoreKind::PciMsi, 5, ANY_CPU)?, other.alloc(StoreKind::MsiX, 7, ANY_CPU)?];
    let (rows, _) = walk(inspector.h(), Cursor::START)?;
    let seen = messages(&rows);
    for (owner, irqs) in [GHOST, OTHER_GHOST].into_iter().zip(&made) {
        for irq in irqs {
            let mut found = seen.iter().filter(|row| row.id == irq.id);
            let row = found.next().ok_or_else(|| wrong("a message has no row"))?;
            check(found.next().is_none(), "a message has one row")?;
            same(row.owner, owner.into(), "its owner")?;
            same((row.address, row.data), (irq.address, irq.data), "its pair")?;
        }
    }
    // Sums: of the server, and of each client.
    let server = server_of(&rows)?;
    same(server.messages_used as usize, seen.len(), "message records in use")?;
    let mut held: BTreeMap<u32, u32> = BTreeMap::new();
    seen.iter().for_each(|row| *held.entry(row.owner).or_default() += 1);
    for row in &rows {
        if let Row::Client(row) = row {
            let counted = held.remove(&row.client).unwrap_or(0);
            same(row.held, counted, format_args!("messages of client {:#x}", row.client))?;
        }
    }
    check(held.is_empty(), "every message's client has a row")?;
    // An ITS has one space, other machines one a CPU; the sums are those of `Info`.
    let info = ask(inspector.h(), &Info)?;
    let spaces = rows.iter().filter_map(|row| match row {
        Row::Space(row) => Some(*row),
        _ => None,
    });
    let total: u32 = spaces.map(|space| space.total).sum();
    same(total, info.vectors.total, "vectors of all spaces")?;
    same(server.remapper, info.remapper, "the remapper")?;
    same(server.isolated, info.isolated, "isolation")?;
    made[0].iter().try_for_each(|irq| one.free(irq.id))?;
    made[1].iter().try_for_each(|irq| other.free(irq.id))?;
    Ok(())
}

fn inspect_rows_follow_a_message(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    let inspector = inspector(ctx)?;
    let irq = client.one(StoreKind::PciMsi)?;
    let row = || -> Result<MessageRow, Failure> {
        let own = messages(&walk(client.h(), Cursor::START)?.0);
        let all = messages(&walk(inspector.h(), Cursor::START)?.0);
        let mut found = all.iter().filter(|row| row.id == irq.id);
        let row = *found.next().ok_or_else(|| wrong("no row"))?;
        same(own.as_slice(), &[row], "what its owner sees is what the inspector sees")?;
        Ok(row)
    };
    let reserved = row()?;
    same((reserved.state, reserved.binding), (RowState::Reserved, None), "reserved")?;
    let port = kit::port()?;
    sys::message_bind(irq.message.h(), port.h(), 0x1234_5678_9abc)?;
    let bound = row()?.binding.ok_or_else(|| wrong("bound, and no binding"))?;
    same(bound.key, 0x1234_5678_9abc, "the key")?;
    let route = client.activate(irq.id)?;
    let active = row()?;
    let event = active.event.ok_or_else(|| wrong("active, and no event"))?;
    same((event.vector, event.cpu), (route.vector, route.cpu), "vector and CPU")?;
    same((active.state, active.entry), (RowState::Active, route.entry), "state and entry")?;
    sys::message_signal(irq.message.h())?;
    sys::message_signal(irq.message.h())?;
    let counters = row()?.counters.ok_or_else(|| wrong("no counters"))?;
    same((counters.delivered, counters.coalesced), (1, 1), "two events, one packet")?;
    client.block(irq.id)?;
    same(row()?.state, RowState::Blocked, "blocked")?;
    client.free(irq.id)?;
    check(messages(&walk(client.h(), Cursor::START)?.0).iter().all(|row| row.id != irq.id), "freed")
}

fn inspect_inspector_asks_for_nothing_else(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    let inspector = inspector(ctx)?;
    let irq = client.one(StoreKind::PciMsi)?;
    client.activate(irq.id)?;
    let changes =
        |h| -> Result<u64, Failure> { Ok(server_of(&walk(h, Cursor::START)?.0)?.changes) };
    let quota = SetQuota { client: GHOST.into(), messages: 1 };
    let gone = ClientGone { client: GHOST.into() };
    let id = irq.id.0;
    let asks_for_all = || -> Outcome {
        for (label, words) in [
            (1, &[1, 1, ANY_CPU][..]),
            (2, &[id]),
            (3, &[id]),
            (4, &[id]),
            (5, &[id, ANY_CPU]),
            (6, &[id]),
            (7, &[id]),
            (10, &[]),
            (SetQuota::LABEL, &quota.words()),
            (ClientGone::LABEL, &gone.words()),
        ] {
            let reply = call(inspector.h(), label, words, &[])?;
            let refused =
                [Error::NotAClient as u32, Error::Malformed as u32].contains(&reply.label);
            check(refused && reply.handles.is_empty(), format_args!("request {label} answered"))?;
        }
        Ok(())
    };
    // The server's own clock may change something meanwhile, but not every time.
    let mut unchanged = false;
    for _ in 0..20 {
        let before = changes(inspector.h())?;
        asks_for_all()?;
        unchanged = changes(inspector.h())? == before;
        if unchanged {
            break;
        }
        kit::sleep(20_000_000);
    }
    check(unchanged, "what an inspector asks for changes something")?;
    client.free(irq.id)?;
    Ok(())
}

/// Reading many messages takes requests in proportion, and no request takes long.
fn inspect_walks_are_short(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    let inspector = inspector(ctx)?;
    let mut made = Vec::new();
    for _ in 0..8 {
        made.extend(client.alloc(StoreKind::PciMsi, 8, ANY_CPU)?);
    }
    let (rows, requests) = walk(inspector.h(), Cursor::START)?;
    let server = server_of(&rows)?;
    // A reply has room for four messages, and a request looks at 512 places.
    let most = rows.len() as u32 / 4 + server.messages_total / 512 + 4;
    check(requests <= most, format_args!("{requests} requests for {} rows", rows.len()))?;
    check(rows.len() >= 64 + 2, "64 messages")?;
    made.iter().try_for_each(|irq| client.free(irq.id))?;
    Ok(())
}
