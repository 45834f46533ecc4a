//! The distributor: the wires of an Arm machine.

use alloc::format;
use alloc::string::{String, ToString};

use interrupt_core::gicd::{Distributor, GicdInitError, GicdRegisters, Route, SpiLines};
use libsys::println;
use tocsin_abi::startup::Startup;

use super::{WAIT_BUDGET, gic, mbi};
use crate::machine::Machine;
use crate::memory::Frame;

impl GicdRegisters for Frame {
    fn read32(&mut self, offset: u16) -> u32 {
        self.0.read32(offset.into())
    }

    fn write8(&mut self, offset: u16, value: u8) {
        self.0.write8(offset.into(), value);
    }

    fn write32(&mut self, offset: u16, value: u32) {
        self.0.write32(offset.into(), value);
    }

    fn read64(&mut self, offset: u16) -> u64 {
        self.0.read64(offset.into())
    }

    fn write64(&mut self, offset: u16, value: u64) {
        self.0.write64(offset.into(), value);
    }
}

/// The machine's SPIs, or a line that says why none of them can be had. All else works without.
pub fn spis(env: &Startup, machine: &Machine) -> Option<SpiLines<Frame>> {
    match take_over(env, machine) {
        Ok(lines) => Some(lines),
        Err(why) => {
            println!("interrupt: the distributor: {why}; SPIs are not supported");
            None
        }
    }
}

fn take_over(env: &Startup, machine: &Machine) -> Result<SpiLines<Frame>, String> {
    let entry = env.find("gicd").ok_or("no grant `gicd`")?;
    let (frame, address) = gic::frame(entry)?;
    let distributor =
        Distributor::new(frame, WAIT_BUDGET).map_err(|error| why(error).to_string())?;
    let end = distributor.kind().spi_end();
    println!("interrupt: GICv3 distributor at {address:#x}: SPIs 32 to {}", end.saturating_sub(1));
    let routes = machine.hardware_ids.iter().map(|id| Route { affinity: *id }).collect();
    let mut lines = SpiLines::new(distributor, routes, gic::priority());
    for (first, count) in mbi::ranges(env) {
        if !lines.exclude(first, count) {
            return Err("no memory for what is no wire".into());
        }
    }
    Ok(lines)
}

fn why(error: GicdInitError) -> String {
    match error {
        GicdInitError::Version(version) => format!("it is of a GICv{version} (GICD_PIDR2)"),
        GicdInitError::NoAffinityRouting => "affinity routing is off (GICD_CTLR.ARE_NS)".into(),
        GicdInitError::GroupOff => "group 1 is off (GICD_CTLR.EnableGrp1)".into(),
    }
}
