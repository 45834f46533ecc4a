//! What the device is made to do on its line.

use demo_driver::Stop;
use libsys::object::now_ns;

use super::rig::{PATIENCE_NS, Rig};
use crate::device::DeviceError;

/// How long to look for others, and how often to let them hear of us meanwhile.
const MEET_NS: u64 = 20_000_000_000;
const BEAT_NS: u64 = 10_000_000;
/// How long nothing may come while a level is held. Far below what the server waits for us.
const QUIET_NS: u64 = 20_000_000;
/// How often a level is held.
const HOLDS: u32 = 4;
/// After so many interrupts the device wants nothing for once, and so long.
const LISTEN_AFTER: u64 = 8;
const LISTEN_NS: u64 = 300_000;
/// After so many interrupts the line moves on to another CPU.
const MOVE_AFTER: u64 = 500;

/// Waits until somebody else on the line has wanted something, which we are told of as well.
pub fn meet(rig: &mut Rig<'_>) -> Result<(), Stop<DeviceError>> {
    let deadline_ns = now_ns().saturating_add(MEET_NS);
    while rig.counts.others == 0 {
        if now_ns() > deadline_ns {
            return Err(Stop::Unexpected("nobody else is on the line, or we are not told of them"));
        }
        rig.once()?;
        if rig.told(BEAT_NS)? {
            rig.serve()?;
        }
    }
    Ok(())
}

/// A level comes once and is held: nothing more until the line is let go. Then it comes again,
/// because the device still wants something.
pub fn hold(rig: &mut Rig<'_>) -> Result<(), Stop<DeviceError>> {
    for _ in 0..HOLDS {
        rig.raise();
        if !rig.told(PATIENCE_NS)? {
            return Err(Stop::Unexpected("a level stands, and nobody told us"));
        }
        if rig.told(QUIET_NS)? {
            return Err(Stop::Unexpected("a level came again before anybody let the line go"));
        }
        rig.wire().acknowledge()?;
        if !rig.told(PATIENCE_NS)? {
            return Err(Stop::Unexpected("a level still stands, and did not come again"));
        }
        if rig.device.causes() == 0 {
            return Err(Stop::Unexpected("the device forgot what it wants"));
        }
        rig.counts.again += 1;
        rig.serve()?;
    }
    // What others have wanted meanwhile was told as ours; nothing of it is left unanswered.
    while rig.told(0)? {
        rig.serve()?;
    }
    Ok(())
}

/// Very many, one after another, on all CPUs in turn.
pub fn many(rig: &mut Rig<'_>, events: u64, cpus: u32) -> Result<(), Stop<DeviceError>> {
    for event in 0..events {
        if event % MOVE_AFTER == MOVE_AFTER - 1 {
            let cpu = (event / MOVE_AFTER) % u64::from(cpus.max(1));
            rig.wire_mut().set_affinity(1 << cpu)?;
        }
        rig.once()?;
        // Whoever wants something at each turn hears of nobody else's turns.
        if event % LISTEN_AFTER == 0 && rig.told(LISTEN_NS)? {
            rig.serve()?;
        }
    }
    Ok(())
}
