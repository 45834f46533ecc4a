//! Attacks on handles: stale ones, made-up ones, ones with fewer rights than needed, and
//! what revocation reaches (invariants 1 and 4).

use libsys::sys;
use tocsin_abi::{Error, Handle, Kind, Rights};

use crate::harness::{Outcome, check, refused, same};
use crate::kit::{self, Ctx, duplicate, endpoint, own, port};
use crate::role::Role;
use crate::victim::Plan;

crate::tests![
    handle_zero_and_garbage_are_refused,
    handle_closed_stays_dead_when_its_slot_is_reused,
    handle_generations_do_not_wrap_into_old_handles,
    handle_duplicate_only_narrows,
    handle_unknown_right_bits_are_refused,
    handle_info_tells_kind_and_rights,
    badge_is_minted_only_by_right_and_never_changed,
    close_reparents_what_was_derived,
    revoke_spares_the_handle_and_its_parents,
    revoke_reaches_a_long_chain_and_a_wide_tree,
    revoke_needs_the_right,
    handle_table_full_is_an_answer,
];

/// Victim of these tests.
pub const ROLES: &[Role] = &[Role { name: "full_table", run: |_, _| full_table() }];

fn handle_zero_and_garbage_are_refused(_: &Ctx) -> Outcome {
    let port = port()?;
    let number = port.h().0;
    let wrong_generation = Handle(number ^ 1 << Handle::INDEX_BITS);
    for bad in [
        Handle::NONE,
        Handle(u32::MAX),
        Handle(0xffff),
        Handle((1 << Handle::INDEX_BITS) - 1),
        Handle(0x0001_0000),
        wrong_generation,
    ] {
        refused(sys::handle_info(bad), Error::BadHandle, bad.0)?;
        refused(sys::handle_close(bad), Error::BadHandle, bad.0)?;
        refused(sys::handle_revoke(bad), Error::BadHandle, bad.0)?;
        refused(sys::handle_duplicate(bad, Rights::empty(), 0), Error::BadHandle, bad.0)?;
        refused(sys::port_signal(bad, 1), Error::BadHandle, bad.0)?;
    }
    sys::port_signal(port.h(), 1)?;
    same(kit::poll(&port)?.value, 1, "the good handle still works")
}

fn handle_closed_stays_dead_when_its_slot_is_reused(_: &Ctx) -> Outcome {
    let old = port()?.close();
    refused(sys::port_signal(old, 1), Error::BadHandle, "closed")?;
    // Make handles until one takes the old slot.
    let mut made = alloc::vec::Vec::new();
    for _ in 0..64 {
        let new = port()?;
        let found = new.h().index() == old.index();
        made.push(new);
        if found {
            break;
        }
    }
    refused(sys::port_signal(old, 1), Error::BadHandle, "closed, slot reused")?;
    refused(sys::handle_close(old), Error::BadHandle, "closed, slot reused")?;
    for new in &made {
        check(kit::poll(new).is_err(), "a new port got the old handle's signal")?;
    }
    Ok(())
}

fn handle_generations_do_not_wrap_into_old_handles(_: &Ctx) -> Outcome {
    let keep = port()?;
    let old = duplicate(keep.h(), Rights::SIGNAL)?.close();
    // More reuses of one slot than a handle has generations.
    for round in 0..66_000u32 {
        let new = duplicate(keep.h(), Rights::SIGNAL)?;
        check(new.h() != old, format_args!("handle {:#x} came back, round {round}", old.0))?;
    }
    refused(sys::port_signal(old, 1), Error::BadHandle, "after 66,000 reuses")
}

fn handle_duplicate_only_narrows(_: &Ctx) -> Outcome {
    let port = port()?;
    let all = kit::rights_of(port.h())?;
    // Every subset of the rights can be had, and each has exactly what was asked for.
    let bits = all.bits();
    let mut subset = bits;
    loop {
        let rights = Rights::from_bits_retain(subset);
        let narrow = duplicate(port.h(), rights)?;
        same(kit::rights_of(narrow.h())?, rights, "rights of the duplicate")?;
        if subset & Rights::DUPLICATE.bits() != 0 {
            for right in (all - rights).iter() {
                let wider = sys::handle_duplicate(narrow.h(), rights | right, 0);
                refused(wider, Error::Widening, right.bits())?;
            }
        } else {
            refused(duplicate(narrow.h(), Rights::empty()), Error::MissingRight, "DUPLICATE")?;
        }
        if subset == 0 {
            return Ok(());
        }
        subset = (subset - 1) & bits;
    }
}

fn handle_unknown_right_bits_are_refused(_: &Ctx) -> Outcome {
    let port = port()?;
    // Rights that mean nothing on a port, and bits that mean nothing at all.
    for bits in [Rights::EXECUTE.bits(), Rights::CONTROL.bits(), 1 << 14, 1 << 15] {
        let wider = sys::handle_duplicate(port.h(), Rights::from_bits_retain(bits), 0);
        refused(wider, Error::Widening, format_args!("right {bits:#x}"))?;
    }
    Ok(())
}

fn handle_info_tells_kind_and_rights(_: &Ctx) -> Outcome {
    let port = port()?;
    let info = sys::handle_info(port.h())?;
    same(info.result, Kind::Port as u64, "kind")?;
    same(info.values[0] as u16, Kind::Port.all_rights().bits(), "a new port has all rights")?;
    same(info.values[1], 0, "badge")?;
    let endpoint = endpoint()?;
    let narrow = own(sys::handle_duplicate(endpoint.h(), Rights::CALL, 77))?;
    let info = sys::handle_info(narrow.h())?;
    same((info.result, info.values[0]), (Kind::Endpoint as u64, Rights::CALL.bits().into()), "")?;
    same(info.values[1], 77, "badge")
}

fn badge_is_minted_only_by_right_and_never_changed(_: &Ctx) -> Outcome {
    let root = endpoint()?;
    let badged = kit::badged(root.h(), Rights::CALL | Rights::DUPLICATE | Rights::MINT, 0xb0b)?;
    let badge = |h: &kit::Own| sys::handle_info(h.h()).map(|info| info.values[1]);
    same(badge(&badged)?, 0xb0b, "minted")?;
    refused(sys::handle_duplicate(badged.h(), Rights::CALL, 1), Error::Widening, "second badge")?;
    let copy = duplicate(badged.h(), Rights::CALL)?;
    same(badge(&copy)?, 0xb0b, "a duplicate keeps the badge")?;
    let without = duplicate(root.h(), Rights::CALL | Rights::DUPLICATE)?;
    refused(sys::handle_duplicate(without.h(), Rights::CALL, 5), Error::Widening, "no MINT")?;
    let port = port()?;
    refused(
        sys::handle_duplicate(port.h(), Rights::SIGNAL, 5),
        Error::Widening,
        "a badge on a port",
    )
}

fn close_reparents_what_was_derived(_: &Ctx) -> Outcome {
    let root = port()?;
    let child = duplicate(root.h(), Kind::Port.all_rights())?;
    let grandchild = duplicate(child.h(), Rights::SIGNAL)?;
    let sibling = duplicate(root.h(), Rights::SIGNAL)?;
    drop(child);
    sys::port_signal(grandchild.h(), 4)?;
    same(kit::poll(&root)?.value, 4, "the grandchild outlives the child")?;
    sys::handle_revoke(root.h())?;
    refused(sys::port_signal(grandchild.h(), 1), Error::BadHandle, "grandchild after revoke")?;
    refused(sys::port_signal(sibling.h(), 1), Error::BadHandle, "sibling after revoke")?;
    sys::port_signal(root.h(), 1)?;
    Ok(())
}

fn revoke_spares_the_handle_and_its_parents(_: &Ctx) -> Outcome {
    let all = Kind::Port.all_rights();
    let root = port()?;
    let middle = duplicate(root.h(), all)?;
    let other = duplicate(root.h(), all)?;
    let below = duplicate(middle.h(), all)?;
    let deeper = duplicate(below.h(), all)?;
    sys::handle_revoke(middle.h())?;
    check(!kit::is_live(below.h()) && !kit::is_live(deeper.h()), "derived handles are dead")?;
    for (name, handle) in [("root", &root), ("middle", &middle), ("other", &other)] {
        sys::port_signal(handle.h(), 1)?;
        check(kit::is_live(handle.h()), name)?;
    }
    // Once more changes nothing, and the middle can have children again.
    sys::handle_revoke(middle.h())?;
    let again = duplicate(middle.h(), all)?;
    check(kit::is_live(again.h()), "a child after the revoke")
}

fn revoke_reaches_a_long_chain_and_a_wide_tree(_: &Ctx) -> Outcome {
    const CHAIN: usize = 1000;
    let all = Kind::Port.all_rights();
    let before = kit::used_bytes()?;
    let root = port()?;
    let mut handles = alloc::vec::Vec::with_capacity(2 * CHAIN);
    let mut last = root.h();
    for _ in 0..CHAIN {
        let next = duplicate(last, all)?;
        last = next.h();
        handles.push(next);
    }
    for n in 0..CHAIN {
        let parent = if n % 2 == 0 { root.h() } else { handles[n / 2].h() };
        handles.push(duplicate(parent, all)?);
    }
    sys::handle_revoke(root.h())?;
    let survivors = handles.iter().filter(|handle| kit::is_live(handle.h())).count();
    same(survivors, 0, "handles that outlive the revocation")?;
    sys::port_signal(root.h(), 1)?;
    drop(handles);
    drop(root);
    // The handle table may keep the pages it grew to; it must not keep more next time.
    let once = kit::used_bytes()?;
    check(once - before <= 64 << 10, format_args!("{} bytes stay charged", once - before))
}

fn revoke_needs_the_right(_: &Ctx) -> Outcome {
    let root = port()?;
    let narrow = duplicate(root.h(), Rights::DUPLICATE | Rights::SIGNAL)?;
    let below = duplicate(narrow.h(), Rights::SIGNAL)?;
    refused(sys::handle_revoke(narrow.h()), Error::MissingRight, "no REVOKE")?;
    sys::port_signal(below.h(), 1)?;
    Ok(())
}

/// Makes handles until that is refused; the exit code names the step that went wrong.
fn full_table() -> u64 {
    let Ok(port) = port() else { return 1 };
    let mut made = alloc::vec::Vec::with_capacity(1 << 16);
    let answer = loop {
        match duplicate(port.h(), Rights::SIGNAL) {
            Ok(handle) if made.len() < made.capacity() => made.push(handle),
            Ok(_) => return 2,
            Err(error) => break error,
        }
    };
    if !matches!(answer, Error::NoHandles | Error::NoMemory) {
        return 3;
    }
    let count = kit::handle_count();
    let refused = duplicate(port.h(), Rights::SIGNAL).err() == Some(answer)
        && endpoint().err() == Some(answer)
        && kit::handle_count() == count;
    if !refused {
        return 4;
    }
    made.pop();
    let Ok(again) = duplicate(port.h(), Rights::SIGNAL) else { return 5 };
    u64::from(sys::port_signal(again.h(), 1).is_err())
}

fn handle_table_full_is_an_answer(ctx: &Ctx) -> Outcome {
    let victim = Plan::with_budget(ctx, "full_table", 1 << 20)?.start()?;
    victim.exits_with(0, "the step of `full_table` that failed")
}
