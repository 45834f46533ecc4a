//! Between the protocol's words and the core's types.

use interrupt_core::parent::Refusal;
use interrupt_core::{
    AllocRequest, Contiguity, CpuEvent, CpuSet, Domain, EntryName, Error, HardwareError, Kind,
};
use tocsin_proto::interrupt::{self, Activated, DomainRow, Information, RemapperKind};
use tocsin_proto::{ErrorCode, StoreKind};

/// The core's error as the protocol's.
pub fn error(error: Error<tocsin_abi::Error>) -> interrupt::Error {
    use tocsin_abi::Error as Kernel;
    match error {
        Error::NoVectors => interrupt::Error::NoVectors,
        Error::NoEntries => interrupt::Error::NoEntries,
        Error::NoContiguous => interrupt::Error::NoContiguous,
        Error::QuotaExceeded => interrupt::Error::QuotaExceeded,
        Error::NoMessages | Error::NoMemory => interrupt::Error::NoMemory,
        Error::NotSupported => interrupt::Error::NotSupported,
        Error::NotYours => interrupt::Error::NotYours,
        Error::BadId => interrupt::Error::BadId,
        Error::BadState => interrupt::Error::BadState,
        Error::BadArgument => interrupt::Error::BadArgument,
        Error::Kernel(Kernel::NoMemory | Kernel::NoHandles) => interrupt::Error::NoMemory,
        // The kernel still drains a vector that the core believes to be free.
        Error::Kernel(Kernel::VectorInUse) => interrupt::Error::NoVectors,
        Error::Kernel(_) => interrupt::Error::BadState,
        Error::Parent(refusal) | Error::Hardware(HardwareError::Parent(refusal)) => above(refusal),
        Error::Hardware(_) => interrupt::Error::Hardware,
    }
}

/// What the server above answered, which is what its client hears too. To be without that
/// server is to be without a remapper.
pub fn above(refusal: Refusal) -> interrupt::Error {
    match refusal {
        Refusal::Gone => interrupt::Error::BadId,
        Refusal::Code(code) => {
            interrupt::Error::from_code(code).unwrap_or(interrupt::Error::Hardware)
        }
    }
}

/// Where the pairs will be kept.
pub fn kind(kind: StoreKind) -> Kind {
    match kind {
        StoreKind::PciMsi => Kind::PciMsi,
        StoreKind::MsiX => Kind::Msix,
        StoreKind::DeviceArray => Kind::DeviceArray,
        StoreKind::QueueMemory => Kind::QueueMemory,
        StoreKind::Registers => Kind::Registers,
        StoreKind::Wire => Kind::Wire,
    }
}

/// What is to be reserved. A line's message is nobody's to ask for: it comes with the line.
pub fn alloc(alloc: &interrupt::Alloc) -> Result<AllocRequest, interrupt::Error> {
    if alloc.kind == StoreKind::Wire {
        return Err(interrupt::Error::BadArgument);
    }
    let contiguity = match alloc.contiguity {
        interrupt::Contiguity::Any => Contiguity::Single,
        interrupt::Contiguity::Consecutive => Contiguity::Contiguous,
    };
    Ok(AllocRequest { kind: kind(alloc.kind), contiguity, cpus: cpus(alloc.cpus) })
}

/// A mask of CPUs.
pub fn cpus(mask: u64) -> CpuSet {
    CpuSet::from_bits(mask)
}

/// Where a message's events go.
pub fn activated(event: CpuEvent, entry: Option<EntryName>) -> Activated {
    Activated {
        vector: event.vector.bits(),
        // At most 8 CPUs.
        cpu: event.cpu.index() as u8,
        entry: entry.map(|entry| entry.number),
    }
}

/// The same, for rows.
pub fn store_kind(kind: Kind) -> StoreKind {
    match kind {
        Kind::PciMsi => StoreKind::PciMsi,
        Kind::Msix => StoreKind::MsiX,
        Kind::DeviceArray => StoreKind::DeviceArray,
        Kind::QueueMemory => StoreKind::QueueMemory,
        Kind::Registers => StoreKind::Registers,
        Kind::Wire => StoreKind::Wire,
    }
}

/// The sums of the domain tree.
pub fn information(domains: impl Iterator<Item = Domain>, remapper: RemapperKind) -> Information {
    let none = DomainRow { total: 0, free: 0 };
    let mut all = Information { remapper, isolated: false, entries: none, vectors: none };
    for domain in domains {
        match domain {
            Domain::Vectors(space) => {
                all.vectors.total += u32::from(space.count.total);
                all.vectors.free += u32::from(space.count.free);
            }
            Domain::Remapper { isolated, entries, used, .. } => {
                all.isolated = isolated;
                all.entries = DomainRow { total: entries, free: entries.saturating_sub(used) };
            }
            // Clients and messages come after the sums.
            Domain::Client { .. } | Domain::Message(_) => break,
        }
    }
    all
}
