//! An Arm machine's interrupt controller and console.

use alloc::vec::Vec;

use init_core::gic::{FRAME_BYTES, TYPER, redistributor};
use init_core::windows::Range;
use libsys::map::Mapping;
use libsys::object::Memory;
use libsys::println;
use tocsin_abi::Rights;
use tocsin_abi::limits::{MAX_MEMORY_BYTES, PAGE_BYTES};
use tocsin_firmware::arm::{Affinity, ConsoleKind, DirectMessages, Platform};
use tocsin_firmware::{Line, Polarity, Trigger};

use super::{Device, Uart, memory, slice};
use crate::authority::Authority;
use crate::probe::Probe;

/// The parts of a GICv3 that route messages to CPUs. The CPU interfaces stay with the kernel,
/// and so do the frames for a CPU's private interrupts but for tests; the frames that devices
/// write messages to stay with nobody.
pub struct Gic {
    /// The distributor.
    pub distributor: Device,
    /// Each CPU's RD_base frame, with the kernel's number of the CPU.
    pub redistributors: Vec<(u32, Device)>,
    /// Each CPU's frame of private interrupts, SGI_base: for tests alone.
    pub private: Vec<(u32, Device)>,
    /// The ITSs' control frames, in the firmware's order.
    pub its: Vec<Device>,
    /// RAM for all their tables and queues, and its size.
    pub memory: Option<(Memory, u64)>,
    /// How the GIC itself takes messages, where firmware says that it does.
    pub messages: Option<Messages>,
}

/// Messages without an ITS. What is granted for them are values alone: their registers are
/// those of the distributor and the redistributors.
pub enum Messages {
    /// SPIs: INTIDs by range, and where devices write to.
    Spis {
        /// First INTID and how many.
        ranges: Vec<(u32, u32)>,
        /// The frame.
        frame: u64,
    },
    /// LPIs at the redistributors.
    Lpis,
}

impl Messages {
    fn of(platform: &Platform) -> Option<Self> {
        let gic = &platform.gic;
        Some(match gic.direct_messages()? {
            DirectMessages::Spis => Self::Spis {
                ranges: gic.mbi.ranges.iter().copied().collect(),
                frame: gic.mbi.alias.unwrap_or(gic.distributor.base),
            },
            DirectMessages::Lpis => Self::Lpis,
        })
    }
}

impl Gic {
    /// Finds them. Without a distributor there is none.
    pub fn find(authority: &Authority, probe: &Probe<'_>, platform: &Platform) -> Option<Self> {
        let found = platform.gic.distributor;
        let distributor = slice(authority, Range::new(found.base, found.size), "distributor")?;
        let mut gic = Self {
            distributor,
            redistributors: Vec::new(),
            private: Vec::new(),
            its: Vec::new(),
            memory: None,
            messages: Messages::of(platform),
        };
        for cpu in 0..authority.cpus() {
            let Ok(id) = authority.hardware_id(cpu) else { continue };
            let id = Affinity::from_bits(id);
            match redistributor(platform, id, |at| read_typer(authority, at)) {
                Some(base) => {
                    let range = Range::new(base, FRAME_BYTES);
                    let frame = slice(authority, range, "redistributor");
                    gic.redistributors.extend(frame.map(|frame| (cpu, frame)));
                    // It follows the first (§12.10).
                    let range = Range::new(base + FRAME_BYTES, FRAME_BYTES);
                    let frame = slice(authority, range, "redistributor");
                    gic.private.extend(frame.map(|frame| (cpu, frame)));
                }
                None => println!("init: CPU {cpu} ({id}) has no redistributor that could be found"),
            }
        }
        for its in &platform.gic.its {
            let range = Range::new(its.range.base, FRAME_BYTES);
            let Some(frame) = slice(authority, range, "ITS") else { continue };
            // QEMU's ACPI tables name one where there is none (7.2, `its=off`).
            if probe.answers(&frame) {
                gic.its.push(frame);
            } else {
                println!("init: firmware names an ITS at {range}, and nothing answers there");
            }
        }
        if gic.its.is_empty() {
            println!("init: no ITS: this machine has nothing that translates messages of devices");
        }
        if !gic.its.is_empty() || matches!(gic.messages, Some(Messages::Lpis)) {
            match memory::largest(MAX_MEMORY_BYTES) {
                Ok(memory) => gic.memory = Some(memory),
                Err(error) => println!("init: no memory for the tables of LPIs: {error}"),
            }
        }
        Some(gic)
    }
}

/// GICR_TYPER of the redistributor at `at`.
fn read_typer(authority: &Authority, at: u64) -> Option<u64> {
    let page = at.is_multiple_of(PAGE_BYTES).then_some(at)?;
    let frame = Mapping::new(authority.physical(), page, PAGE_BYTES, Rights::READ).ok()?;
    Some(frame.read64(TYPER))
}

/// The console that firmware names.
pub fn uart(authority: &Authority, platform: &Platform) -> Option<Uart> {
    let console = platform.console?;
    // Authority goes by pages, and nobody else's registers are in this one.
    let base = console.range.base / PAGE_BYTES * PAGE_BYTES;
    let page = slice(authority, Range::new(base, PAGE_BYTES), "console")?;
    let kind = match console.kind {
        ConsoleKind::Pl011 => 0,
        ConsoleKind::Sbsa => 1,
    };
    Some(Uart { handle: page.handle, values: (kind, base) })
}

/// The console's interrupt: high for as long as it wants something (DDI 0183G §2.8), whatever
/// firmware says of its level.
pub fn uart_line(platform: &Platform) -> Option<Line> {
    let number = platform.console?.interrupt?;
    Some(Line { number, trigger: Trigger::Level, polarity: Polarity::High })
}
