//! The parts of a GIC, as entries of the MADT (ACPI §5.2.12.14 to §5.2.12.18).

use crate::{
    Error,
    bytes::{u8_at, u16_at, u32_at, u64_at},
};

/// Offset of the flags in the smallest CPU interface entry that has the MPIDR (ACPI 5.1: 76 bytes; 6.3: 80; 6.5: 82).
const CPU_INTERFACE_BYTES: usize = 76;

/// A CPU and its part of the GIC (§5.2.12.14, GICC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuInterface {
    /// Its processor uid in the ACPI name space.
    pub uid: u32,
    /// It can be used now.
    pub enabled: bool,
    /// Not enabled, but firmware may bring it later.
    pub online_capable: bool,
    /// Its registers in memory, 0 where they are system registers only.
    pub base: u64,
    /// Its redistributor, 0 where the redistributors are in a [`RedistributorRange`].
    pub redistributor: u64,
    /// Its affinity as `MPIDR_EL1` has it, all other bits zero.
    pub mpidr: u64,
    /// Its performance monitor's interrupt, 0 for none.
    pub performance_gsiv: u32,
}

/// The distributor (§5.2.12.15, GICD).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distributor {
    /// Its number.
    pub id: u32,
    /// Physical address of its registers.
    pub base: u64,
    /// Architecture version, 0 where firmware leaves it to the hardware's own id register.
    pub version: u8,
}

/// A frame that turns writes into SPIs on machines with a version 2 (§5.2.12.16, GIC MSI frame).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsiFrame {
    /// Its number.
    pub id: u32,
    /// Physical address of its registers.
    pub base: u64,
    /// First SPI and how many, where firmware overrides the frame's own register.
    pub spis: Option<(u16, u16)>,
}

/// Redistributors, one behind the other (§5.2.12.17, GICR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedistributorRange {
    /// Physical address of the first.
    pub base: u64,
    /// Bytes of all.
    pub length: u32,
}

/// An interrupt translation service (§5.2.12.18, ITS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TranslationService {
    /// Its number: what the IORT calls it.
    pub id: u32,
    /// Physical address of its registers.
    pub base: u64,
}

pub(crate) fn cpu_interface(bytes: &[u8]) -> Result<CpuInterface, Error> {
    let what = "MADT GICC entry";
    // Without the MPIDR, as in ACPI 5.0, nobody knows which CPU it is.
    if bytes.len() < CPU_INTERFACE_BYTES {
        let (needed, available) = (CPU_INTERFACE_BYTES, bytes.len());
        return Err(Error::Truncated { what, needed, available });
    }
    let flags = u32_at(bytes, 12, what)?;
    let enabled = flags & 1 != 0;
    let mpidr = u64_at(bytes, 68, what)?;
    if mpidr & !crate::arm::Affinity::MPIDR_MASK != 0 {
        return Err(Error::BadValue { what: "MADT GICC MPIDR", value: mpidr });
    }
    Ok(CpuInterface {
        uid: u32_at(bytes, 8, what)?,
        enabled,
        // Bit 3 (§5.2.12.14, GICC flags): reserved when enabled.
        online_capable: !enabled && flags & 8 != 0,
        base: u64_at(bytes, 32, what)?,
        redistributor: u64_at(bytes, 60, what)?,
        mpidr,
        performance_gsiv: u32_at(bytes, 20, what)?,
    })
}

pub(crate) fn distributor(bytes: &[u8]) -> Result<Distributor, Error> {
    let what = "MADT GICD entry";
    Ok(Distributor {
        id: u32_at(bytes, 4, what)?,
        base: u64_at(bytes, 8, what)?,
        version: u8_at(bytes, 20, what)?,
    })
}

pub(crate) fn msi_frame(bytes: &[u8]) -> Result<MsiFrame, Error> {
    let what = "MADT GIC MSI frame entry";
    let spis = (u16_at(bytes, 22, what)?, u16_at(bytes, 20, what)?);
    Ok(MsiFrame {
        id: u32_at(bytes, 4, what)?,
        base: u64_at(bytes, 8, what)?,
        // Bit 0 (§5.2.12.16, flags): the count and the base count, not the frame's register.
        spis: (u32_at(bytes, 16, what)? & 1 != 0).then_some(spis),
    })
}

pub(crate) fn redistributor_range(bytes: &[u8]) -> Result<RedistributorRange, Error> {
    let what = "MADT GICR entry";
    Ok(RedistributorRange { base: u64_at(bytes, 4, what)?, length: u32_at(bytes, 12, what)? })
}

pub(crate) fn translation_service(bytes: &[u8]) -> Result<TranslationService, Error> {
    let what = "MADT ITS entry";
    Ok(TranslationService { id: u32_at(bytes, 4, what)?, base: u64_at(bytes, 8, what)? })
}
