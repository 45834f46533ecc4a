//! The LPI side of a redistributor, §5.1 and §12.11: where properties and pending bits are.
//!
//! Whoever owns the redistributors' frames calls [`enable_lpis`], once for each CPU and
//! before [`super::ItsUnit::new`], because an LPI must not reach a redistributor that has no
//! tables yet.

use super::registers::offset;
use super::unit::ItsRegisters;
use super::{LpiTable, MemoryAttributes, PendingBase, PropertyBase, bits};
use crate::vtd::DmaRegion;

const ENABLE_LPIS: u32 = 1;
const CES: u32 = 1 << 1;
const RWP: u32 = 1 << 3;
const UWP: u32 = 1 << 31;
/// Status bits of GICR_CTLR, which are read only: CES, IR (2), RWP, UWP.
const STATUS: u32 = CES | 1 << 2 | RWP | UWP;

/// GICR_CTLR, §12.11.2: what concerns LPIs. The other bits are carried along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RedistributorControl(u32);

impl RedistributorControl {
    /// From the register. Every value is legal.
    pub const fn decode(value: u32) -> Self {
        Self(value)
    }

    /// EnableLPIs (0).
    pub const fn lpis_enabled(self) -> bool {
        self.0 & ENABLE_LPIS != 0
    }

    /// CES (1): EnableLPIs can be cleared again. Where it cannot, it is one until reset.
    pub const fn can_disable(self) -> bool {
        self.0 & CES != 0
    }

    /// RWP (3): the effect of clearing EnableLPIs is not yet seen everywhere.
    pub const fn write_pending(self) -> bool {
        self.0 & RWP != 0
    }

    /// UWP (31): an upstream write is pending.
    pub const fn upstream_pending(self) -> bool {
        self.0 & UWP != 0
    }

    /// The value to write so that only EnableLPIs changes.
    pub const fn with_lpis(self, enabled: bool) -> u32 {
        self.0 & !STATUS & !ENABLE_LPIS | enabled as u32
    }
}

/// GICR_TYPER, §12.11.35: what concerns LPIs and names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RedistributorType(u64);

impl RedistributorType {
    /// From the register. Every value is legal.
    pub const fn decode(value: u64) -> Self {
        Self(value)
    }

    /// PLPIS (0): physical LPIs.
    pub const fn lpis(self) -> bool {
        bits(self.0, 0, 1) == 1
    }

    /// DirectLPI (3): LPIs without an ITS.
    pub const fn direct_lpis(self) -> bool {
        bits(self.0, 3, 1) == 1
    }

    /// Last (4): the highest one of its region.
    pub const fn last(self) -> bool {
        bits(self.0, 4, 1) == 1
    }

    /// Processor_Number (23:8): its name in commands when GITS_TYPER.PTA is clear.
    pub const fn processor(self) -> u16 {
        bits(self.0, 8, 16) as u16
    }

    /// Affinity_Value (63:32): its CPU, as in MPIDR_EL1.
    pub const fn affinity(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// What a pending table needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PendingTableNeed {
    /// One bit for each INTID, from 0.
    pub bytes: usize,
    /// Alignment.
    pub align: usize,
}

impl PendingTableNeed {
    /// For INTIDs of `id_bits` bits, at most 32.
    pub const fn new(id_bits: u8) -> Self {
        Self { bytes: 1 << id_bits >> 3, align: 0x1_0000 }
    }
}

/// Why a redistributor has no LPIs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RedistributorError {
    /// GICR_TYPER.PLPIS is clear.
    NoLpis,
    /// Firmware enabled them with its own tables, and they cannot be disabled (CES clear).
    AlreadyEnabled,
    /// Too small, or not aligned to 64 KiB.
    BadPendingTable,
    /// GICR_PROPBASER did not take the address, or not so many INTIDs.
    PropertiesRefused,
    /// GICR_PENDBASER did not take the address.
    PendingRefused,
    /// EnableLPIs did not take effect.
    NotEnabled,
    /// RWP or UWP stayed set.
    Timeout,
}

/// A redistributor that takes LPIs. It holds the pending table for good.
#[must_use = "the pending table belongs to the redistributor from here on"]
pub struct LpisEnabled<M> {
    /// Its name for commands: see [`super::RedistributorTarget`].
    pub processor: u16,
    /// Its pending table.
    pub pending: M,
}

/// Gives a redistributor its tables and enables LPIs. Records in `properties` whether this
/// one snoops: one that does not makes all later writes be cleaned to memory.
pub fn enable_lpis<R: ItsRegisters, M: DmaRegion>(
    registers: &mut R,
    properties: &mut LpiTable<M>,
    mut pending: M,
    wait_budget: u32,
) -> Result<LpisEnabled<M>, RedistributorError> {
    let kind = RedistributorType::decode(registers.read64(offset::REDISTRIBUTOR_TYPE));
    if !kind.lpis() {
        return Err(RedistributorError::NoLpis);
    }
    let need = PendingTableNeed::new(properties.id_bits());
    let address = pending.bus_address();
    if pending.size_bytes() < need.bytes || address & !0xf_ffff_ffff_0000 != 0 {
        return Err(RedistributorError::BadPendingTable);
    }
    let control = control(registers);
    if control.lpis_enabled() {
        if !control.can_disable() {
            return Err(RedistributorError::AlreadyEnabled);
        }
        registers.write32(offset::REDISTRIBUTOR_CONTROL, control.with_lpis(false));
        wait_quiet(registers, wait_budget)?;
    }
    for at in (0..need.bytes).step_by(8) {
        pending.write64(at, 0);
        pending.write_back(at);
    }
    write_properties(registers, properties)?;
    write_pending(registers, address)?;
    let control = self::control(registers);
    registers.write32(offset::REDISTRIBUTOR_CONTROL, control.with_lpis(true));
    if !self::control(registers).lpis_enabled() {
        return Err(RedistributorError::NotEnabled);
    }
    Ok(LpisEnabled { processor: kind.processor(), pending })
}

fn control(registers: &mut impl ItsRegisters) -> RedistributorControl {
    RedistributorControl::decode(registers.read32(offset::REDISTRIBUTOR_CONTROL))
}

/// §12.11.2: after EnableLPIs is cleared, the tables may be changed once RWP reads zero.
fn wait_quiet(registers: &mut impl ItsRegisters, budget: u32) -> Result<(), RedistributorError> {
    for _ in 0..budget {
        let control = control(registers);
        if !control.write_pending() && !control.upstream_pending() {
            return Ok(());
        }
    }
    Err(RedistributorError::Timeout)
}

fn write_properties<M: DmaRegion>(
    registers: &mut impl ItsRegisters,
    properties: &mut LpiTable<M>,
) -> Result<(), RedistributorError> {
    let (address, id_bits) = (properties.address(), properties.id_bits());
    let mut attributes = MemoryAttributes::SHARED;
    for _ in 0..2 {
        let wanted = PropertyBase { attributes, address, id_bits };
        registers.write64(offset::PROPERTY_BASE, wanted.encode());
        match PropertyBase::decode(registers.read64(offset::PROPERTY_BASE)) {
            Ok(taken) if taken.address == address && taken.id_bits == id_bits => {
                if taken.attributes.coherent() {
                    return Ok(());
                }
                properties.coherent = false;
                if attributes == MemoryAttributes::UNCACHED {
                    return Ok(());
                }
                attributes = MemoryAttributes::UNCACHED;
            }
            _ => break,
        }
    }
    Err(RedistributorError::PropertiesRefused)
}

fn write_pending(
    registers: &mut impl ItsRegisters,
    address: u64,
) -> Result<(), RedistributorError> {
    for attributes in [MemoryAttributes::SHARED, MemoryAttributes::UNCACHED] {
        let wanted = PendingBase { zeroed: true, attributes, address };
        registers.write64(offset::PENDING_BASE, wanted.encode());
        let taken = PendingBase::decode(registers.read64(offset::PENDING_BASE));
        let taken = taken.map_err(|_| RedistributorError::PendingRefused)?;
        if taken.address != address {
            return Err(RedistributorError::PendingRefused);
        }
        if taken.attributes.coherent() {
            break;
        }
    }
    Ok(())
}
