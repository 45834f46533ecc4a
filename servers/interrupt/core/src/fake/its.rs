//! A GICv3 ITS and the LPI side of its redistributors. Registers are in `its_registers`,
//! commands in `its_commands`.
//!
//! It is as lazy as the architecture allows: a redistributor caches a property as soon as the
//! LPI is mapped to it and keeps it until INV, and what INV, MOVI and DISCARD change in a
//! redistributor takes effect only at the SYNC that names it.

use super::its_memory::{ItsRegion, Memory};
use super::its_registers::{ItsFrame, RedistributorFrame, Registers};
use crate::Pair;
use crate::its::{
    DeviceId, EventId, LevelOneEntry, Lpi, LpiProperty, PageSize, Priority, PropertyBase,
    RedistributorTarget, TableBase, TableKind, translater,
};
use crate::vtd::Malformed;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::Bound;

/// Where the control frame is.
pub(super) const CONTROL_FRAME: u64 = 0x0808_0000;

/// What kind of ITS, and how it misbehaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ItsOptions {
    /// GITS_TYPER.Physical.
    pub physical: bool,
    /// GITS_TYPER.PTA.
    pub target_is_address: bool,
    /// GITS_TYPER.HCC; above 0 there is no collection table.
    pub hardware_collections: u8,
    /// GITS_BASER<n> for devices takes two levels.
    pub two_level: bool,
    /// The only page size it takes; `None`: any.
    pub page: Option<PageSize>,
    /// Its accesses snoop.
    pub coherent: bool,
    /// GICv4: there is a vPE table.
    pub virtual_lpis: bool,
    /// Bits of a DeviceID.
    pub device_bits: u8,
    /// Bits of an EventID.
    pub event_bits: u8,
    /// CPUs.
    pub cpus: u8,
    /// GICR_TYPER.PLPIS.
    pub redistributor_lpis: bool,
    /// GICR_TYPER.DirectLPI: LPIs are made at the redistributors.
    pub direct_lpis: bool,
    /// GICR_SYNCR tells of GICR_CLRLPIR, too: else only of invalidations, as issue H has it.
    pub sync_tells_of_clearing: bool,
    /// GICR_CTLR.CES.
    pub can_disable_lpis: bool,
    /// GITS_CTLR.Quiescent never reads one.
    pub restless: bool,
    /// Reads of registers before a command is looked at.
    pub lag: u32,
}

impl Default for ItsOptions {
    /// As QEMU 7.2's, but strict.
    fn default() -> Self {
        Self {
            physical: true,
            target_is_address: false,
            hardware_collections: 0,
            two_level: true,
            page: None,
            coherent: true,
            virtual_lpis: false,
            device_bits: 16,
            event_bits: 16,
            cpus: 2,
            redistributor_lpis: true,
            direct_lpis: false,
            sync_tells_of_clearing: false,
            can_disable_lpis: false,
            restless: false,
            lag: 0,
        }
    }
}

/// What became of a device's write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItsOutcome {
    /// It made this LPI pending in a CPU's redistributor.
    Pending {
        /// Which CPU.
        cpu: usize,
        /// Which LPI.
        lpi: Lpi,
    },
    /// It vanished.
    Dropped(ItsDrop),
}

/// Why a write vanished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItsDrop {
    /// No such address.
    NotTranslater,
    /// The ITS is off.
    Disabled,
    /// The DeviceID has no translation table.
    NoDevice,
    /// The event lies past the table, or is not mapped.
    NoEvent,
    /// The collection goes nowhere.
    NoCollection,
}

/// What a command did to a redistributor, to be seen at SYNC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    Invalidate(Lpi),
    InvalidateAll,
    Forget(Lpi),
    MoveTo(Lpi, usize),
    ClearPending(Lpi),
}

/// One redistributor and the CPU behind it.
#[derive(Default)]
pub(super) struct Redistributor {
    pub(super) enabled: bool,
    pub(super) properties: u64,
    pub(super) pending_base: u64,
    cache: BTreeMap<Lpi, LpiProperty>,
    pending: BTreeSet<Lpi>,
    pub(super) effects: Vec<Effect>,
    /// Reads of GICR_SYNCR until it is idle; `None`: it is.
    pub(super) busy: Option<u32>,
    /// Acknowledged by the CPU, not yet dealt with.
    in_hand: Vec<Lpi>,
}

/// An ITS; clones are the same one.
#[derive(Clone)]
pub struct ItsModel(pub(super) Rc<RefCell<Its>>);

/// Its state.
pub(super) struct Its {
    pub(super) options: ItsOptions,
    pub(super) memory: Memory,
    pub(super) registers: Registers,
    pub(super) redistributors: Vec<Redistributor>,
    /// Collection → CPU: a copy of what is in memory, or HCC's.
    pub(super) collections: BTreeMap<u16, usize>,
    /// Devices that are mapped, with their tables.
    pub(super) tables: BTreeMap<DeviceId, (u64, u8)>,
    pub(super) mapped: BTreeMap<Lpi, (DeviceId, EventId)>,
    pub(super) last_owner: BTreeMap<Lpi, (DeviceId, EventId)>,
    dropped: BTreeMap<DeviceId, u64>,
    slips: u32,
    pub(super) commands: u64,
    /// So many commands will stall the queue, each once.
    pub(super) stalls: u32,
    /// The queue stands still.
    pub(super) hung: bool,
    pub(super) sleep: u32,
    violations: Vec<String>,
}

impl ItsModel {
    /// An ITS after reset.
    pub fn new(options: ItsOptions) -> Self {
        let redistributors = (0..options.cpus).map(|_| Redistributor::default()).collect();
        Self(Rc::new(RefCell::new(Its {
            options,
            memory: Memory::new(options.coherent),
            registers: Registers::new(&options),
            redistributors,
            collections: BTreeMap::new(),
            tables: BTreeMap::new(),
            mapped: BTreeMap::new(),
            last_owner: BTreeMap::new(),
            dropped: BTreeMap::new(),
            slips: 0,
            commands: 0,
            stalls: 0,
            hung: false,
            sleep: 0,
            violations: Vec::new(),
        })))
    }

    /// Memory that the GIC can reach.
    pub fn region(&self, bytes: usize, align: usize) -> ItsRegion {
        ItsRegion::new(self.0.clone(), bytes, align)
    }

    /// The control frame.
    pub fn registers(&self) -> ItsFrame {
        ItsFrame(self.0.clone())
    }

    /// A CPU's redistributor.
    pub fn redistributor(&self, cpu: usize) -> RedistributorFrame {
        RedistributorFrame { its: self.0.clone(), cpu }
    }

    /// Where devices see the control frame.
    pub fn control_frame(&self) -> u64 {
        CONTROL_FRAME
    }

    /// The CPUs' names. CPU n is processor n + 4, so that the two are never mixed up
    /// unnoticed.
    pub fn targets(&self) -> Vec<RedistributorTarget> {
        let cpus = self.0.borrow().options.cpus;
        (0..cpus).map(|cpu| target(cpu as usize)).collect()
    }

    /// A device writes `pair`.
    pub fn message(&self, device: DeviceId, pair: Pair) -> ItsOutcome {
        let mut its = self.0.borrow_mut();
        let outcome = its.translate(device, pair);
        match outcome {
            ItsOutcome::Pending { cpu, lpi } => its.set_pending(cpu, lpi),
            ItsOutcome::Dropped(_) => *its.dropped.entry(device).or_default() += 1,
        }
        outcome
    }

    /// The CPU acknowledges the lowest LPI that is pending and enabled.
    pub fn acknowledge(&self, cpu: usize) -> Option<Lpi> {
        let mut its = self.0.borrow_mut();
        let mut next = its.redistributors[cpu].pending.first().copied();
        while let Some(lpi) = next
            && !its.property(cpu, lpi).enabled
        {
            let above = (Bound::Excluded(lpi), Bound::Unbounded);
            next = its.redistributors[cpu].pending.range(above).next().copied();
        }
        let lpi = next?;
        its.redistributors[cpu].pending.remove(&lpi);
        its.redistributors[cpu].in_hand.push(lpi);
        Some(lpi)
    }

    /// The CPU has dealt with everything that it acknowledged: drained.
    pub fn complete(&self, cpu: usize) {
        self.0.borrow_mut().redistributors[cpu].in_hand.clear();
    }

    /// Whether a CPU still deals with this LPI.
    pub fn in_hand(&self, lpi: Lpi) -> bool {
        self.0.borrow().redistributors.iter().any(|cpu| cpu.in_hand.contains(&lpi))
    }

    /// Whether it is pending in some redistributor.
    pub fn is_pending(&self, lpi: Lpi) -> bool {
        self.0.borrow().redistributors.iter().any(|cpu| cpu.pending.contains(&lpi))
    }

    /// Whose event an LPI is mapped to.
    pub fn event_of(&self, lpi: Lpi) -> Option<(DeviceId, EventId)> {
        self.0.borrow().mapped.get(&lpi).copied()
    }

    /// How many writes of this device vanished.
    pub fn dropped(&self, device: DeviceId) -> u64 {
        self.0.borrow().dropped.get(&device).copied().unwrap_or(0)
    }

    /// How often a disabled LPI, pending, was moved to where it is still enabled. It may come
    /// through there: right only when the move was on its way before the LPI was disabled.
    pub fn slips(&self) -> u32 {
        self.0.borrow().slips
    }

    /// Commands executed since reset.
    pub fn commands(&self) -> u64 {
        self.0.borrow().commands
    }

    /// The queue stands still, or moves again.
    pub fn hang(&self, hung: bool) {
        let mut its = self.0.borrow_mut();
        its.hung = hung;
        its.run();
    }

    /// The next `count` attempts at a command stall the queue.
    pub fn stall(&self, count: u32) {
        self.0.borrow_mut().stalls = count;
    }

    /// Firmware leaves the ITS on, or LPIs enabled in every redistributor.
    pub fn leave_firmware_state(&self) {
        let mut its = self.0.borrow_mut();
        its.registers.control |= 1;
        its.redistributors.iter_mut().for_each(|cpu| cpu.enabled = true);
    }

    /// What the driver did that the specification does not allow.
    pub fn violations(&self) -> Vec<String> {
        self.0.borrow().violations.clone()
    }
}

pub(super) fn target(cpu: usize) -> RedistributorTarget {
    RedistributorTarget { processor: cpu as u16 + 4, frame: 0x080a_0000 + 0x2_0000 * cpu as u64 }
}

impl Its {
    pub(super) fn violation(&mut self, what: &str) {
        self.violations.push(String::from(what));
    }

    pub(super) fn check(&mut self, outcome: Result<(), Malformed>) {
        if let Err(error) = outcome {
            self.violation(error.field);
        }
    }

    /// §5.2: device, event, collection, in this order.
    fn translate(&mut self, device: DeviceId, pair: Pair) -> ItsOutcome {
        if pair.address != translater(CONTROL_FRAME) {
            return ItsOutcome::Dropped(ItsDrop::NotTranslater);
        }
        if !self.registers.enabled() {
            return ItsOutcome::Dropped(ItsDrop::Disabled);
        }
        let entry = self.device_entry(device).and_then(|at| self.memory.read(at));
        let Some((table, event_bits)) = entry.and_then(decode_device) else {
            return ItsOutcome::Dropped(ItsDrop::NoDevice);
        };
        if u64::from(pair.data) >= 1 << event_bits {
            return ItsOutcome::Dropped(ItsDrop::NoEvent);
        }
        let entry = self.memory.read(table + 8 * u64::from(pair.data));
        let Some((lpi, collection)) = entry.and_then(decode_event) else {
            return ItsOutcome::Dropped(ItsDrop::NoEvent);
        };
        match self.collections.get(&collection) {
            Some(&cpu) => ItsOutcome::Pending { cpu, lpi },
            None => ItsOutcome::Dropped(ItsDrop::NoCollection),
        }
    }

    /// Where a device's entry lies. `None` past the table and where a page is missing.
    pub(super) fn device_entry(&self, device: DeviceId) -> Option<u64> {
        let base = self.registers.table(TableKind::Devices)?;
        let number = u64::from(device.bits());
        if number >= 1 << self.options.device_bits {
            return None;
        }
        self.entry_address(base, number)
    }

    /// §5.2.1.
    pub(super) fn entry_address(&self, base: TableBase, number: u64) -> Option<u64> {
        let (entry, page) = (u64::from(base.entry_bytes), base.page.bytes() as u64);
        let bytes = u64::from(base.pages) * page;
        if !base.indirect {
            return (number < bytes / entry).then_some(base.address + number * entry);
        }
        let per_page = page / entry;
        let at = number / per_page * LevelOneEntry::SIZE as u64;
        if at >= bytes {
            return None;
        }
        let word = self.memory.read(base.address + at)?;
        let level_two = LevelOneEntry::decode(word, base.page).ok()?.page?;
        Some(level_two + number % per_page * entry)
    }

    pub(super) fn set_pending(&mut self, cpu: usize, lpi: Lpi) {
        self.property(cpu, lpi);
        self.redistributors[cpu].pending.insert(lpi);
    }

    /// Allowed: the CPU may take it before INV. To be avoided where nothing is late.
    fn check_move(&mut self, to: usize, lpi: Lpi) {
        let cached = self.property(to, lpi).enabled;
        if cached && !self.property_in_memory(to, lpi).enabled {
            self.slips += 1;
        }
    }

    fn property_in_memory(&mut self, cpu: usize, lpi: Lpi) -> LpiProperty {
        let base = PropertyBase::decode(self.redistributors[cpu].properties);
        let address = base.map_or(0, |base| base.address) + lpi.offset() as u64;
        let byte = self.memory.read(address).unwrap_or(0) >> (8 * (address % 8));
        LpiProperty::decode(byte as u8).unwrap_or_else(|error| {
            self.violation(error.field);
            LpiProperty { priority: Priority::LOWEST, enabled: false }
        })
    }

    /// The property as this redistributor has it, read when it has none.
    pub(super) fn property(&mut self, cpu: usize, lpi: Lpi) -> LpiProperty {
        if let Some(property) = self.redistributors[cpu].cache.get(&lpi) {
            return *property;
        }
        let property = self.property_in_memory(cpu, lpi);
        self.redistributors[cpu].cache.insert(lpi, property);
        property
    }

    /// SYNC: everything that waits for it takes effect.
    pub(super) fn synchronise(&mut self, cpu: usize) {
        for effect in core::mem::take(&mut self.redistributors[cpu].effects) {
            let redistributor = &mut self.redistributors[cpu];
            match effect {
                Effect::Invalidate(lpi) => {
                    redistributor.cache.remove(&lpi);
                    // And kept from here on.
                    self.property(cpu, lpi);
                }
                Effect::InvalidateAll => redistributor.cache.clear(),
                Effect::Forget(lpi) => {
                    redistributor.cache.remove(&lpi);
                    redistributor.pending.remove(&lpi);
                }
                Effect::ClearPending(lpi) => {
                    redistributor.pending.remove(&lpi);
                }
                Effect::MoveTo(lpi, to) => {
                    if redistributor.pending.remove(&lpi) {
                        self.set_pending(to, lpi);
                        self.check_move(to, lpi);
                    }
                }
            }
        }
    }

    /// Invariant 5, as hardware sees it.
    pub(super) fn check_reuse(&mut self, lpi: Lpi, owner: (DeviceId, EventId)) {
        let pending = self.redistributors.iter().any(|cpu| {
            let late = |effect: &Effect| matches!(effect, Effect::Forget(other) if *other == lpi);
            cpu.pending.contains(&lpi) || cpu.effects.iter().any(late)
        });
        if pending {
            self.violation("an LPI is mapped while it is pending");
        }
        let changed = self.last_owner.insert(lpi, owner).is_some_and(|former| former != owner);
        if changed && self.redistributors.iter().any(|cpu| cpu.in_hand.contains(&lpi)) {
            self.violation("an LPI has a new owner while a CPU deals with the former's");
        }
    }
}

/// A device entry in memory: 0 valid, 5:1 event bits - 1, 51:8 table. Its layout is the
/// implementation's affair (§5.2.1).
pub(super) const fn encode_device(table: u64, event_bits: u8) -> u64 {
    table | (event_bits as u64 - 1) << 1 | 1
}

fn decode_device(word: u64) -> Option<(u64, u8)> {
    (word & 1 == 1).then_some((word & !0xff, (word >> 1 & 31) as u8 + 1))
}

/// An event entry in memory: 0 valid, 31:8 LPI, 47:32 collection.
pub(super) const fn encode_event(lpi: Lpi, collection: u16) -> u64 {
    1 | (lpi.intid() as u64) << 8 | (collection as u64) << 32
}

pub(super) fn decode_event(word: u64) -> Option<(Lpi, u16)> {
    let lpi = Lpi::new((word >> 8) as u32 & 0xff_ffff)?;
    (word & 1 == 1).then_some((lpi, (word >> 32) as u16))
}
