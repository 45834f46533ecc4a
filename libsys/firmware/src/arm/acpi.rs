//! The machine from ACPI tables.
//!
//! The kernel has no memory for copies when it asks, so the tables are read where they lie, piece by piece.

use super::{
    Affinity, Cpu, Error, Fault, Its, ItsName, Part, Platform, Range, Redistributors, console,
};
use crate::gic::TranslationService;
use crate::madt::{self, Entry};
use crate::walk::{self, checksum_in_place};
use crate::{
    Error as AcpiError, Fadt, Gtdt, PhysReader, Root, Signature, Spcr, TableLocation, fadt, gtdt,
    spcr,
};

/// Bytes of a distributor (GIC 12.8), which the MADT does not say.
const DISTRIBUTOR_BYTES: u64 = 0x1_0000;
/// Bytes of an ITS's control and translation frames (GIC 12.18).
const ITS_BYTES: u64 = 0x2_0000;

impl Platform {
    /// Follows the root table. MADT must be there; FADT, GTDT and SPCR may be missing.
    pub fn from_acpi(reader: &impl PhysReader, root: &Root) -> Result<Self, Error> {
        let madt = root
            .find(reader, Signature::MADT, 0)
            .map_err(|error| Fault::Table(error).of(Part::Gic))?;
        let mut platform = from_madt(reader, &madt)?;
        if let Some(fadt) =
            platform.table(root.find(reader, Signature::FADT, 0), Part::Psci, |location| {
                Fadt::decode(prefix::<{ fadt::PREFIX }>(reader, location)?.bytes())
            })
        {
            platform.conduit = fadt.conduit;
        }
        if let Some(gtdt) =
            platform.table(root.find(reader, Signature::GTDT, 0), Part::Timer, |location| {
                Gtdt::decode(prefix::<{ gtdt::PREFIX }>(reader, location)?.bytes())
            })
        {
            match gtdt.virtual_timer.gsiv {
                // It is private to each CPU (GIC 2.2).
                intid @ 16..=31 => platform.virtual_timer = intid,
                other => {
                    let what = "the virtual timer's INTID";
                    platform.note(Part::Timer, Fault::BadValue { what, value: other.into() });
                }
            }
        }
        if let Some(spcr) =
            platform.table(root.find(reader, Signature::SPCR, 0), Part::Console, |location| {
                Spcr::decode(prefix::<{ spcr::PREFIX }>(reader, location)?.bytes())
            })
        {
            match console::of_spcr(&spcr) {
                Some(Ok(console)) => platform.console = Some(console),
                Some(Err(fault)) => platform.note(Part::Console, fault),
                None => {}
            }
        }
        platform.complete()
    }

    /// Reads a table that may be missing. A broken one is noted.
    fn table<T>(
        &mut self,
        found: Result<TableLocation, AcpiError>,
        part: Part,
        decode: impl FnOnce(&TableLocation) -> Result<T, AcpiError>,
    ) -> Option<T> {
        let decoded = match found {
            Err(AcpiError::NotFound { .. }) => return None,
            found => found.and_then(|location| decode(&location)),
        };
        decoded.map_err(|error| self.note(part, Fault::Table(error))).ok()
    }

    fn add_entry(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        match *entry {
            Entry::CpuInterface(cpu) => {
                let redistributor = (cpu.redistributor != 0).then_some(cpu.redistributor);
                let affinity = Affinity::from_mpidr(cpu.mpidr);
                self.add_cpu(Cpu { affinity, enabled: cpu.enabled, redistributor });
            }
            Entry::RedistributorRange(found) => {
                let range = range(found.base, found.length.into())
                    .map_err(|fault| fault.of(Part::Redistributor))?;
                self.add_redistributors(Redistributors { range, stride: None });
            }
            Entry::TranslationService(its) => match its_range(&its) {
                Ok(range) => self.add_its(Its { range, name: ItsName::Id(its.id) }),
                Err(fault) => self.note(Part::Its, fault),
            },
            _ => {}
        }
        Ok(())
    }
}

/// The first bytes of a table.
struct Prefix<const N: usize>([u8; N], usize);

impl<const N: usize> Prefix<N> {
    fn bytes(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

fn prefix<const N: usize>(
    reader: &impl PhysReader,
    table: &TableLocation,
) -> Result<Prefix<N>, AcpiError> {
    table.prefix(reader).map(|(bytes, there)| Prefix(bytes, there))
}

/// A range as tables give it.
const fn range(base: u64, size: u64) -> Result<Range, Fault> {
    if base == 0 || size == 0 || base.checked_add(size).is_none() {
        return Err(Fault::BadValue { what: "the address", value: base });
    }
    Ok(Range { base, size })
}

fn its_range(its: &TranslationService) -> Result<Range, Fault> {
    range(its.base, ITS_BYTES)
}

/// The GIC ITS IDs of a MADT's entries, in the order of [`super::Gic::its`].
pub(crate) fn its_of<'a>(
    entries: impl Iterator<Item = Result<Entry<'a>, AcpiError>>,
) -> impl Iterator<Item = u32> {
    entries.filter_map(|entry| match entry {
        Ok(Entry::TranslationService(its)) if its_range(&its).is_ok() => Some(its.id),
        _ => None,
    })
}

fn from_madt(reader: &impl PhysReader, madt: &TableLocation) -> Result<Platform, Error> {
    let broken = |error| Fault::Table(error).of(Part::Gic);
    checksum_in_place(reader, madt).map_err(broken)?;
    // The distributor need not come first.
    let mut distributor = None;
    each_entry(reader, madt, |entry| {
        if let Entry::Distributor(found) = *entry {
            distributor = distributor.or(Some(found));
        }
        Ok(())
    })?;
    let found = distributor.ok_or(Fault::Missing.of(Part::Gic))?;
    let registers = range(found.base, DISTRIBUTOR_BYTES).map_err(|fault| fault.of(Part::Gic))?;
    let mut platform = Platform::new(found.version, registers);
    each_entry(reader, madt, |entry| platform.add_entry(entry))?;
    platform.gic.version = match found.version {
        // "Fall back to hardware discovery" (ACPI §5.2.12.15): only versions from 3 on have redistributors.
        0 => {
            let has_own = platform.cpus.iter().any(|cpu| cpu.redistributor.is_some());
            if has_own || !platform.gic.redistributors.is_empty() { 3 } else { 2 }
        }
        version @ 1..=2 => version,
        3..=4 => 3,
        value => {
            let what = "the GIC's version";
            return Err(Fault::BadValue { what, value: value.into() }.of(Part::Gic));
        }
    };
    Ok(platform)
}

/// Calls `f` with each entry of the MADT.
fn each_entry(
    reader: &impl PhysReader,
    madt: &TableLocation,
    mut f: impl FnMut(&Entry<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let broken = |error| Fault::Table(error).of(Part::Gic);
    let what = "MADT entry";
    let mut at = madt::ENTRIES;
    while at < madt.length {
        // In range: `TableLocation` has a length whose end exists.
        let address = madt.address + at as u64;
        let [_, length] = walk::read_array(reader, address).map_err(broken)?;
        let length = usize::from(length);
        let available = madt.length - at;
        if length < 2 {
            return Err(broken(AcpiError::BadLength { what, length: length as u64 }));
        }
        if length > available {
            return Err(broken(AcpiError::Truncated { what, needed: length, available }));
        }
        let mut bytes = [0; u8::MAX as usize];
        let bytes = &mut bytes[..length];
        walk::read(reader, address, bytes).map_err(broken)?;
        f(&madt::decode(bytes).map_err(broken)?)?;
        at += length;
    }
    Ok(())
}
