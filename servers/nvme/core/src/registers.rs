//! The controller's registers, in BAR 0 (§3.1).

/// Capabilities, 64 bits (§3.1.1).
pub const CAPABILITIES: u64 = 0x00;
/// Controller configuration (§3.1.5).
pub const CONFIGURATION: u64 = 0x14;
/// Controller status (§3.1.6).
pub const STATUS: u64 = 0x1c;
/// Sizes of the admin queues (§3.1.8).
pub const ADMIN_SIZES: u64 = 0x24;
/// Address of the admin submission queue, 64 bits (§3.1.9).
pub const ADMIN_SUBMISSION: u64 = 0x28;
/// Address of the admin completion queue, 64 bits (§3.1.10).
pub const ADMIN_COMPLETION: u64 = 0x30;
/// First doorbell (§3.1.24).
const DOORBELLS: u64 = 0x1000;

/// Status: ready for commands.
pub const READY: u32 = 1;
/// Status: it has failed and must be reset.
pub const FAILED: u32 = 1 << 1;

/// What the capabilities register says, as far as this driver cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// Entries that a queue can have at most, 2 to 65,536.
    pub queue_entries: u32,
    /// How long enabling or disabling may take.
    pub timeout_ms: u32,
    /// Bytes from one doorbell to the next.
    pub doorbell_stride: u64,
    /// It takes memory pages of 4 KiB.
    pub small_pages: bool,
}

impl Capabilities {
    /// Reads the register; every value has a meaning.
    #[must_use]
    pub const fn decode(bits: u64) -> Capabilities {
        Capabilities {
            queue_entries: (bits & 0xffff) as u32 + 1,
            timeout_ms: (bits >> 24 & 0xff) as u32 * 500,
            doorbell_stride: 4 << (bits >> 32 & 0xf),
            small_pages: bits >> 48 & 0xf == 0,
        }
    }

    /// Where the tail of submission queue `queue` is told (§3.1.24).
    #[must_use]
    pub const fn tail_doorbell(self, queue: u16) -> u64 {
        DOORBELLS + 2 * queue as u64 * self.doorbell_stride
    }

    /// Where the head of completion queue `queue` is told (§3.1.25).
    #[must_use]
    pub const fn head_doorbell(self, queue: u16) -> u64 {
        DOORBELLS + (2 * queue as u64 + 1) * self.doorbell_stride
    }
}

/// The configuration register's value that enables the controller: NVM command set, 4 KiB
/// pages, round robin, submission entries of 64 bytes, completion entries of 16.
pub const ENABLED: u32 = 6 << 16 | 4 << 20 | 1;

/// The admin queues' sizes as their register wants them, both of `entries` (2 to 4096).
#[must_use]
pub const fn admin_sizes(entries: u16) -> u32 {
    let last = (entries as u32 - 1) & 0xfff;
    last << 16 | last
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn by_hand() {
        // QEMU 7.2's nvme: MQES 2047, CQR, TO 0xf, CSS NVM and others, MPSMAX 4.
        let capabilities = Capabilities::decode(0x0040_0020_0f01_07ff & !(0xf << 32));
        assert_eq!((capabilities.queue_entries, capabilities.timeout_ms), (2048, 7500));
        assert_eq!((capabilities.doorbell_stride, capabilities.small_pages), (4, true));
        assert_eq!(
            (capabilities.tail_doorbell(0), capabilities.head_doorbell(0)),
            (0x1000, 0x1004)
        );
        assert_eq!(
            (capabilities.tail_doorbell(3), capabilities.head_doorbell(3)),
            (0x1018, 0x101c)
        );
        let wide = Capabilities::decode(2 << 32 | 1 << 48);
        assert_eq!((wide.tail_doorbell(1), wide.small_pages), (0x1020, false));
        assert_eq!(ENABLED, 0x0046_0001);
        assert_eq!(admin_sizes(64), 0x003f_003f);
    }

    proptest! {
        #[test]
        fn any_value_decodes_and_doorbells_are_apart(bits: u64, queue: u16) {
            let capabilities = Capabilities::decode(bits);
            let (tail, head) = (capabilities.tail_doorbell(queue), capabilities.head_doorbell(queue));
            prop_assert_eq!(head - tail, capabilities.doorbell_stride);
        }
    }
}
