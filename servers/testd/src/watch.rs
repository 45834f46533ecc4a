//! Hearing of faults: the message that the interrupt server raises when it counts one.

use libsys::ipc::ask_with;
use libsys::sys;
use tocsin_abi::{Error as KernelError, Rights};
use tocsin_proto::StoreKind;
use tocsin_proto::interrupt::{FaultWatch, Faults, WatchFaults};

use crate::driver::Client;
use crate::harness::{Failure, Outcome, check, refused, same, wrong};
use crate::kit::{self, Ctx, Own};

crate::tests![fault_watch_is_its_clients_alone, fault_watch_takes_nothing_of_the_quota];

/// Requester ids on a bus that the machine does not have.
const GHOST: u16 = 0xfe40;
const OTHER_GHOST: u16 = 0xfe48;

fn watch(client: &Client) -> Result<Own, Failure> {
    let (FaultWatch, mut handles) = ask_with(client.h(), &WatchFaults, &[])?;
    let message = handles.pop().ok_or_else(|| wrong("a watch without a handle"))?;
    Ok(Own::of(message.leak()))
}

fn fault_watch_is_its_clients_alone(ctx: &Ctx) -> Outcome {
    let (client, other) = (Client::new(ctx, GHOST)?, Client::new(ctx, OTHER_GHOST)?);
    let messages = ctx.stats()?.messages;
    let (first, theirs) = (watch(&client)?, watch(&other)?);
    let rights = kit::rights_of(first.h())?;
    check(rights.contains(Rights::READ | Rights::BIND), "it can be bound")?;
    check(!rights.intersects(Rights::CONTROL | Rights::SIGNAL), "and nothing else")?;
    refused(sys::message_signal(first.h()), KernelError::MissingRight, "raised by its client")?;
    let port = kit::port()?;
    sys::message_bind(first.h(), port.h(), 1)?;
    refused(kit::poll(&port), KernelError::TimedOut, "a packet without a fault")?;
    // A new one ends the one before, and nobody else's.
    let second = watch(&client)?;
    let old = sys::message_read(first.h());
    refused(old, KernelError::BadHandle, "the older watch")?;
    sys::message_bind(second.h(), port.h(), 2)?;
    sys::message_read(theirs.h())?;
    same(ctx.stats()?.messages, messages + 2, "live messages")?;
    // It goes with its holder, or with its client.
    drop(second);
    client.gone()?;
    other.gone()?;
    refused(sys::message_read(theirs.h()), KernelError::BadHandle, "a watch after the end")?;
    same(ctx.stats()?.messages, messages, "live messages after the end")
}

fn fault_watch_takes_nothing_of_the_quota(ctx: &Ctx) -> Outcome {
    let client = Client::ghost(ctx, GHOST)?;
    let before = client.at_rest()?;
    client.quota(1)?;
    let (watch, irq) = (watch(&client)?, client.one(StoreKind::PciMsi)?);
    let counts = libsys::ipc::ask(client.h(), &Faults)?;
    same((counts.faults, counts.own), (0, 0), "faults of a device that is not there")?;
    client.free(irq.id)?;
    drop(watch);
    client.gone()?;
    client.all_is_back(&before)
}
