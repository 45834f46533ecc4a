//! What a driver tells of the messages it has in one store, when all of them are active at once
//! and each one's key is its place.

use demo_core::Ledger;
use libsys::interrupt::{Activated, Interrupt};
use libsys::proto::StoreKind;
use libsys::proto::pci::Description;
use libsys::proto::report::{Done, Standing, Summary};

use crate::{Reporter, Stop, counters, row};

/// What it holds while it stands still.
#[must_use]
pub fn standing(device: &Description, kind: StoreKind, ledger: &Ledger) -> Standing {
    let (messages, so_far) = (count(ledger), ledger.totals(ledger.keys()));
    Standing {
        requester: device.requester,
        kind,
        messages,
        active: messages,
        delivered: so_far.delivered,
        coalesced: so_far.coalesced,
    }
}

/// Compares the books with the kernel's counters, sends a row for each message and their sums,
/// and is the driver's last word. Nothing is in flight any more.
///
/// # Errors
/// A counter that differs, or what asking for it or telling it said.
pub fn close_books<D>(
    reporter: &Reporter,
    device: &Description,
    kind: StoreKind,
    messages: &[Interrupt],
    routes: &[Activated],
    ledger: &mut Ledger,
) -> Result<Done, Stop<D>> {
    for ((key, message), &route) in ledger.keys().zip(messages).zip(routes) {
        ledger.agree(key, counters(&message.status()?))?;
        reporter.row(&row(device, message, route, &ledger.account(key)))?;
    }
    let (slots, sums) = (count(ledger), ledger.totals(ledger.keys()));
    reporter.summary(&Summary {
        requester: device.requester,
        kind,
        reserved: slots,
        active: slots,
        fired: sums.fired,
        delivered: sums.delivered,
        coalesced: sums.coalesced,
        // A packet on a wrong slot ends the run before it gets here.
        wrong: 0,
    })?;
    Ok(Done { ok: true, slots, fired: sums.fired, delivered: sums.delivered, kind })
}

const fn count(ledger: &Ledger) -> u64 {
    ledger.keys().end
}
