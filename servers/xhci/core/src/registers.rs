//! The controller's registers, in BAR 0 (xHCI §5).

/// Length of the capability registers and version (§5.3.1, §5.3.2).
pub const LENGTH_AND_VERSION: u64 = 0x00;
/// Structural parameters 1: slots, interrupters, ports (§5.3.3).
pub const STRUCTURAL_1: u64 = 0x04;
/// Where the runtime registers are (§5.3.8).
pub const RUNTIME_OFFSET: u64 = 0x18;

/// USB command (§5.4.1), from the operational registers' beginning.
pub const COMMAND: u64 = 0x00;
/// USB status (§5.4.2).
pub const STATUS: u64 = 0x04;

/// Command: reset the controller; reads as set until it is done.
pub const RESET: u32 = 1 << 1;
/// Command: interrupters may raise interrupts.
pub const INTERRUPTS_ON: u32 = 1 << 2;
/// Status: the controller has stopped.
pub const HALTED: u32 = 1;
/// Status: a serious error.
pub const SYSTEM_ERROR: u32 = 1 << 2;
/// Status: registers may not be written yet.
pub const NOT_READY: u32 = 1 << 11;

/// Interrupter management (§5.5.2.1): pending (written 1 to clear), and enabled.
pub const MANAGEMENT: u64 = 0x00;
/// Interrupter moderation (§5.5.2.2): the least time between two interrupts.
pub const MODERATION: u64 = 0x04;
/// Segments of the event ring (§5.5.2.3.1).
pub const SEGMENTS: u64 = 0x08;
/// Address of the segment table, 64 bits, a multiple of 64 (§5.5.2.3.2).
pub const SEGMENT_TABLE: u64 = 0x10;
/// How far software has got in the ring, 64 bits (§5.5.2.3.3).
pub const DEQUEUE: u64 = 0x18;

/// Management: an interrupt is pending; written to clear it.
pub const PENDING: u32 = 1;
/// Management: this interrupter is on.
pub const ENABLED: u32 = 1 << 1;
/// Dequeue: the handler is busy. Written to clear it; the controller sets it with each
/// interrupt, and raises none while it is set (§4.17.2).
pub const BUSY: u32 = 1 << 3;

/// First interrupter, from the runtime registers' beginning, and bytes of each (§5.5.2).
const INTERRUPTERS: u64 = 0x20;
const INTERRUPTER_BYTES: u64 = 0x20;

/// Where things are and how many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// Where the operational registers begin.
    pub operational: u64,
    /// Where the runtime registers begin.
    pub runtime: u64,
    /// Interrupters, 1 to 1024.
    pub interrupters: u16,
}

/// The registers are no controller's of a version that is known, or lie outside of the BAR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAController;

impl Capabilities {
    /// From the three registers, in a BAR of `bar_bytes`.
    ///
    /// # Errors
    /// Versions other than 0.95 to 1.x (§5.3.2), no interrupter or too many, or one behind the
    /// BAR's end.
    pub const fn decode(
        length_and_version: u32,
        structural_1: u32,
        runtime_offset: u32,
        bar_bytes: u64,
    ) -> Result<Capabilities, NotAController> {
        let version = length_and_version >> 16;
        let interrupters = (structural_1 >> 8 & 0x7ff) as u16;
        let found = Capabilities {
            operational: (length_and_version & 0xff) as u64,
            // Bits 4:0 are reserved.
            runtime: (runtime_offset & !0x1f) as u64,
            interrupters,
        };
        let known = version >> 8 == 1 || version == 0x0095 || version == 0x0096;
        let many = interrupters > 1024 || interrupters == 0;
        if !known || many || found.operational < 0x20 || found.end() > bar_bytes {
            return Err(NotAController);
        }
        Ok(found)
    }

    const fn end(self) -> u64 {
        self.interrupter(self.interrupters)
    }

    /// Where an interrupter's registers begin.
    #[must_use]
    pub const fn interrupter(self, number: u16) -> u64 {
        self.runtime + INTERRUPTERS + INTERRUPTER_BYTES * number as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// QEMU's: CAPLENGTH 0x40, version 1.00, 64 slots, 16 interrupters, 8 ports, runtime
    /// registers at 0x1000.
    #[test]
    fn by_hand() {
        let found = Capabilities::decode(0x0100_0040, 0x0800_1040, 0x1000, 0x4000);
        let expected = Capabilities { operational: 0x40, runtime: 0x1000, interrupters: 16 };
        assert_eq!(found, Ok(expected));
        assert_eq!((expected.interrupter(0), expected.interrupter(15)), (0x1020, 0x1200));
        assert_eq!((RESET, INTERRUPTS_ON, NOT_READY, BUSY), (2, 4, 0x800, 8));
    }

    #[test]
    fn what_is_no_controller_is_refused() {
        let good = |version, parameters, runtime, bytes| {
            Capabilities::decode(version, parameters, runtime, bytes).is_ok()
        };
        assert!(good(0x0096_0020, 1 << 8, 0, 0x60));
        assert!(!good(!0, !0, !0, 0x4000), "nobody answers");
        assert!(!good(0x0200_0040, 0x0800_1040, 0x1000, 0x4000), "another version");
        assert!(!good(0x0100_0040, 0x0800_0040, 0x1000, 0x4000), "no interrupter");
        assert!(!good(0x0100_0040, 0x0804_0140, 0x1000, 0x4000), "1025 of them");
        assert!(!good(0x0100_0040, 0x0800_1040, 0x4000, 0x4000), "behind the BAR");
        assert!(!good(0x0100_0000, 0x0800_1040, 0x1000, 0x4000), "over the capabilities");
    }

    proptest! {
        #[test]
        fn what_decodes_lies_in_the_bar(version: u32, parameters: u32, runtime: u32, bytes: u64) {
            if let Ok(found) = Capabilities::decode(version, parameters, runtime, bytes) {
                prop_assert!(found.interrupter(found.interrupters - 1) + 0x20 <= bytes);
                prop_assert!((1..=1024).contains(&found.interrupters));
            }
        }
    }
}
