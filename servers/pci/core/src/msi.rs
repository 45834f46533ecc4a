//! The MSI capability as hardware has it: one pair, for up to 32 messages (PCIe §7.7.1). The rules for its slots are in
//! [`slots`](crate::slots).

use crate::{CAPABILITY_MSI, ConfigExt, ConfigSpace, FunctionAddress};

/// A message: a device that writes `data` to `address` raises one interrupt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// Where to write; a multiple of 4.
    pub address: u64,
    /// What to write.
    pub data: u32,
}

/// The message control register (PCIe §7.7.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// The function may send messages, and may not use INTx.
    pub enabled: bool,
    /// log2 of the messages that it can send, 0 to 5.
    pub capable_log2: u8,
    /// log2 of the messages that it may send, 0 to 5.
    pub allowed_log2: u8,
    /// The address has 64 bits.
    pub wide_address: bool,
    /// Each message can be masked.
    pub maskable: bool,
    /// It can send 32 bits of data (extended message data).
    pub wide_data_capable: bool,
    /// It does send 32 bits of data.
    pub wide_data: bool,
}

/// A register or field has a value that the specification reserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved;

impl Control {
    /// The register's value.
    pub fn encode(self) -> u16 {
        u16::from(self.enabled)
            | u16::from(self.capable_log2 & 7) << 1
            | u16::from(self.allowed_log2 & 7) << 4
            | u16::from(self.wide_address) << 7
            | u16::from(self.maskable) << 8
            | u16::from(self.wide_data_capable) << 9
            | u16::from(self.wide_data) << 10
    }

    /// Reads the register's value. More than 32 messages are refused; bits 15:11 are reserved, which for a reader means that
    /// they are not looked at (PCIe §7.4, RsvdP).
    pub fn decode(bits: u16) -> Result<Self, Reserved> {
        let log2 = |shift: u16| match (bits >> shift & 7) as u8 {
            log2 @ 0..=5 => Ok(log2),
            _ => Err(Reserved),
        };
        let bit = |at: u16| bits >> at & 1 != 0;
        Ok(Self {
            enabled: bit(0),
            capable_log2: log2(1)?,
            allowed_log2: log2(4)?,
            wide_address: bit(7),
            maskable: bit(8),
            wide_data_capable: bit(9),
            wide_data: bit(10),
        })
    }
}

/// Why an operation on an MSI or MSI-X capability was refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// There is no such capability at this offset.
    NotThere,
    /// It does not fit between its offset and 0x100.
    DoesNotFit,
    /// A field has a reserved value.
    Reserved,
    /// The address does not fit in the capability's 32 bits.
    AddressTooHigh,
    /// The address is not a multiple of 4.
    Misaligned,
    /// The data does not fit in 16 bits.
    DataTooWide,
    /// There is no such slot, or not so many.
    NoSlot,
    /// Messages cannot be masked one by one here.
    NotMaskable,
    /// A slot is in use: what all of them share can not change.
    InUse,
    /// The pair does not follow on those of the slots before: one address, data that count up.
    NotConsecutive,
    /// Nothing was put into this slot.
    Empty,
    /// Some slots of the block have no pair yet: a function uses a power of two of them.
    Incomplete,
}

impl From<Reserved> for MessageError {
    fn from(Reserved: Reserved) -> Self {
        Self::Reserved
    }
}

/// The MSI capability of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msi {
    function: FunctionAddress,
    offset: u16,
    wide_address: bool,
    maskable: bool,
    capable_log2: u8,
}

const CONTROL: u16 = 2;
const ADDRESS: u16 = 4;
const ADDRESS_HIGH: u16 = 8;

impl Msi {
    /// Looks at the capability at this offset (see [`crate::Function::msi`]).
    pub fn read<C: ConfigSpace + ?Sized>(
        config: &C,
        function: FunctionAddress,
        offset: u16,
    ) -> Result<Self, MessageError> {
        if config.read8(function, offset) != CAPABILITY_MSI {
            return Err(MessageError::NotThere);
        }
        let control = Control::decode(config.read16(function, offset + CONTROL))?;
        let msi = Self {
            function,
            offset,
            wide_address: control.wide_address,
            maskable: control.maskable,
            capable_log2: control.capable_log2,
        };
        if offset + msi.bytes() > 0x100 {
            return Err(MessageError::DoesNotFit);
        }
        Ok(msi)
    }

    /// Messages that it can send, consecutive in data: 1 to 32.
    pub fn capacity(&self) -> u32 {
        1 << self.capable_log2
    }

    /// Each message can be masked.
    pub fn is_maskable(&self) -> bool {
        self.maskable
    }

    /// The address may have 64 bits.
    pub fn has_wide_address(&self) -> bool {
        self.wide_address
    }

    /// Bytes of the capability: 10 or 14 without masks, 20 or 24 with them (PCIe §7.7.1, figures).
    pub fn bytes(&self) -> u16 {
        match (self.wide_address, self.maskable) {
            (false, false) => 10,
            (true, false) => 14,
            (false, true) => 20,
            (true, true) => 24,
        }
    }

    fn data_offset(&self) -> u16 {
        self.offset + if self.wide_address { 12 } else { 8 }
    }

    /// Mask bits are the dword behind the one with the data; pending bits follow.
    fn mask_offset(&self) -> u16 {
        self.data_offset() + 4
    }

    fn control<C: ConfigSpace + ?Sized>(&self, config: &C) -> Result<Control, MessageError> {
        Ok(Control::decode(config.read16(self.function, self.offset + CONTROL))?)
    }

    fn set_control<C: ConfigSpace + ?Sized>(&self, config: &mut C, control: Control) {
        config.write16(self.function, self.offset + CONTROL, control.encode());
    }

    /// Whether a pair fits, for `1 << count_log2` messages; returns the data as they are stored. Changes nothing.
    pub fn check(&self, pair: Pair, count_log2: u8) -> Result<u16, MessageError> {
        if count_log2 > self.capable_log2 {
            return Err(MessageError::NoSlot);
        }
        if pair.address & 3 != 0 {
            return Err(MessageError::Misaligned);
        }
        if pair.address >> 32 != 0 && !self.wide_address {
            return Err(MessageError::AddressTooHigh);
        }
        // Extended message data stays off: no remapper here composes more than 16 bits.
        let data = u16::try_from(pair.data).map_err(|_| MessageError::DataTooWide)?;
        // The function puts the message number into the low bits (§7.7.1.2, multiple message enable).
        if u32::from(data) & ((1 << count_log2) - 1) != 0 {
            return Err(MessageError::Misaligned);
        }
        Ok(data)
    }

    /// Stores a pair, for `1 << count_log2` messages with consecutive data. Messages are off, and all masked where they can
    /// be, when this returns: nothing is sent with half a pair (DESIGN §4, invariant 6), and the owner unmasks.
    pub fn write<C: ConfigSpace + ?Sized>(
        &self,
        config: &mut C,
        pair: Pair,
        count_log2: u8,
    ) -> Result<(), MessageError> {
        let data = self.check(pair, count_log2)?;
        let (low, high) = (pair.address as u32, (pair.address >> 32) as u32);
        let mut control = self.control(config)?;
        control.enabled = false;
        control.allowed_log2 = count_log2;
        control.wide_data = false;
        self.set_control(config, control);
        if self.maskable {
            // Bits of messages that there are not are reserved.
            config.write32(self.function, self.mask_offset(), u32::MAX >> (32 - self.capacity()));
        }
        config.write32(self.function, self.offset + ADDRESS, low);
        if self.wide_address {
            config.write32(self.function, self.offset + ADDRESS_HIGH, high);
        }
        config.write16(self.function, self.data_offset(), data);
        // A read returns after the writes before it have arrived, on every bus on the way.
        self.control(config).map(|_| ())
    }

    /// The pair that is stored.
    pub fn pair<C: ConfigSpace + ?Sized>(&self, config: &C) -> Pair {
        let low = config.read32(self.function, self.offset + ADDRESS);
        let high = if self.wide_address {
            config.read32(self.function, self.offset + ADDRESS_HIGH)
        } else {
            0
        };
        Pair {
            address: u64::from(high) << 32 | u64::from(low),
            data: config.read16(self.function, self.data_offset()).into(),
        }
    }

    /// Turns sending on or off as a whole. Off, an event is lost or goes to INTx, so a live message is masked instead
    /// where it can be.
    pub fn set_enabled<C: ConfigSpace + ?Sized>(
        &self,
        config: &mut C,
        enabled: bool,
    ) -> Result<(), MessageError> {
        let mut control = self.control(config)?;
        control.enabled = enabled;
        self.set_control(config, control);
        if !enabled {
            // As for a mask: silent when this is answered.
            self.control(config)?;
        }
        Ok(())
    }

    /// Masks or unmasks one message. An event of a masked message stays pending and is sent when it is unmasked
    /// (§7.7.1.7).
    pub fn set_masked<C: ConfigSpace + ?Sized>(
        &self,
        config: &mut C,
        slot: u32,
        masked: bool,
    ) -> Result<(), MessageError> {
        if slot >= self.capacity() {
            return Err(MessageError::NoSlot);
        }
        if !self.maskable {
            return Err(MessageError::NotMaskable);
        }
        let masks = config.read32(self.function, self.mask_offset());
        let masks = if masked { masks | 1 << slot } else { masks & !(1 << slot) };
        config.write32(self.function, self.mask_offset(), masks);
        if masked {
            // It has arrived when a read after it is answered, and then nothing more comes.
            config.read32(self.function, self.mask_offset());
        }
        Ok(())
    }

    /// The messages that are masked and have an event; 0 where messages cannot be masked.
    pub fn pending<C: ConfigSpace + ?Sized>(&self, config: &C) -> u32 {
        if self.maskable { config.read32(self.function, self.mask_offset() + 4) } else { 0 }
    }
}
