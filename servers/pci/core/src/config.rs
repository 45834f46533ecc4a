//! Access to configuration space.

use crate::FunctionAddress;

/// How wide an access is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Word,
    /// 32 bits.
    Dword,
}

impl Width {
    /// The width with this many bytes.
    pub const fn from_bytes(bytes: u64) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Word),
            4 => Some(Self::Dword),
            _ => None,
        }
    }

    /// Bytes of an access.
    pub const fn bytes(self) -> u16 {
        match self {
            Self::Byte => 1,
            Self::Word => 2,
            Self::Dword => 4,
        }
    }

    /// All bits of an access: also what is read where nothing answers.
    pub const fn ones(self) -> u32 {
        match self {
            Self::Byte => 0xff,
            Self::Word => 0xffff,
            Self::Dword => 0xffff_ffff,
        }
    }
}

/// A place in a function's configuration space: within its 4096 bytes and aligned to its width. Only [`Register::new`]
/// makes one, so a [`ConfigSpace`] has nothing left to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    offset: u16,
    width: Width,
}

impl Register {
    /// Bytes of a function's configuration space (PCIe §7.2.2).
    pub const SPACE_BYTES: u16 = 4096;

    /// `None` when the access is misaligned or leaves the space.
    pub const fn new(offset: u16, width: Width) -> Option<Self> {
        if offset >= Self::SPACE_BYTES || !offset.is_multiple_of(width.bytes()) {
            return None;
        }
        Some(Self { offset, width })
    }

    /// First byte.
    pub const fn offset(self) -> u16 {
        self.offset
    }

    /// How wide.
    pub const fn width(self) -> Width {
        self.width
    }

    /// The first byte behind it.
    pub const fn end(self) -> u16 {
        self.offset + self.width.bytes()
    }
}

/// Configuration space of a machine. Where no function is, reads give all ones and writes go nowhere, as in hardware.
pub trait ConfigSpace {
    /// Reads a register; only the bits of its width are set.
    fn read(&self, function: FunctionAddress, register: Register) -> u32;
    /// Writes a register; bits beyond its width are ignored.
    fn write(&mut self, function: FunctionAddress, register: Register, value: u32);
}

/// Shorter ways to say it. An impossible register reads as all ones and swallows writes, like one that is not there.
pub trait ConfigExt: ConfigSpace {
    /// Reads 8 bits.
    fn read8(&self, function: FunctionAddress, offset: u16) -> u8 {
        Register::new(offset, Width::Byte).map_or(0xff, |at| self.read(function, at) as u8)
    }

    /// Reads 16 bits.
    fn read16(&self, function: FunctionAddress, offset: u16) -> u16 {
        Register::new(offset, Width::Word).map_or(0xffff, |at| self.read(function, at) as u16)
    }

    /// Reads 32 bits.
    fn read32(&self, function: FunctionAddress, offset: u16) -> u32 {
        Register::new(offset, Width::Dword).map_or(0xffff_ffff, |at| self.read(function, at))
    }

    /// Writes 8 bits.
    fn write8(&mut self, function: FunctionAddress, offset: u16, value: u8) {
        if let Some(at) = Register::new(offset, Width::Byte) {
            self.write(function, at, value.into());
        }
    }

    /// Writes 16 bits.
    fn write16(&mut self, function: FunctionAddress, offset: u16, value: u16) {
        if let Some(at) = Register::new(offset, Width::Word) {
            self.write(function, at, value.into());
        }
    }

    /// Writes 32 bits.
    fn write32(&mut self, function: FunctionAddress, offset: u16, value: u32) {
        if let Some(at) = Register::new(offset, Width::Dword) {
            self.write(function, at, value);
        }
    }
}

impl<C: ConfigSpace + ?Sized> ConfigExt for C {}
