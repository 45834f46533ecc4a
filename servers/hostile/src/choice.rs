//! Arguments: mostly almost right, since a call that fails its first check tests little.

use libsys::sys;
use tocsin_abi::limits::{PAGE_BYTES, USER_END, USER_START};
use tocsin_abi::syscall::SyscallInfo;
use tocsin_abi::{Handle, Kind, Tag};

use crate::objects::Objects;
use crate::random::Random;

/// Addresses that somebody might believe.
const ADDRESSES: &[u64] = &[
    0,
    1,
    8,
    USER_START - PAGE_BYTES,
    USER_START,
    0x20_0000,
    0x40_0000,
    0x7f_0000_0000,
    USER_END - PAGE_BYTES,
    USER_END - 8,
    USER_END,
    0x7fff_ffff_ffff,
    0x8000_0000_0000,
    0xffff_7fff_ffff_ffff,
    0xffff_8000_0000_0000,
    0xffff_8000_0010_0000,
    0xffff_ffff_8000_0000,
    0xffff_ffff_8010_0000,
    0xffff_ffff_ffff_f000,
    u64::MAX - 7,
    u64::MAX,
];

/// Sizes and counts at the edges of things.
const SIZES: &[u64] = &[
    0,
    1,
    2,
    4,
    8,
    63,
    64,
    65,
    255,
    256,
    257,
    4095,
    4096,
    4097,
    8192,
    0x8000,
    0x1_0000,
    64 << 20,
    (64 << 20) + 1,
    1 << 31,
    1 << 32,
    1 << 47,
    1 << 63,
    u64::MAX - 4095,
    u64::MAX,
];

/// Chooses arguments for a call.
pub struct Chooser<'a> {
    /// Where the numbers come from.
    pub random: &'a mut Random,
    /// What there is.
    pub objects: &'a Objects,
}

impl Chooser<'_> {
    /// Six registers for a call of the table.
    pub fn arguments(&mut self, call: &SyscallInfo) -> [u64; 6] {
        let mut registers: [u64; 6] = core::array::from_fn(|_| self.random.next());
        for (register, (name, kind)) in registers.iter_mut().zip(call.arguments) {
            *register = self.argument(name, kind);
        }
        registers
    }

    fn argument(&mut self, name: &str, kind: &str) -> u64 {
        if self.random.one_in(64) {
            return self.random.next();
        }
        match kind {
            "Handle" => u64::from(self.handle(name).0),
            "Rights" => self.rights(),
            "Tag" => self.tag(),
            _ => self.number(name),
        }
    }

    /// A handle for a parameter of this name.
    fn handle(&mut self, name: &str) -> Handle {
        let wanted = match name {
            "endpoint" => Some(Kind::Endpoint),
            "port" => Some(Kind::Port),
            "memory" => Some(Kind::Memory),
            "process" => Some(Kind::Process),
            "thread" => Some(Kind::Thread),
            "timer" => Some(Kind::Timer),
            "message" => Some(Kind::Message),
            _ => None,
        };
        match self.random.below(20) {
            0 => Handle::NONE,
            1 => Handle(self.random.next() as u32),
            // The neighbour in the table, or in time.
            2 => Handle(self.objects.random(self.random).0 ^ 1 << self.random.below(32)),
            3 | 4 => self.objects.random(self.random),
            _ => wanted
                .and_then(|kind| self.objects.any(kind, self.random))
                .unwrap_or_else(|| self.objects.random(self.random)),
        }
    }

    fn rights(&mut self) -> u64 {
        match self.random.below(4) {
            0 => 1 << self.random.below(16),
            1 => 1 << 2 | 1 << self.random.below(5),
            2 => self.random.next() & 0x3fff,
            _ => self.random.next() & self.random.next() & self.random.next() & 0x3fff,
        }
    }

    fn tag(&mut self) -> u64 {
        if self.random.one_in(8) {
            return self.random.next();
        }
        let words = self.random.below(70) as usize;
        let handles = if self.random.one_in(3) { self.random.below(10) as usize } else { 0 };
        Tag::new(self.random.next() as u32, words, handles).0
    }

    fn number(&mut self, name: &str) -> u64 {
        if name == "deadline_ns" {
            // Long ago or soon, so that the storm goes on.
            let now = sys::clock_read().map_or(0, |values| values.result);
            return if self.random.one_in(2) { 0 } else { now + self.random.below(300_000) };
        }
        match self.random.below(8) {
            0 => self.random.next(),
            1 => self.random.pick(ADDRESSES),
            2 => self.random.pick(ADDRESSES).wrapping_add(self.random.below(64)),
            3 | 4 => self.random.pick(SIZES),
            5 => self.random.below(16),
            6 => 0x6000_0000 + self.random.below(256) * PAGE_BYTES,
            _ => core::ptr::from_mut(self.random) as u64,
        }
    }
}
