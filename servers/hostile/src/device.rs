//! A driver that dies before its device has finished.
//!
//! The device is QEMU's `edu` (docs/specs/edu.txt): writing the factorial register starts
//! a computation that takes time; bit 7 of the status register makes it raise an interrupt
//! at the end.

use libsys::ipc::{ask, ask_with};
use libsys::pci::Device;
use libsys::sys;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Rights};
use tocsin_proto::StoreKind;
use tocsin_proto::interrupt::{ANY_CPU, Activate, Alloc, Contiguity};
use tocsin_proto::pci::{Enables, MsiMask, MsiUnmask, MsiWrite};

use crate::{granted, ready, told, wait_for_ever};

/// Factorial register.
const FACTORIAL: u64 = 0x08;
/// Status register: bit 0 computing, bit 7 interrupt at the end.
const STATUS: u64 = 0x20;
/// Raises an interrupt at once.
const RAISE: u64 = 0x60;
/// Takes it back.
const ACKNOWLEDGE: u64 = 0x64;

/// Sets everything up as an honest driver would, shows that an interrupt arrives, starts a
/// computation of `factorial` and reports; then dies, or is killed, before it ends.
pub fn run(env: &'static Startup) -> Result<u64, Error> {
    let interrupt = granted(env, "interrupt")?;
    let device = Device::new(granted(env, "pci")?);
    let port = sys::port_create()?.handle();
    let step = |number: u64| ready(env, 1 << number);
    let Ok(bar) = device.map_bar(0) else { return Ok(11) };
    if device.enable(Enables::MEMORY_AND_MASTER).is_err() {
        return Ok(12);
    }
    let request =
        Alloc { count: 1, kind: StoreKind::PciMsi, contiguity: Contiguity::Any, cpus: ANY_CPU };
    let Ok((reply, handles)) = ask_with(interrupt, &request, &[]) else { return Ok(13) };
    let (Some(message), Some(handle)) = (reply.messages.first(), handles.first()) else {
        return Ok(14);
    };
    sys::message_bind(handle.handle(), port, 1)?;
    if ask(interrupt, &Activate { id: message.id }).is_err() {
        return Ok(15);
    }
    // The driver before this one may have died with its slot open.
    if ask(device.endpoint(), &MsiMask { slot: 0 }).is_err() {
        return Ok(19);
    }
    let write = MsiWrite { slot: 0 };
    let pair = [(handle.handle(), Rights::READ)];
    if ask_with(device.endpoint(), &write, &pair).is_err() {
        return Ok(16);
    }
    if ask(device.endpoint(), &MsiUnmask { slot: 0 }).is_err() {
        return Ok(17);
    }
    bar.mapping.write32(RAISE, 1);
    let now = sys::clock_read()?.result;
    if sys::port_wait(port, 0, 1, now + 2_000_000_000).is_err() {
        return Ok(18);
    }
    bar.mapping.write32(ACKNOWLEDGE, 1);
    bar.mapping.write32(STATUS, 0x80);
    bar.mapping.write32(FACTORIAL, told(env, "factorial") as u32);
    step(1)?;
    match env.args() {
        "device exit" => Ok(0),
        "device live" => {
            let now = sys::clock_read()?.result;
            sys::port_wait(port, 0, 1, now + 20_000_000_000)?;
            step(2)?;
            wait_for_ever()
        }
        _ => wait_for_ever(),
    }
}
