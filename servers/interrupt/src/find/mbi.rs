//! SPIs that devices raise by writes to the distributor, where firmware says so.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use interrupt_core::gicd::GicdInitError;
use interrupt_core::mbi::{MbiConfig, MbiInitError, MbiUnit};
use libsys::println;
use tocsin_abi::startup::Startup;

use super::{WAIT_BUDGET, gic};
use crate::machine::Machine;
use crate::memory::Frame;

/// The SPIs that firmware leaves to messages: first INTID and how many, granted as values.
pub fn ranges(env: &Startup) -> Vec<(u32, u32)> {
    let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let range = |place| env.find(&format!("mbi{place}"));
    let there = (0..).map_while(|place: u32| range(place));
    there.map(|entry| (number(entry.value), number(entry.value2))).collect()
}

/// Takes the distributor's messages into service; devices see its frame at `frame`.
pub fn unit(env: &Startup, machine: &Machine, frame: u64) -> Result<MbiUnit<Frame>, String> {
    let ranges = ranges(env);
    let (distributor, _) = gic::frame(env.find("gicd").ok_or("no grant `gicd`")?)?;
    let config = MbiConfig {
        ranges: &ranges,
        frame,
        cpus: &machine.hardware_ids,
        priority: gic::priority(),
        wait_budget: WAIT_BUDGET,
    };
    let unit = MbiUnit::new(distributor, &config).map_err(why)?;
    if unit.left_out() > 0 {
        println!(
            "interrupt: {} SPIs of `mbi-ranges` are kept by secure firmware, and left out",
            unit.left_out()
        );
    }
    println!(
        "interrupt: message-based SPIs at {frame:#x}: {}; not isolated, any device can raise any message",
        unit.total()
    );
    Ok(unit)
}

fn why(error: MbiInitError) -> String {
    match error {
        MbiInitError::NoMessages => {
            "firmware offers message-based SPIs, and the distributor takes no messages (GICD_TYPER.MBIS is clear)".into()
        }
        MbiInitError::Gicd(GicdInitError::Version(version)) => {
            format!("the distributor is of version {version}")
        }
        MbiInitError::Gicd(GicdInitError::NoAffinityRouting | GicdInitError::GroupOff) => {
            "the kernel has not brought the distributor up (GICD_CTLR)".into()
        }
        MbiInitError::BadRange { first, count } => format!(
            "`mbi-ranges` has {count} SPIs from {first}, which the distributor has not, or twice (GICD_TYPER.ITLinesNumber)"
        ),
        MbiInitError::NoSpis(Some(error)) => format!("no SPI of `mbi-ranges` can be used: {error}"),
        MbiInitError::NoSpis(None) => "`mbi-ranges` is empty".into(),
        MbiInitError::Late(error) => format!("{error}"),
        MbiInitError::BadCpus => "no CPU, or more than 64".into(),
        MbiInitError::NoMemory => "no memory for the books of message-based SPIs".into(),
    }
}
