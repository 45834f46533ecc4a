//! A GICv3 distributor after the kernel has brought it up, with what reaches it from wires and
//! messages on one side and the CPUs on the other. Its registers are in `gicd_registers`.
//!
//! It is as lazy as the architecture allows: an SPI that is disabled goes on reaching its CPU
//! until GICD_CTLR.RWP has read as zero.

use super::gicd_registers::GicdFrame;
use crate::Pair;
use crate::gicd::{Route, Spi, offset};
use alloc::collections::BTreeSet;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

/// What kind of distributor, and how it misbehaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GicdOptions {
    /// GICD_TYPER.ITLinesNumber.
    pub lines: u32,
    /// GICD_TYPER.MBIS.
    pub takes_messages: bool,
    /// CPUs.
    pub cpus: u8,
    /// Two security states: groups read as zero.
    pub two_security_states: bool,
    /// SPIs of the secure side: they read as zero and do nothing.
    pub secure: BTreeSet<u32>,
    /// SPIs whose trigger can not be changed: edge for good.
    pub always_edge: BTreeSet<u32>,
    /// Reads of GICD_CTLR before RWP clears.
    pub lag: u32,
    /// GICD_PIDR2.ArchRev.
    pub version: u32,
    /// GICD_CTLR after the kernel.
    pub control: u32,
}

impl Default for GicdOptions {
    /// As QEMU's `virt`, but with messages, and slower.
    fn default() -> Self {
        Self {
            lines: 7,
            takes_messages: true,
            cpus: 2,
            two_security_states: false,
            secure: BTreeSet::new(),
            always_edge: BTreeSet::new(),
            lag: 2,
            version: 3,
            // EnableGrp1, ARE, DS.
            control: 0x52,
        }
    }
}

/// An SPI.
#[derive(Clone, Default)]
pub(super) struct SpiState {
    pub(super) enabled: bool,
    /// What the CPUs know of `enabled`.
    pub(super) seen_enabled: bool,
    /// Pending until taken.
    pub(super) latch: bool,
    /// Up until it is taken down: a level.
    pub(super) wire: bool,
    pub(super) message: bool,
    pub(super) active: bool,
    pub(super) edge: bool,
    pub(super) priority: u8,
    pub(super) route: u64,
}

impl SpiState {
    pub(super) fn is_pending(&self) -> bool {
        self.latch || self.wire || self.message
    }
}

/// A distributor; clones are the same one.
#[derive(Clone)]
pub struct GicdModel(pub(super) Rc<RefCell<Gicd>>);

/// Its state.
pub(super) struct Gicd {
    pub(super) options: GicdOptions,
    /// By INTID; the first 32 are not the distributor's.
    pub(super) spis: Vec<SpiState>,
    /// Reads of GICD_CTLR until RWP clears; `None`: nothing is under way.
    pub(super) busy: Option<u32>,
    pub(super) hung: bool,
    /// Taken by a CPU, not yet dealt with.
    in_hand: Vec<(usize, Spi)>,
    dropped: u64,
    pub(super) violations: Vec<String>,
}

impl GicdModel {
    /// Where the frame is; messages come to it, too.
    pub const BASE: u64 = 0x0800_0000;

    /// A distributor as the kernel leaves it: every SPI off, at the devices' priority.
    pub fn new(options: GicdOptions) -> Self {
        let first = SpiState { priority: 0xa0, route: affinity_route(0), ..SpiState::default() };
        let spis = vec![first; ((options.lines + 1) * 32).min(Spi::END) as usize];
        Self(Rc::new(RefCell::new(Gicd {
            options,
            spis,
            busy: None,
            hung: false,
            in_hand: Vec::new(),
            dropped: 0,
            violations: Vec::new(),
        })))
    }

    /// Its frame.
    pub fn registers(&self) -> GicdFrame {
        GicdFrame(self.0.clone())
    }

    /// Affinity of a CPU: never its number, so that the two are never mixed up unnoticed.
    pub fn affinity(cpu: usize) -> u32 {
        0x0100_0002 + cpu as u32
    }

    /// A wire goes up (or down, where it is a level). An edge is latched.
    pub fn wire(&self, spi: Spi, up: bool) {
        let mut gicd = self.0.borrow_mut();
        let Some(state) = gicd.spis.get_mut(spi.intid() as usize) else { return };
        if state.edge {
            state.latch |= up;
        } else {
            state.wire = up;
        }
    }

    /// A device writes a pair; the frame lies at `base` for it. Which SPI is pending by it:
    /// none if the write changes nothing (§12.9.35, §12.9.6).
    pub fn message(&self, base: u64, pair: Pair) -> Option<Spi> {
        let mut gicd = self.0.borrow_mut();
        let hit = gicd.message(base, pair);
        gicd.dropped += u64::from(hit.is_none());
        hit
    }

    /// Device writes that changed nothing.
    pub fn dropped(&self) -> u64 {
        self.0.borrow().dropped
    }

    /// A CPU takes what is most urgent for it.
    pub fn acknowledge(&self, cpu: usize) -> Option<Spi> {
        let mut gicd = self.0.borrow_mut();
        let route = affinity_route(cpu);
        let takes = |intid: &u32| {
            let spi = &gicd.spis[*intid as usize];
            spi.seen_enabled && spi.is_pending() && !spi.active && spi.route == route
        };
        let ready = (Spi::FIRST..gicd.spis.len() as u32).filter(takes);
        let intid = ready.min_by_key(|intid| (gicd.spis[*intid as usize].priority, *intid))?;
        let state = &mut gicd.spis[intid as usize];
        (state.active, state.latch) = (true, false);
        let spi = Spi::new(intid)?;
        gicd.in_hand.push((cpu, spi));
        Some(spi)
    }

    /// A CPU has dealt with all that it took and made it inactive.
    pub fn complete(&self, cpu: usize) {
        let mut gicd = self.0.borrow_mut();
        let Gicd { in_hand, spis, .. } = &mut *gicd;
        in_hand.retain(|(owner, spi)| {
            if *owner == cpu {
                spis[spi.intid() as usize].active = false;
            }
            *owner != cpu
        });
    }

    /// Whether a CPU still deals with it.
    pub fn in_hand(&self, spi: Spi) -> bool {
        self.0.borrow().in_hand.iter().any(|(_, held)| *held == spi)
    }

    /// Whether it is pending.
    pub fn is_pending(&self, spi: Spi) -> bool {
        self.0.borrow().spis.get(spi.intid() as usize).is_some_and(SpiState::is_pending)
    }

    /// The CPU that it goes to.
    pub fn cpu_of(&self, spi: Spi) -> Option<usize> {
        let gicd = self.0.borrow();
        let route = gicd.spis.get(spi.intid() as usize)?.route;
        (0..gicd.options.cpus.into()).find(|cpu| affinity_route(*cpu) == route)
    }

    /// How many CPUs there are.
    pub fn cpus(&self) -> u8 {
        self.0.borrow().options.cpus
    }

    /// Whether a CPU would take it.
    pub fn reaches_a_cpu(&self, spi: Spi) -> bool {
        self.0.borrow().spis.get(spi.intid() as usize).is_some_and(|spi| spi.seen_enabled)
    }

    /// RWP stays set from the next change on, or clears again.
    pub fn hang(&self, hung: bool) {
        self.0.borrow_mut().hung = hung;
    }

    /// What the driver did that the specification does not allow, or the kernel.
    pub fn violations(&self) -> Vec<String> {
        self.0.borrow().violations.clone()
    }
}

/// GICD_IROUTER of a CPU of this machine.
pub(super) fn affinity_route(cpu: usize) -> u64 {
    Route { affinity: GicdModel::affinity(cpu) }.encode()
}

impl Gicd {
    pub(super) fn violation(&mut self, what: &str) {
        self.violations.push(String::from(what));
    }

    /// An SPI that software without secure state can see.
    pub(super) fn visible(&self, intid: u32) -> bool {
        intid >= Spi::FIRST
            && (intid as usize) < self.spis.len()
            && !self.options.secure.contains(&intid)
    }

    pub(super) fn message(&mut self, base: u64, pair: Pair) -> Option<Spi> {
        if !self.options.takes_messages || !self.visible(pair.data) {
            return None;
        }
        let state = &mut self.spis[pair.data as usize];
        match (pair.address.wrapping_sub(base), state.edge) {
            (at, true) if at == u64::from(offset::SET_SPI) => state.latch = true,
            (at, false) if at == u64::from(offset::SET_SPI) => state.message = true,
            (at, true) if at == u64::from(offset::CLEAR_SPI) => state.latch = false,
            (at, false) if at == u64::from(offset::CLEAR_SPI) => state.message = false,
            _ => return None,
        }
        Spi::new(pair.data)
    }
}
