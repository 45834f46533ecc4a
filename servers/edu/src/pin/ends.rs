//! How a driver ends: well, or as the others must be able to bear.

use demo_driver::{Reporter, Stop, hear};
use libsys::interrupt::InterruptError;
use libsys::object::{Port, now_ns};
use libsys::proto::interrupt::Error as Refusal;
use libsys::proto::report::Done;

use super::plan::End;
use super::rig::{PATIENCE_NS, Rig};
use super::{done, is_off};
use crate::device::DeviceError;

/// How often to look whether the pin was taken away.
const LOOK_NS: u64 = 20_000_000;
/// Interrupts after a driver has come back.
const BACK: u64 = 100;

/// Plays the end.
pub fn run(rig: Rig<'_>, end: End, reporter: &Reporter) -> Result<Done, Stop<DeviceError>> {
    match end {
        End::Close => close(rig, reporter),
        End::Die => die(rig, reporter),
        End::Hang => hang(rig, reporter),
    }
}

fn close(rig: Rig<'_>, reporter: &Reporter) -> Result<Done, Stop<DeviceError>> {
    let (last, pci) = (done(&rig), rig.pci);
    let counts = rig.counts;
    rig.close()?;
    if !is_off(pci)? {
        return Err(Stop::Unexpected("the wire is closed, and the pin is on"));
    }
    if counts.own != counts.raised {
        return Err(Stop::Unexpected("what was told is not what the device wanted"));
    }
    reporter.line(format_args!(
        "{} interrupts by the pin, each told once and {} of them again while it stood; told {} \
         times of others'; the longest took {} us",
        counts.own,
        counts.again,
        counts.others,
        counts.longest_ns / 1000,
    ))?;
    Ok(last)
}

/// Dies with the line in its hand.
fn die(mut rig: Rig<'_>, reporter: &Reporter) -> Result<Done, Stop<DeviceError>> {
    let last = done(&rig);
    reporter.line(format_args!(
        "{} interrupts by the pin; dies now, told and without an answer",
        last.delivered
    ))?;
    reporter.done(&last)?;
    rig.raise();
    if !rig.told(PATIENCE_NS)? {
        return Err(Stop::Unexpected("the device wants something, and nobody told us"));
    }
    panic!("as it was asked to, with the level in its hand");
}

/// Does not answer, until its pin is taken away; then comes back.
fn hang(mut rig: Rig<'_>, reporter: &Reporter) -> Result<Done, Stop<DeviceError>> {
    rig.raise();
    if !rig.told(PATIENCE_NS)? {
        return Err(Stop::Unexpected("the device wants something, and nobody told us"));
    }
    let (port, start_ns) = (Port::new()?, now_ns());
    while !is_off(rig.pci)? {
        if now_ns().saturating_sub(start_ns) > PATIENCE_NS {
            return Err(Stop::Unexpected("nobody takes the pin from an owner that never answers"));
        }
        // Nothing comes here: this only waits.
        let _ = hear(&port, LOOK_NS)?;
    }
    let after_ms = now_ns().saturating_sub(start_ns) / 1_000_000;
    if !rig.pci.interrupt_status()? {
        return Err(Stop::Unexpected("the device wants nothing any more, and nobody served it"));
    }
    match rig.wire().acknowledge() {
        Err(InterruptError::Server(Refusal::BadState)) => {}
        Err(error) => return Err(error.into()),
        Ok(()) => return Err(Stop::Unexpected("an owner that was dropped is still heard")),
    }
    rig.device.acknowledge();
    // Its last one was never served on the line.
    rig.counts.raised -= 1;
    let mut rig = rig.reopen()?;
    super::act::many(&mut rig, BACK, 1)?;
    reporter.line(format_args!(
        "never answered, lost its pin after {after_ms} ms, and came back for {BACK} more"
    ))?;
    close(rig, reporter)
}
