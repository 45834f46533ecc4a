//! The MSI-X capability: a message store in a BAR (PCIe §7.7.2).
//!
//! The table is in the function's own memory, and its driver writes it; here is only what configuration space has: where
//! table and pending bits are, and the two bits that turn it on and mask it as a whole.

use crate::{
    CAPABILITY_MSIX, ConfigExt, ConfigSpace, FunctionAddress, Pair,
    bars::{Bars, Slot, Space},
    msi::{MessageError, Reserved},
};

/// Bytes of a table entry (§7.7.2.5 to §7.7.2.8).
pub const ENTRY_BYTES: u64 = 16;

/// The message control register (§7.7.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// Entries of the table, 1 to 2048.
    pub entries: u16,
    /// All entries are masked, whatever their own bits say.
    pub all_masked: bool,
    /// The function sends messages from the table, and may not use INTx.
    pub enabled: bool,
}

impl Control {
    /// The register's value. `entries` is cut to 1 to 2048.
    pub fn encode(self) -> u16 {
        (self.entries.clamp(1, 2048) - 1)
            | u16::from(self.all_masked) << 14
            | u16::from(self.enabled) << 15
    }

    /// Reads the register's value; every one has a meaning.
    pub fn decode(bits: u16) -> Self {
        Self {
            entries: (bits & 0x7ff) + 1,
            all_masked: bits & 1 << 14 != 0,
            enabled: bits & 1 << 15 != 0,
        }
    }
}

/// Where in the BARs something is (§7.7.2.3, §7.7.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// Which BAR, 0 to 5.
    pub bar: u8,
    /// Bytes from its start; a multiple of 8.
    pub offset: u32,
}

impl Location {
    /// The register's value.
    pub fn encode(self) -> u32 {
        self.offset & !7 | u32::from(self.bar & 7)
    }

    /// Reads the register's value; BAR numbers 6 and 7 are reserved.
    pub fn decode(bits: u32) -> Result<Self, Reserved> {
        match (bits & 7) as u8 {
            bar @ 0..=5 => Ok(Self { bar, offset: bits & !7 }),
            _ => Err(Reserved),
        }
    }
}

/// A table entry: a pair and its mask bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The message.
    pub pair: Pair,
    /// It is not sent; an event stays pending.
    pub masked: bool,
}

impl Entry {
    /// Address, upper address, data, vector control, in the order of the table. A live entry is not written all at once:
    /// mask, write the first three, unmask.
    pub fn encode(self) -> [u32; 4] {
        [
            self.pair.address as u32,
            (self.pair.address >> 32) as u32,
            self.pair.data,
            self.masked.into(),
        ]
    }

    /// Reads an entry. Bits 1:0 of the address must be zero (§7.7.2.5); of vector control only bit 0 is looked at.
    pub fn decode(words: [u32; 4]) -> Result<Self, Reserved> {
        let [low, high, data, control] = words;
        if low & 3 != 0 {
            return Err(Reserved);
        }
        Ok(Self {
            pair: Pair { address: u64::from(high) << 32 | u64::from(low), data },
            masked: control & 1 != 0,
        })
    }
}

/// The MSI-X capability of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msix {
    function: FunctionAddress,
    offset: u16,
    entries: u16,
    table: Location,
    pending: Location,
}

const CONTROL: u16 = 2;
const TABLE: u16 = 4;
const PENDING: u16 = 8;
const BYTES: u16 = 12;

impl Msix {
    /// Looks at the capability at this offset (see [`crate::Function::msix`]); table and pending bits must lie within memory
    /// BARs of the function.
    pub fn read<C: ConfigSpace + ?Sized>(
        config: &C,
        function: FunctionAddress,
        offset: u16,
        bars: &Bars,
    ) -> Result<Self, MessageError> {
        if config.read8(function, offset) != CAPABILITY_MSIX {
            return Err(MessageError::NotThere);
        }
        if offset + BYTES > 0x100 {
            return Err(MessageError::DoesNotFit);
        }
        let msix = Self {
            function,
            offset,
            entries: Control::decode(config.read16(function, offset + CONTROL)).entries,
            table: Location::decode(config.read32(function, offset + TABLE))?,
            pending: Location::decode(config.read32(function, offset + PENDING))?,
        };
        let within = |location: Location, bytes: u64| match bars.get(usize::from(location.bar)) {
            Some(Slot::Present(bar)) if bar.space != Space::Io => {
                u64::from(location.offset) + bytes <= bar.size
            }
            _ => false,
        };
        // Pending bits come in units of 64 (§7.7.2.9).
        let pending_bytes = u64::from(msix.entries).div_ceil(64) * 8;
        if !within(msix.table, msix.table_bytes()) || !within(msix.pending, pending_bytes) {
            return Err(MessageError::DoesNotFit);
        }
        Ok(msix)
    }

    /// Entries of the table, 1 to 2048.
    pub fn capacity(&self) -> u32 {
        self.entries.into()
    }

    /// Where the table is.
    pub fn table(&self) -> Location {
        self.table
    }

    /// Bytes of the table.
    pub fn table_bytes(&self) -> u64 {
        u64::from(self.entries) * ENTRY_BYTES
    }

    /// Where the pending bits are.
    pub fn pending(&self) -> Location {
        self.pending
    }

    /// Turns the store on or off, and masks it as a whole or not. It is masked first and unmasked last, so that no entry
    /// sends in between.
    pub fn set<C: ConfigSpace + ?Sized>(&self, config: &mut C, enabled: bool, all_masked: bool) {
        let at = self.offset + CONTROL;
        let mut control = Control::decode(config.read16(self.function, at));
        control.all_masked = true;
        config.write16(self.function, at, control.encode());
        control.enabled = enabled;
        config.write16(self.function, at, control.encode());
        if !all_masked {
            control.all_masked = false;
            config.write16(self.function, at, control.encode());
        }
    }

    /// Whether it is on, and whether it is masked as a whole.
    pub fn state<C: ConfigSpace + ?Sized>(&self, config: &C) -> Control {
        Control::decode(config.read16(self.function, self.offset + CONTROL))
    }
}
