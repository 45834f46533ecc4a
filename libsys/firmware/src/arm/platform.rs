//! The machine.

use core::fmt;

use heapless::Vec;

use super::{
    Error, Fault, MAX_CPUS, MAX_ITS, MAX_MBI_RANGES, MAX_NOTES, MAX_REDISTRIBUTORS, Part,
    VIRTUAL_TIMER,
};

/// A range of physical addresses. It is not empty and does not wrap around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// Which CPU: Aff3.Aff2.Aff1.Aff0, one byte each, the highest first. The redistributor's `GICR_TYPER[63:32]` has it so
/// (GIC 12.11, GICR_TYPER).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Affinity(u32);

impl Affinity {
    /// Bits of `MPIDR_EL1` that are affinity: Aff3 39:32, Aff2 to Aff0 23:0 (DDI 0487, MPIDR_EL1).
    pub const MPIDR_MASK: u64 = 0xff_00ff_ffff;

    /// From the form of `GICR_TYPER[63:32]`.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// From `MPIDR_EL1`, whose other bits are ignored.
    pub const fn from_mpidr(mpidr: u64) -> Self {
        Self((mpidr >> 8 & 0xff00_0000 | mpidr & 0xff_ffff) as u32)
    }

    /// As `GICR_TYPER[63:32]` has it.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// As `MPIDR_EL1` has it, the other bits zero: the target of PSCI's `CPU_ON` (PSCI, CPU_ON).
    pub const fn mpidr(self) -> u64 {
        (self.0 as u64 & 0xff00_0000) << 8 | self.0 as u64 & 0xff_ffff
    }
}

impl fmt::Display for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [aff3, aff2, aff1, aff0] = self.0.to_be_bytes();
        write!(f, "{aff3}.{aff2}.{aff1}.{aff0}")
    }
}

/// A CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Which one it is.
    pub affinity: Affinity,
    /// It can be started. One that is not enabled is kept so that its redistributor is not taken for somebody else's.
    pub enabled: bool,
    /// Its redistributor, where firmware names one for each CPU (MADT GICC); otherwise it is found by walking
    /// [`Gic::redistributors`].
    pub redistributor: Option<u64>,
}

/// How to reach the firmware that implements PSCI (PSCI, conduits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// `smc #0`.
    Smc,
    /// `hvc #0`.
    Hvc,
}

/// A range of redistributors, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redistributors {
    /// Where they are.
    pub range: Range,
    /// Bytes from one to the next where firmware says so (`redistributor-stride`); otherwise it follows from
    /// `GICR_TYPER.VLPIS`: two or four frames of 64 KiB (GIC 12.10).
    pub stride: Option<u64>,
}

/// What firmware calls an ITS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItsName {
    /// Its phandle, if anything refers to it.
    Phandle(Option<u32>),
    /// Its GIC ITS ID (ACPI §5.2.12.18).
    Id(u32),
}

/// An interrupt translation service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Its {
    /// Its control frame, its translation frame and maybe more: at least 128 KiB (GIC 12.18).
    pub range: Range,
    /// Its name.
    pub name: ItsName,
}

/// SPIs that a write to the distributor raises, as the GIC's binding lets firmware offer them. ACPI has no words for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mbi {
    /// First INTID and how many, of each range (`mbi-ranges`).
    pub ranges: Vec<(u32, u32), MAX_MBI_RANGES>,
    /// Where to write instead of the distributor's own page (`mbi-alias`).
    pub alias: Option<u64>,
    /// The GIC itself, and not only an ITS, takes messages (`msi-controller` at its node).
    pub msi_controller: bool,
}

/// How a GIC itself takes messages of devices: what firmware says, which hardware may contradict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectMessages {
    /// The distributor takes them, as SPIs ([`Mbi`]).
    Spis,
    /// The redistributors take them, as LPIs.
    Lpis,
}

/// The interrupt controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gic {
    /// Its architecture version: 3 (also for a version 4) or 2.
    pub version: u8,
    /// The distributor.
    pub distributor: Range,
    /// The redistributors. Empty for version 2, and where every CPU has its own ([`Cpu::redistributor`]).
    pub redistributors: Vec<Redistributors, MAX_REDISTRIBUTORS>,
    /// The interrupt translation services. Their places here are the numbers that [`crate::pci_host`] uses.
    pub its: Vec<Its, MAX_ITS>,
    /// What firmware says about messages without an ITS.
    pub mbi: Mbi,
    /// The redistributors take messages without an ITS (`tocsin,direct-lpi`: the GIC's binding has no
    /// property for it, see [`Gic::direct_messages`]).
    pub direct_lpis: bool,
}

impl Gic {
    /// How the GIC itself takes messages, if firmware says that it does. It is never guessed: that there is no ITS
    /// says nothing. The GIC's node is an `msi-controller`, and then one property tells which of the two it is:
    /// `tocsin,direct-lpi` (empty) for LPIs at the redistributors, else `mbi-ranges` for SPIs at the distributor.
    pub fn direct_messages(&self) -> Option<DirectMessages> {
        if !self.mbi.msi_controller {
            None
        } else if self.direct_lpis {
            Some(DirectMessages::Lpis)
        } else if !self.mbi.ranges.is_empty() {
            Some(DirectMessages::Spis)
        } else {
            None
        }
    }
}

/// What a console is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleKind {
    /// Arm's PL011.
    Pl011,
    /// The part of a PL011 that BSA demands (BSA appendix B): no registers for line speed, everything set up.
    Sbsa,
}

/// The serial port that firmware names for a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Console {
    /// What it is.
    pub kind: ConsoleKind,
    /// Its registers.
    pub range: Range,
    /// Its interrupt, if firmware says it and it is the GIC's.
    pub interrupt: Option<u32>,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// The interrupt controller.
    pub gic: Gic,
    /// The CPUs, the first [`MAX_CPUS`] of them.
    pub cpus: Vec<Cpu, MAX_CPUS>,
    /// How many firmware describes, also those that are not kept.
    pub cpu_count: usize,
    /// How to reach PSCI, where there is one.
    pub conduit: Option<Conduit>,
    /// INTID of the virtual timer.
    pub virtual_timer: u32,
    /// The console.
    pub console: Option<Console>,
    /// What was left out, and why.
    pub notes: Vec<Error, MAX_NOTES>,
}

impl Platform {
    /// With a distributor and nothing else yet.
    pub(super) fn new(version: u8, distributor: Range) -> Self {
        let gic = Gic {
            version,
            distributor,
            redistributors: Vec::new(),
            its: Vec::new(),
            mbi: Mbi::default(),
            direct_lpis: false,
        };
        Self {
            gic,
            cpus: Vec::new(),
            cpu_count: 0,
            conduit: None,
            virtual_timer: VIRTUAL_TIMER,
            console: None,
            notes: Vec::new(),
        }
    }

    pub(super) fn note(&mut self, part: Part, fault: Fault) {
        // A machine with more mistakes than notes has shown enough of them.
        let _ = self.notes.push(fault.of(part));
    }

    pub(super) fn add_cpu(&mut self, cpu: Cpu) {
        self.cpu_count += 1;
        // The count says that there are more. One that can run is worth more than one that can not.
        if let Err(cpu) = self.cpus.push(cpu)
            && cpu.enabled
            && let Some(idle) = self.cpus.iter_mut().rev().find(|cpu| !cpu.enabled)
        {
            *idle = cpu;
        }
    }

    pub(super) fn add_its(&mut self, its: Its) {
        if self.gic.its.push(its).is_err() {
            self.note(Part::Its, Fault::TooMany { kept: MAX_ITS });
        }
    }

    pub(super) fn add_redistributors(&mut self, redistributors: Redistributors) {
        if self.gic.redistributors.push(redistributors).is_err() {
            self.note(Part::Redistributor, Fault::TooMany { kept: MAX_REDISTRIBUTORS });
        }
    }

    /// Refuses what nothing can run on.
    pub(super) fn complete(self) -> Result<Self, Error> {
        let missing = |part| Err(Fault::Missing.of(part));
        if !self.cpus.iter().any(|cpu| cpu.enabled) {
            return missing(Part::Cpu);
        }
        let each_has = |cpu: &Cpu| !cpu.enabled || cpu.redistributor.is_some();
        if self.gic.version > 2
            && self.gic.redistributors.is_empty()
            && !self.cpus.iter().all(each_has)
        {
            return missing(Part::Redistributor);
        }
        Ok(self)
    }
}
