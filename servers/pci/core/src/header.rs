//! The registers that all functions have (PCIe §7.5.1).

use bitflags::bitflags;

/// Vendor id, then device id.
pub(crate) const VENDOR: u16 = 0x00;
/// Device id.
pub(crate) const DEVICE: u16 = 0x02;
/// Command register.
pub(crate) const COMMAND: u16 = 0x04;
/// Status register.
pub(crate) const STATUS: u16 = 0x06;
/// Revision (low byte) and class code (three bytes).
pub(crate) const REVISION_CLASS: u16 = 0x08;
/// Header type.
pub(crate) const HEADER_TYPE: u16 = 0x0e;
/// First base address register.
pub(crate) const BAR0: u16 = 0x10;
/// Bridges: primary, secondary, subordinate bus, one byte each.
pub(crate) const PRIMARY_BUS: u16 = 0x18;
/// See [`PRIMARY_BUS`].
pub(crate) const SECONDARY_BUS: u16 = 0x19;
/// See [`PRIMARY_BUS`].
pub(crate) const SUBORDINATE_BUS: u16 = 0x1a;
/// Expansion ROM base of an ordinary function.
pub(crate) const EXPANSION_ROM: u16 = 0x30;
/// First capability, of all but CardBus bridges.
pub(crate) const CAPABILITIES: u16 = 0x34;
/// First capability of CardBus bridges.
pub(crate) const CARDBUS_CAPABILITIES: u16 = 0x14;
/// Interrupt pin: 1 to 4 for INTA to INTD, 0 for none.
pub(crate) const INTERRUPT_PIN: u16 = 0x3d;
/// First byte behind the header; capabilities lie from here to 0xff.
pub(crate) const HEADER_END: u16 = 0x40;

/// Status register: the function has a capability list.
pub(crate) const STATUS_CAPABILITIES: u16 = 1 << 4;

bitflags! {
    /// The command register (PCIe §7.5.1.1.3).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Command: u16 {
        /// Answers to I/O ports.
        const IO = 1 << 0;
        /// Answers to memory.
        const MEMORY = 1 << 1;
        /// May make requests of its own: DMA and messages.
        const BUS_MASTER = 1 << 2;
        /// May not use its INTx wire.
        const INTX_DISABLE = 1 << 10;
        // The other bits (parity, SERR#, …) are firmware's business and kept as they are.
        const _ = !0;
    }
}
