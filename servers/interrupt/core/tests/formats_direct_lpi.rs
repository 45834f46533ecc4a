//! Registers of redistributors that take LPIs by a write: what they look like.

use interrupt_core::direct_lpi::{LpiWrite, SyncStatus, offset, setter};
use interrupt_core::its::Lpi;
use interrupt_core::vtd::Malformed;

/// GICR_SETLPIR and the like: pINTID 31:0; GICR_SYNCR: Busy 0 (§12.11).
#[test]
fn registers_of_direct_lpis() {
    let lpi = Lpi::new(0x2345).unwrap();
    assert_eq!(LpiWrite(lpi).encode(), 0x2345);
    assert_eq!(LpiWrite::decode(0x2345), Ok(LpiWrite(lpi)));
    let upper = Err(Malformed { field: "reserved (63:32)" });
    assert_eq!(LpiWrite::decode(0x1_0000_2345), upper);
    assert!(LpiWrite::decode(8191).is_err() && LpiWrite::decode(1 << 24).is_err());
    for bit in 0..64 {
        if let Ok(write) = LpiWrite::decode(1 << bit) {
            assert_eq!(write.encode(), 1 << bit);
        }
    }
    assert!(SyncStatus::decode(1).busy() && !SyncStatus::decode(!1).busy());
    let registers = (offset::SET_LPI, offset::CLEAR_LPI, offset::INVALIDATE, offset::SYNC);
    assert_eq!(registers, (0x40, 0x48, 0xa0, 0xc0));
    assert_eq!(setter(0x080a_0000), 0x080a_0040);
}
