//! The event ring segment table: where an interrupter's ring is.

/// A segment of an event ring: one entry of the table (xHCI §6.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Where it begins, a multiple of 64.
    pub address: u64,
    /// Places of 16 bytes in it, 16 to 4096.
    pub places: u16,
}

/// What can not be a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RingError {
    /// The address is no multiple of 64.
    Misaligned,
    /// Too short, or too long.
    Places,
    /// A reserved field is not zero.
    Reserved,
}

impl Segment {
    /// Bytes of a place.
    pub const PLACE_BYTES: u64 = 16;
    /// Bytes of the entry.
    pub const ENTRY_BYTES: u64 = 16;

    /// The entry's words.
    ///
    /// # Errors
    /// [`RingError`].
    pub const fn encode(self) -> Result<[u32; 4], RingError> {
        if self.address & 0x3f != 0 {
            return Err(RingError::Misaligned);
        }
        if self.places < 16 || self.places > 4096 {
            return Err(RingError::Places);
        }
        Ok([self.address as u32, (self.address >> 32) as u32, self.places as u32, 0])
    }

    /// The entry that these words are.
    ///
    /// # Errors
    /// [`RingError`].
    pub const fn decode(words: [u32; 4]) -> Result<Segment, RingError> {
        let [low, high, places, reserved] = words;
        if places > 0xffff || reserved != 0 {
            return Err(RingError::Reserved);
        }
        let address = (high as u64) << 32 | low as u64;
        let segment = Segment { address, places: places as u16 };
        match segment.encode() {
            Ok(_) => Ok(segment),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn by_hand() {
        let segment = Segment { address: 0x1_2345_6040, places: 16 };
        assert_eq!(segment.encode(), Ok([0x2345_6040, 1, 16, 0]));
        assert_eq!(Segment { address: 0x20, places: 16 }.encode(), Err(RingError::Misaligned));
        assert_eq!(Segment { address: 0, places: 15 }.encode(), Err(RingError::Places));
        assert_eq!(Segment { address: 0, places: 4097 }.encode(), Err(RingError::Places));
        assert_eq!(Segment::decode([0, 0, 16, 1]), Err(RingError::Reserved));
    }

    proptest! {
        #[test]
        fn decode_is_total_and_round_trips(words: [u32; 4]) {
            if let Ok(segment) = Segment::decode(words) {
                prop_assert_eq!(segment.encode(), Ok(words));
            }
        }

        #[test]
        fn what_is_good_comes_back(address: u64, places in 16..=4096_u16) {
            let segment = Segment { address: address & !0x3f, places };
            prop_assert_eq!(segment.encode().and_then(Segment::decode), Ok(segment));
        }
    }
}
