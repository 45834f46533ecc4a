//! Taking everything, and dying with it.

use alloc::vec::Vec;
use libsys::ipc::ask_with;
use libsys::sys::{self, Values};
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle, Rights};
use tocsin_proto::StoreKind;
use tocsin_proto::interrupt::{ANY_CPU, Activate, Alloc, Contiguity};

use crate::{granted, ready, wait_for_ever};

/// Takes objects until every kind is refused, says so, and keeps them until killed. The
/// exit code names the kind that was refused with a wrong error.
pub fn exhaust(env: &'static Startup) -> Result<u64, Error> {
    let port = sys::port_create()?.handle();
    let makers: [&dyn Fn() -> Result<Values, Error>; 7] = [
        &|| sys::memory_create(1 << 20),
        &|| sys::memory_create(1 << 12),
        &|| sys::process_create(1 << 16),
        &|| sys::endpoint_create(),
        &|| sys::port_create(),
        &|| sys::timer_create(port, 7),
        &|| sys::handle_duplicate(port, Rights::SIGNAL, 0),
    ];
    for (kind, make) in makers.iter().enumerate() {
        let error = loop {
            if let Err(error) = make() {
                break error;
            }
        };
        if !matches!(error, Error::NoMemory | Error::NoHandles) {
            return Ok(10 + kind as u64);
        }
    }
    ready(env, 1)?;
    // It asks on, which must not cost the others anything.
    for _ in 0..2000 {
        for make in &makers {
            let _ = make();
        }
    }
    ready(env, 2)?;
    wait_for_ever()
}

/// As many active messages as the interrupt server gives; how many, and their handles.
pub fn take_messages(interrupt: Handle, port: Handle) -> (u64, Vec<Handle>) {
    let mut taken = Vec::new();
    loop {
        let request =
            Alloc { count: 1, kind: StoreKind::PciMsi, contiguity: Contiguity::Any, cpus: ANY_CPU };
        let Ok((reply, mut handles)) = ask_with(interrupt, &request, &[]) else { break };
        let (Some(message), Some(handle)) = (reply.messages.first(), handles.pop()) else { break };
        let key = taken.len() as u64;
        let bound = sys::message_bind(handle.handle(), port, key).is_ok();
        let active = ask_with(interrupt, &Activate { id: message.id }, &[]).is_ok();
        taken.push(handle.leak());
        if !bound || !active {
            break;
        }
    }
    (taken.len() as u64, taken)
}

/// Takes messages for its device until none is left, says how many, and waits to be
/// killed with them in hand.
pub fn hold_messages(env: &'static Startup) -> Result<u64, Error> {
    let port = sys::port_create()?.handle();
    let (count, _) = take_messages(granted(env, "interrupt")?, port);
    ready(env, 1 << 32 | count)?;
    wait_for_ever()
}
