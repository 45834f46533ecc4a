//! Addresses as the SCRIPTS processor sees them.

use core::fmt;

/// A bus address that an instruction can name: 32 bits (we leave the chip's 64-bit modes
/// off) and a multiple of four, because scripts, data words and message addresses all are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BusAddress(u32);

/// Why an address can not be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressError {
    /// Not a multiple of four.
    Misaligned(u64),
    /// Does not fit the chip's 32-bit addresses.
    Above4GiB(u64),
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressError::Misaligned(a) => write!(f, "bus address {a:#x} is not a multiple of 4"),
            AddressError::Above4GiB(a) => write!(f, "bus address {a:#x} is above 4 GiB"),
        }
    }
}

impl BusAddress {
    /// Checks an address.
    ///
    /// # Errors
    /// [`AddressError`] says which rule it breaks.
    pub const fn new(address: u64) -> Result<BusAddress, AddressError> {
        if address > u32::MAX as u64 {
            return Err(AddressError::Above4GiB(address));
        }
        if !address.is_multiple_of(4) {
            return Err(AddressError::Misaligned(address));
        }
        Ok(BusAddress(address as u32))
    }

    /// The address `bytes` further on.
    ///
    /// # Errors
    /// As [`BusAddress::new`].
    pub const fn plus(self, bytes: u64) -> Result<BusAddress, AddressError> {
        BusAddress::new(self.0 as u64 + bytes)
    }

    /// As the chip wants it.
    #[must_use]
    pub const fn raw(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_chip_can_reach() {
        assert_eq!(BusAddress::new(0xfee0_0010).map(BusAddress::raw), Ok(0xfee0_0010));
        assert_eq!(BusAddress::new(1 << 32), Err(AddressError::Above4GiB(1 << 32)));
        assert_eq!(BusAddress::new(0x1002), Err(AddressError::Misaligned(0x1002)));
        let last = BusAddress::new(0xffff_fffc).expect("aligned");
        assert_eq!(last.plus(4), Err(AddressError::Above4GiB(1 << 32)));
        assert_eq!(last.plus(0), Ok(last));
    }
}
