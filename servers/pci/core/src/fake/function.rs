//! One function of the model.

use alloc::{vec, vec::Vec};

use crate::{
    CAPABILITY_EXPRESS, CAPABILITY_MSI, CAPABILITY_MSIX, Register,
    header::{
        BAR0, CAPABILITIES, COMMAND, HEADER_TYPE, INTERRUPT_PIN, PRIMARY_BUS, REVISION_CLASS,
        STATUS, STATUS_CAPABILITIES, VENDOR,
    },
    msi, msix,
};

/// A bridge's windows: I/O, then memory and prefetchable memory, then the upper halves of the last and of the first.
const IO_WINDOW: u16 = 0x1c;
const MEMORY_WINDOW: u16 = 0x20;
const PREFETCHABLE: u16 = 0x24;
const PREFETCHABLE_UPPER: u16 = 0x28;

/// A function's 4096 bytes: value, which bits can be written, which are cleared by writing 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionModel {
    bytes: Vec<u8>,
    writable: Vec<u8>,
    clears: Vec<u8>,
    last_capability: Option<u16>,
    next_capability: u16,
}

impl FunctionModel {
    fn new(vendor: u16, device: u16, header_type: u8) -> Self {
        let space = usize::from(Register::SPACE_BYTES);
        let mut function = Self {
            bytes: vec![0; space],
            writable: vec![0; space],
            clears: vec![0; space],
            last_capability: None,
            next_capability: 0x40,
        };
        function.put(VENDOR, &vendor.to_le_bytes());
        function.put(VENDOR + 2, &device.to_le_bytes());
        function.put(HEADER_TYPE, &[header_type]);
        // I/O, memory, bus master, parity, SERR#, INTx disable.
        function.let_write(COMMAND, &0x0547u16.to_le_bytes());
        // The error bits of the status register.
        function.clears[usize::from(STATUS) + 1] = 0xf9;
        function
    }

    /// An ordinary function.
    pub fn endpoint(vendor: u16, device: u16) -> Self {
        Self::new(vendor, device, 0)
    }

    /// A bridge with these bus numbers, all 0 when firmware has not been there.
    pub fn bridge(primary: u8, secondary: u8, subordinate: u8) -> Self {
        let mut function = Self::new(0x1b36, 0x000c, 1).class([0x06, 0x04, 0x00]);
        function.put(PRIMARY_BUS, &[primary, secondary, subordinate]);
        function.let_write(PRIMARY_BUS, &[0xff; 3]);
        // I/O, memory and prefetchable windows with all their bits, closed (bridge §3.2.5.6 to §3.2.5.10).
        function.put(IO_WINDOW, &[0xf1, 0x01]);
        function.let_write(IO_WINDOW, &[0xf0; 2]);
        function.put(MEMORY_WINDOW, &[0xf0, 0xff, 0, 0, 0xf1, 0xff, 0x01, 0]);
        function.let_write(MEMORY_WINDOW, &[0xf0, 0xff].repeat(4));
        function.let_write(PREFETCHABLE_UPPER, &[0xff; 12]);
        function
    }

    /// Makes a bridge one without I/O and with 32-bit memory windows only: the registers for the others are zero.
    pub fn memory_only(mut self) -> Self {
        for at in
            [IO_WINDOW, IO_WINDOW + 1].into_iter().chain(PREFETCHABLE..PREFETCHABLE_UPPER + 12)
        {
            self.bytes[usize::from(at)] = 0;
            self.writable[usize::from(at)] = 0;
        }
        self
    }

    /// Makes the bus numbers read-only.
    pub fn stubborn(mut self) -> Self {
        self.writable[usize::from(PRIMARY_BUS)..][..3].fill(0);
        self
    }

    /// Class code: base class, subclass, programming interface.
    pub fn class(mut self, [base, subclass, interface]: [u8; 3]) -> Self {
        self.put(REVISION_CLASS + 1, &[interface, subclass, base]);
        self
    }

    /// Function 0 of several.
    pub fn multi_function(mut self) -> Self {
        self.bytes[usize::from(HEADER_TYPE)] |= 0x80;
        self
    }

    /// A header type as it is.
    pub fn header_type(mut self, header_type: u8) -> Self {
        self.put(HEADER_TYPE, &[header_type]);
        self
    }

    /// A BAR with these type bits (3:0) and a size that is a power of two.
    fn bar(&mut self, index: u8, kind: u8, address: u64, size: u64, wide: bool) {
        let at = BAR0 + u16::from(index) * 4;
        let flags = if kind & 1 != 0 { 3 } else { 15 };
        let writable = !(size - 1) & !flags;
        let value = address & writable | u64::from(kind);
        let bytes = if wide { 8 } else { 4 };
        self.put(at, &value.to_le_bytes()[..bytes]);
        self.let_write(at, &writable.to_le_bytes()[..bytes]);
    }

    /// A 32-bit memory BAR.
    pub fn memory32(mut self, index: u8, address: u32, size: u32) -> Self {
        self.bar(index, 0b0000, address.into(), size.into(), false);
        self
    }

    /// A 64-bit prefetchable memory BAR.
    pub fn memory64(mut self, index: u8, address: u64, size: u64) -> Self {
        self.bar(index, 0b1100, address, size, true);
        self
    }

    /// An I/O BAR whose upper 16 bits are wired to zero.
    pub fn io(mut self, index: u8, address: u16, size: u16) -> Self {
        self.bar(index, 0b0001, address.into(), size.into(), false);
        let upper = usize::from(BAR0 + u16::from(index) * 4) + 2;
        self.writable[upper..upper + 2].fill(0);
        self
    }

    /// An interrupt pin, as the register has it: 1 for INTA.
    pub fn pin(mut self, register: u8) -> Self {
        self.put(INTERRUPT_PIN, &[register]);
        self
    }

    /// Makes the bit that switches the pin off read-only, as before PCI 2.3.
    pub fn pin_always_on(mut self) -> Self {
        self.writable[usize::from(COMMAND) + 1] &= !0x04;
        self
    }

    /// Appends a capability: `content` follows its id and pointer, `writable` says which bits of `content` can be written.
    pub fn capability(mut self, id: u8, content: &[u8], writable: &[u8]) -> Self {
        let at = self.next_capability;
        self.put(at, &[id, 0]);
        self.put(at + 2, content);
        self.let_write(at + 2, writable);
        self.next_capability = (at + 2 + content.len() as u16).next_multiple_of(4);
        match self.last_capability.replace(at) {
            Some(before) => self.put(before + 1, &[at as u8]),
            None => self.put(CAPABILITIES, &[at as u8]),
        }
        self.bytes[usize::from(STATUS)] |= STATUS_CAPABILITIES as u8;
        self
    }

    /// An MSI capability for `1 << capable_log2` messages.
    pub fn msi(self, capable_log2: u8, wide_address: bool, maskable: bool) -> Self {
        let control = msi::Control {
            enabled: false,
            capable_log2,
            allowed_log2: 0,
            wide_address,
            maskable,
            wide_data_capable: false,
            wide_data: false,
        };
        let mut content = control.encode().to_le_bytes().to_vec();
        // Enable and "multiple message enable"; address, all but bits 1:0.
        let mut writable = vec![0x71, 0, 0xfc, 0xff, 0xff, 0xff];
        if wide_address {
            writable.extend([0xff; 4]);
        }
        writable.extend([0xff; 2]);
        if maskable {
            let masks = u32::MAX >> (32 - (1u32 << capable_log2.min(5)));
            writable.extend([0; 2]);
            writable.extend(masks.to_le_bytes());
            writable.extend([0; 4]);
        }
        content.resize(writable.len(), 0);
        self.capability(CAPABILITY_MSI, &content, &writable)
    }

    /// An MSI-X capability.
    pub fn msix(self, entries: u16, table: msix::Location, pending: msix::Location) -> Self {
        let control = msix::Control { entries, all_masked: false, enabled: false };
        let mut content = control.encode().to_le_bytes().to_vec();
        content.extend(table.encode().to_le_bytes());
        content.extend(pending.encode().to_le_bytes());
        self.capability(CAPABILITY_MSIX, &content, &[0, 0xc0])
    }

    /// A PCI Express capability with this device and port type (PCIe §7.5.3.2).
    pub fn express(self, port_type: u8) -> Self {
        let register = (u16::from(port_type) << 4 | 2).to_le_bytes();
        self.capability(CAPABILITY_EXPRESS, &register, &[])
    }

    /// Sets bytes, whatever they are.
    pub fn raw(mut self, offset: u16, bytes: &[u8]) -> Self {
        self.put(offset, bytes);
        self
    }

    fn put(&mut self, offset: u16, bytes: &[u8]) {
        self.bytes[usize::from(offset)..][..bytes.len()].copy_from_slice(bytes);
    }

    fn let_write(&mut self, offset: u16, bits: &[u8]) {
        self.writable[usize::from(offset)..][..bits.len()].copy_from_slice(bits);
    }

    /// Reads a register as the function answers.
    pub fn read(&self, register: Register) -> u32 {
        let bytes = usize::from(register.offset())..usize::from(register.end());
        self.bytes[bytes].iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
    }

    /// Writes a register as the function takes it.
    pub fn write(&mut self, register: Register, value: u32) {
        let range = usize::from(register.offset())..usize::from(register.end());
        for (at, new) in range.zip(value.to_le_bytes()) {
            let (writable, clears) = (self.writable[at], self.clears[at]);
            let old = self.bytes[at];
            self.bytes[at] = (old & !writable | new & writable) & !(new & clears);
        }
    }
}
