//! The device by its interrupt pin: a level on a line that others may have too.
//!
//! What happens, in this order: without the wire the device can not reach anybody; then it
//! meets the others on the line; a level is held until it is answered, and comes again while it
//! stands; then very many, one after another, while the line moves from CPU to CPU. At its end a
//! driver can be one of two bad owners, for the others to bear: one that dies with the level in
//! its hand, and one that never answers.

mod act;
mod ends;
mod plan;
mod rig;

use demo_driver::{Reporter, Stop};
use libsys::driver::DriverError;
use libsys::interrupt::{InterruptError, Interrupts};
use libsys::ipc::AskError;
use libsys::object::Port;
use libsys::pci::Device as PciDevice;
use libsys::proto::StoreKind;
use libsys::proto::pci::{Enables, Error as Refusal, PinSet, Width};
use libsys::proto::report::Done;
use libsys::startup::Environment;
use libsys::store::{Store, StoreError};
use libsys::{Error, Handle, Startup};

use crate::device::{Device, DeviceError};
pub use plan::Plan;
use rig::Rig;

/// Command register, and the bit of it that keeps a device from its pin (PCIe Base 6.0
/// §7.5.1.1.3).
const COMMAND: u16 = 0x04;
const PIN_DISABLED: u32 = 1 << 10;

/// Whether the pin is off.
fn is_off(pci: PciDevice) -> Result<bool, Stop<DeviceError>> {
    Ok(pci.config_read(COMMAND, Width::Word)? & PIN_DISABLED != 0)
}

/// Runs the plan.
pub fn run(env: &Startup, reporter: &Reporter, plan: &Plan) -> Result<Done, Stop<DeviceError>> {
    let pci = PciDevice::new(env.handle("pci").ok_or(Error::BadHandle)?);
    let bar = pci.map_bar(0)?;
    // The pin is no write to memory: the device need not be able to make any.
    pci.enable(Enables { io: false, memory: true, bus_master: false })?;
    let device = Device::start(bar).map_err(Stop::Device)?;
    let server = env.handle("interrupt").ok_or(Error::BadHandle)?;
    let port = Port::new()?;

    without_a_wire(pci, &device)?;
    if plan.no_wire {
        return nowhere(pci, server, &port, plan, reporter);
    }
    let mut rig = Rig::open(pci, server, &device, &port, plan.mode)?;
    instead_of_messages(pci, server, &port)?;
    let (pin, (cpu, vector)) = (rig.wire().pin(), rig.wire().wire().route());
    reporter.line(format_args!(
        "interrupt pin {} leads to {} ({}), which arrives on CPU {cpu} as {vector:#x}",
        pin.pin, pin.line, pin.wiring,
    ))?;

    if plan.meets_others() {
        act::meet(&mut rig)?;
    }
    act::hold(&mut rig)?;
    act::many(&mut rig, plan.events, env.cpus)?;
    ends::run(rig, plan.end, reporter)
}

/// A device whose wire nobody has opened wants something in vain.
fn without_a_wire(pci: PciDevice, device: &Device) -> Result<(), Stop<DeviceError>> {
    if !is_off(pci)? {
        return Err(Stop::Unexpected("the pin is on, and nobody has its wire"));
    }
    device.raise();
    if !pci.interrupt_status()? {
        return Err(Stop::Unexpected("the device wants something, and its status does not say so"));
    }
    device.acknowledge();
    if pci.interrupt_status()? {
        return Err(Stop::Unexpected("the device wants nothing, and its status says it does"));
    }
    // The bit is the server's to write.
    let command = pci.config_read(COMMAND, Width::Word)?;
    match pci.config_write(COMMAND, Width::Word, command & !PIN_DISABLED) {
        Err(AskError::Refused(Refusal::Denied)) if is_off(pci)? => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => Err(Stop::Unexpected("a driver has switched its pin on by itself")),
    }
}

/// Nobody says where the pin leads, so it leads nowhere: no line is had, and the pin stays off.
fn nowhere(
    pci: PciDevice,
    server: Handle,
    port: &Port,
    plan: &Plan,
    reporter: &Reporter,
) -> Result<Done, Stop<DeviceError>> {
    match pci.wire(server, port.handle(), plan.mode, 0) {
        Err(DriverError::Pci(AskError::Refused(Refusal::NoWire))) => {}
        Err(error) => return Err(error.into()),
        Ok(_) => return Err(Stop::Unexpected("a wire was had, and nobody says where it leads")),
    }
    match pci.set_pin(PinSet::On) {
        Err(AskError::Refused(Refusal::NoWire)) if is_off(pci)? => {}
        Err(error) => return Err(error.into()),
        Ok(()) => return Err(Stop::Unexpected("a pin without a wire is on")),
    }
    reporter.line(format_args!("wire refused: NoWire, and the pin stays off"))?;
    Ok(Done { ok: true, slots: 0, fired: 0, delivered: 0, kind: StoreKind::PciMsi })
}

/// With the pin on there are no messages.
fn instead_of_messages(
    pci: PciDevice,
    server: Handle,
    port: &Port,
) -> Result<(), Stop<DeviceError>> {
    let store = Store::pci_msi(pci)?;
    let interrupts = Interrupts::new(server, port.handle());
    let mut interrupt = match interrupts.add(&store, 0, u64::MAX) {
        Ok(interrupt) => interrupt,
        // No remapper, no messages: then there is nothing to exclude.
        Err(InterruptError::Server(libsys::proto::interrupt::Error::NotSupported)) => {
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    match interrupt.activate() {
        Err(InterruptError::Store(StoreError::Pci(AskError::Refused(Refusal::Exclusive)))) => {
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(_) => Err(Stop::Unexpected("messages and the pin are on together")),
    }
}

/// The last word of a driver whose run was good.
fn done(rig: &Rig<'_>) -> Done {
    Done {
        ok: true,
        slots: 1,
        fired: rig.counts.raised,
        delivered: rig.counts.own,
        kind: StoreKind::Wire,
    }
}
