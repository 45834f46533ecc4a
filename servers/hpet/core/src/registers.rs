//! The registers, §2.3. All have 64 bits; they are accessed by halves, which §2.3.1 allows.

/// GCAP_ID, low half: general capabilities and identification (§2.3.4).
pub(crate) const CAPABILITIES: u64 = 0x000;
/// GEN_CONF (§2.3.5): ENABLE_CNF is bit 0, LEG_RT_CNF bit 1.
pub(crate) const CONFIGURATION: u64 = 0x010;
/// MAIN_CNT (§2.3.7).
pub(crate) const COUNTER: u64 = 0x0f0;

/// GEN_CONF.ENABLE_CNF: the counter runs and comparators send.
pub(crate) const ENABLE: u32 = 1;
/// GEN_CONF.LEG_RT_CNF: comparators 0 and 1 take the place of the PIT and the RTC.
pub(crate) const LEGACY: u32 = 1 << 1;

/// A comparator's registers (§2.3.8 to §2.3.10).
pub mod timer {
    /// Comparators that the register block has room for (§2.3.1).
    pub const MOST: u8 = 32;

    /// Tn_CONF, low half.
    #[must_use]
    pub const fn configuration(timer: u8) -> u64 {
        0x100 + 0x20 * timer as u64
    }

    /// Tn_COMP, low half.
    #[must_use]
    pub const fn comparator(timer: u8) -> u64 {
        configuration(timer) + 0x08
    }

    /// Tn_FSB_ROUTE 31:0, FSB_INT_VAL: a message's data (§2.3.10).
    #[must_use]
    pub const fn message_data(timer: u8) -> u64 {
        configuration(timer) + 0x10
    }

    /// Tn_FSB_ROUTE 63:32, FSB_INT_ADDR: its address, 32 bits of it.
    #[must_use]
    pub const fn message_address(timer: u8) -> u64 {
        configuration(timer) + 0x14
    }
}

/// A hardware value that the specification does not allow: which field is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// The specification's name of the field.
    pub field: &'static str,
}

/// GCAP_ID (§2.3.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// REV_ID (7:0), never zero.
    pub revision: u8,
    /// NUM_TIM_CAP (12:8) + 1: comparators, 1 to 32.
    pub timers: u8,
    /// COUNT_SIZE_CAP (13): the counter has 64 bits.
    pub wide_counter: bool,
    /// LEG_RT_CAP (15).
    pub legacy_route: bool,
    /// VENDOR_ID (31:16).
    pub vendor: u16,
    /// COUNTER_CLK_PERIOD (63:32): femtoseconds of one tick.
    pub period_fs: u32,
}

impl Capabilities {
    /// The longest tick that is allowed: 100 ns.
    pub const LONGEST_FS: u32 = 0x05f5_e100;

    /// The register's value.
    #[must_use]
    pub const fn encode(self) -> u64 {
        self.revision as u64
            | ((self.timers as u64).wrapping_sub(1) & 0x1f) << 8
            | (self.wide_counter as u64) << 13
            | (self.legacy_route as u64) << 15
            | (self.vendor as u64) << 16
            | (self.period_fs as u64) << 32
    }

    /// From the register.
    ///
    /// # Errors
    /// What no HPET has: also what a bus shows where nothing answers, all ones or all zeros.
    pub const fn decode(value: u64) -> Result<Self, Malformed> {
        if value & 0xff == 0 {
            return Err(Malformed { field: "REV_ID" });
        }
        if value & 1 << 14 != 0 {
            return Err(Malformed { field: "reserved (14)" });
        }
        let period_fs = (value >> 32) as u32;
        if period_fs == 0 || period_fs > Self::LONGEST_FS {
            return Err(Malformed { field: "COUNTER_CLK_PERIOD" });
        }
        Ok(Self {
            revision: value as u8,
            timers: (value >> 8 & 0x1f) as u8 + 1,
            wide_counter: value >> 13 & 1 == 1,
            legacy_route: value >> 15 & 1 == 1,
            vendor: (value >> 16) as u16,
            period_fs,
        })
    }
}

/// Tn_CONF, low half (§2.3.8): what the comparator can do and what it is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimerConfiguration(u32);

impl TimerConfiguration {
    /// Tn_INT_TYPE_CNF (1): level. Messages are edges.
    pub const LEVEL: u32 = 1 << 1;
    /// Tn_INT_ENB_CNF (2): it interrupts.
    pub const ENABLED: u32 = 1 << 2;
    /// Tn_TYPE_CNF (3): periodic.
    pub const PERIODIC: u32 = 1 << 3;
    /// Tn_PER_INT_CAP (4): it can be.
    pub const CAN_BE_PERIODIC: u32 = 1 << 4;
    /// Tn_VAL_SET_CNF (6): the next write of the comparator sets its next match.
    pub const SET_VALUE: u32 = 1 << 6;
    /// Tn_32MODE_CNF (8): it compares 32 bits.
    pub const NARROW: u32 = 1 << 8;
    /// Tn_FSB_EN_CNF (14): it sends its message instead of raising a wire.
    pub const MESSAGE: u32 = 1 << 14;
    /// Tn_FSB_INT_DEL_CAP (15): it can.
    pub const CAN_SEND_MESSAGES: u32 = 1 << 15;
    /// Tn_INT_ROUTE_CNF (13:9).
    const ROUTE: u32 = 0x1f << 9;

    /// From the register. Every value is legal.
    #[must_use]
    pub const fn decode(value: u32) -> Self {
        Self(value)
    }

    /// The register's value.
    #[must_use]
    pub const fn encode(self) -> u32 {
        self.0
    }

    /// Whether any of these bits is set.
    #[must_use]
    pub const fn has(self, bits: u32) -> bool {
        self.0 & bits != 0
    }

    /// Neither interrupt nor message, and nothing of what somebody wanted of it before.
    #[must_use]
    pub const fn silent(self) -> Self {
        let wanted = Self::LEVEL | Self::ENABLED | Self::PERIODIC | Self::SET_VALUE;
        Self(self.0 & !(wanted | Self::NARROW | Self::MESSAGE | Self::ROUTE))
    }

    /// 32 bits of the comparator, once or again and again; the rest as it is.
    #[must_use]
    pub const fn armed(self, periodic: bool) -> Self {
        let rest = self.0 & !(Self::PERIODIC | Self::SET_VALUE | Self::LEVEL);
        let periodic = if periodic { Self::PERIODIC | Self::SET_VALUE } else { 0 };
        Self(rest | Self::NARROW | periodic)
    }
}
