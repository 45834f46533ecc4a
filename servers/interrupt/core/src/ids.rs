//! Hardware numbers as types, so that a vector is never passed where a CPU is meant.

use crate::gicd::Spi;
use crate::its::Lpi;
use core::fmt;

/// PCI requester id: bus (15:8), device (7:3), function (2:0). PCI Express Base §2.2.6.2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequesterId(u16);

impl RequesterId {
    /// From the 16 bits that travel with a request.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// From bus, device (0..32) and function (0..8). `None` when one is out of range.
    pub const fn new(bus: u8, device: u8, function: u8) -> Option<Self> {
        if device > 31 || function > 7 {
            return None;
        }
        Some(Self((bus as u16) << 8 | (device as u16) << 3 | function as u16))
    }

    /// The 16 bits that travel with a request.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Bus number.
    pub const fn bus(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Device number, 0..32.
    pub const fn device(self) -> u8 {
        (self.0 >> 3) as u8 & 31
    }

    /// Function number, 0..8.
    pub const fn function(self) -> u8 {
        self.0 as u8 & 7
    }
}

impl fmt::Display for RequesterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bus, device, function) = (self.bus(), self.device(), self.function());
        write!(f, "{bus:02x}:{device:02x}.{function}")
    }
}

/// Who holds messages: the driver of a PCI device, or a server with a device of the platform's
/// own (a serial port, a timer), which has no requester id of its own.
///
/// It is what a caller's badge says (`tocsin_proto::badge`), so nobody can claim to be another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(u32);

impl ClientId {
    const PLATFORM: u32 = 1 << 16;
    const LINE_CHIP: u32 = 1 << 17;

    /// The driver of the device with this requester id.
    pub const fn device(id: RequesterId) -> Self {
        Self(id.0 as u32)
    }

    /// The server with this number, which drives a device of the platform's own.
    pub const fn platform(number: u16) -> Self {
        Self(Self::PLATFORM | number as u32)
    }

    /// A chip that sends messages for lines, by the ids that these arrive with. No badge and no
    /// request names such a client: it is the server's own.
    pub const fn line_chip(source: Source) -> Self {
        let id = match source {
            Source::Buses { first, .. } => RequesterId((first as u16) << 8),
            Source::Function(id) | Source::Device(id) | Source::Pins(id) => id,
        };
        Self(Self::LINE_CHIP | id.0 as u32)
    }

    /// From the number in a badge or a request: a requester id, or bit 16 and a platform
    /// client's number. `None` for all else.
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits >> 17 == 0 { Some(Self(bits)) } else { None }
    }

    /// The number, as in [`ClientId::from_bits`].
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The requester id of a device's driver; a platform client has none.
    pub const fn requester(self) -> Option<RequesterId> {
        if self.0 >> 16 == 0 { Some(RequesterId(self.0 as u16)) } else { None }
    }
}

impl From<RequesterId> for ClientId {
    fn from(id: RequesterId) -> Self {
        Self::device(id)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.requester() {
            Some(id) => id.fmt(f),
            None if self.0 & Self::LINE_CHIP != 0 => {
                write!(f, "IOAPIC {}", RequesterId(self.0 as u16))
            }
            None => write!(f, "platform client {}", self.0 & 0xffff),
        }
    }
}

/// An x86 interrupt vector that is not an exception's: 32..=255 (Intel SDM 3A §6.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Vector(u8);

impl Vector {
    /// `None` below 32: those belong to the processor's exceptions.
    pub const fn new(number: u8) -> Option<Self> {
        if number < 32 { None } else { Some(Self(number)) }
    }

    /// The vector number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// The vectors that devices may use on each CPU, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VectorRange {
    first: Vector,
    last: Vector,
}

impl VectorRange {
    /// `None` when the range is empty.
    pub const fn new(first: Vector, last: Vector) -> Option<Self> {
        if first.0 > last.0 {
            return None;
        }
        Some(Self { first, last })
    }

    /// The lowest vector.
    pub const fn first(self) -> Vector {
        self.first
    }

    /// The highest vector.
    pub const fn last(self) -> Vector {
        self.last
    }

    /// How many vectors: at least 1, at most 224.
    pub const fn count(self) -> u16 {
        self.last.0 as u16 - self.first.0 as u16 + 1
    }

    /// Whether the vector lies inside.
    pub const fn contains(self, vector: Vector) -> bool {
        self.first.0 <= vector.0 && vector.0 <= self.last.0
    }
}

/// A local APIC's id as interrupt messages name it: 8 bits in xAPIC, 32 in x2APIC mode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ApicId(u32);

impl ApicId {
    /// From the number in the MADT.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The number.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// The kernel's number of a CPU, dense from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CpuIndex(u8);

impl CpuIndex {
    /// `None` from 64 on: a [`CpuSet`] is one word.
    pub const fn new(index: u8) -> Option<Self> {
        if index < 64 { Some(Self(index)) } else { None }
    }

    /// As an array index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A set of CPUs, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CpuSet(u64);

impl CpuSet {
    /// Every CPU that exists or might.
    pub const ALL: Self = Self(u64::MAX);

    /// From a bit mask: bit n is CPU n.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Only this CPU.
    pub const fn one(cpu: CpuIndex) -> Self {
        Self(1 << cpu.0)
    }

    /// The first `count` CPUs.
    pub const fn first(count: u8) -> Self {
        if count >= 64 { Self::ALL } else { Self((1 << count) - 1) }
    }

    /// The bit mask.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// What both sets hold.
    pub const fn intersect(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether no CPU is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the CPU is in it.
    pub const fn contains(self, cpu: CpuIndex) -> bool {
        self.0 >> cpu.0 & 1 == 1
    }

    /// The CPUs, lowest first.
    pub fn iter(self) -> impl Iterator<Item = CpuIndex> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            if rest == 0 {
                return None;
            }
            let lowest = rest.trailing_zeros() as u8;
            rest &= rest - 1;
            Some(CpuIndex(lowest))
        })
    }
}

/// Index into the remapper's table: the *handle* of a remappable request (VT-d §5.1.2.1).
/// 16 bits, because the largest table has 65,536 entries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryIndex(u16);

impl EntryIndex {
    /// From the number.
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// The number as it stands in an address or a descriptor.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// As an array index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The entry `offset` further on. `None` past the largest table's end.
    pub const fn plus(self, offset: u16) -> Option<Self> {
        match self.0.checked_add(offset) {
            Some(index) => Some(Self(index)),
            None => None,
        }
    }
}

/// What a device writes and where: one interrupt message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Pair {
    /// The bus address to write to.
    pub address: u64,
    /// The 32 bits to write.
    pub data: u32,
}

/// The number of a CPU event as the kernel has it: a vector on x86, an INTID on aarch64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EventNumber(u16);

impl EventNumber {
    /// An INTID that a line has: an SPI's or a PPI's.
    pub const fn of_line(intid: u16) -> Self {
        Self(intid)
    }

    /// As another server has said it.
    pub const fn of_parent(number: u16) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn bits(self) -> u16 {
        self.0
    }
}

impl From<Vector> for EventNumber {
    #[inline]
    fn from(vector: Vector) -> Self {
        Self(vector.0.into())
    }
}

impl From<Spi> for EventNumber {
    #[inline]
    fn from(spi: Spi) -> Self {
        Self(spi.intid() as u16)
    }
}

impl From<Lpi> for EventNumber {
    /// The server manages no LPI above 65,535: its kernel has no place for it.
    #[inline]
    fn from(lpi: Lpi) -> Self {
        debug_assert!(lpi.intid() <= u32::from(u16::MAX), "an LPI of 16 bits");
        Self(lpi.intid() as u16)
    }
}

/// A CPU event: what raises a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CpuEvent {
    /// The kernel's number of the CPU.
    pub cpu: CpuIndex,
    /// Which event there.
    pub vector: EventNumber,
}

/// One vector on one CPU, with the CPU's name in both worlds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Target {
    /// The kernel's number of the CPU.
    pub cpu: CpuIndex,
    /// The same CPU as the interrupt fabric names it.
    pub apic: ApicId,
    /// The vector there.
    pub vector: Vector,
}

/// Whose writes an entry accepts: what the remapper compares with the request's source id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// Exactly this function.
    Function(RequesterId),
    /// An IOAPIC with this id, for its pins.
    Pins(RequesterId),
    /// Any function of this device (phantom functions, or a bridge that uses several).
    Device(RequesterId),
    /// Anything on these buses, both included: devices behind a PCI Express to PCI bridge,
    /// which lose their own id (VT-d §3.10.1).
    Buses {
        /// Lowest bus number.
        first: u8,
        /// Highest bus number.
        last: u8,
    },
}

impl Source {
    /// Whether a write from `id` passes: the reference that the models check hardware by.
    pub const fn accepts(self, id: RequesterId) -> bool {
        match self {
            Source::Function(own) | Source::Pins(own) => own.bits() == id.bits(),
            Source::Device(own) => own.bits() & !7 == id.bits() & !7,
            Source::Buses { first, last } => first <= id.bus() && id.bus() <= last,
        }
    }
}
