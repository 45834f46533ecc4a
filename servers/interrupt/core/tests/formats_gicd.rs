//! Registers of the distributor (Arm IHI 0069 §12.9).

use interrupt_core::direct_lpi::LpiWrite;
use interrupt_core::gicd::{DistributorControl, DistributorType, Route, Spi, SpiTrigger, offset};
use interrupt_core::vtd::{Malformed, Trigger};
use proptest::prelude::*;

/// The distributor register map, §12.8.
#[test]
fn addresses() {
    assert_eq!((offset::CONTROL, offset::TYPE, offset::PERIPHERAL_ID_2), (0, 4, 0xffe8));
    assert_eq!((offset::SET_SPI, offset::CLEAR_SPI), (0x40, 0x48));
    assert_eq!((offset::GROUP, offset::SET_ENABLE, offset::CLEAR_ENABLE), (0x80, 0x100, 0x180));
    assert_eq!((offset::SET_PENDING, offset::CLEAR_PENDING), (0x200, 0x280));
    assert_eq!((offset::SET_ACTIVE, offset::PRIORITY), (0x300, 0x400));
    assert_eq!((offset::TRIGGER, offset::ROUTE), (0xc00, 0x6000));
}

/// SPIs are 32 to 1019; 1020 to 1023 say that there is nothing.
#[test]
fn intids() {
    for none in [0, 15, 16, 31, 1020, 1023, 4096, 8192, u32::MAX] {
        assert_eq!(Spi::new(none), None, "{none}");
    }
    for there in [32, 33, 1019] {
        assert_eq!(Spi::new(there).map(Spi::intid), Some(there));
    }
}

/// QEMU 7.2's `virt`: ITLinesNumber 8, LPIS 17, IDbits 15 at 23:19, A3V 24; no MBIS.
#[test]
fn type_constant() {
    let kind = DistributorType::decode(0x017a_0008);
    assert_eq!(kind.spi_end(), 288);
    assert!(!kind.takes_messages() && kind.lpis() && !kind.two_security_states());
    assert_eq!(kind.id_bits(), 16);
    assert!(kind.affinity_3());
    assert!(kind.has(Spi::new(287).unwrap()) && !kind.has(Spi::new(288).unwrap()));
    // MBIS 16, SecurityExtn 10; 32 registers are 1024 interrupts, the last four of them none.
    let most = DistributorType::decode(0x0001_041f);
    assert_eq!(most.spi_end(), 1020);
    assert!(most.takes_messages() && most.two_security_states() && !most.lpis());
    // Only SGIs and PPIs.
    assert_eq!(DistributorType::decode(0).spi_end(), 32);
}

/// EnableGrp1 1, ARE 4, DS 6, RWP 31.
#[test]
fn control_constant() {
    let up = DistributorControl::decode(0x52);
    assert!(up.group_1_enabled() && up.affinity_routing() && up.one_security_state());
    assert!(!up.write_pending());
    let busy = DistributorControl::decode(0x8000_0000);
    assert!(busy.write_pending() && !busy.group_1_enabled());
    assert!(!busy.affinity_routing() && !busy.one_security_state());
}

/// Int_config is the upper of two bits: edge is 0b10.
#[test]
fn trigger_constants() {
    assert_eq!(SpiTrigger(Trigger::Edge).encode(), 0b10);
    assert_eq!(SpiTrigger(Trigger::Level).encode(), 0);
    assert!(SpiTrigger::decode(1).is_err() && SpiTrigger::decode(3).is_err());
    assert!(SpiTrigger::decode(0b1000).is_err());
}

/// Affinity 4.3.2.1: Aff3 at 39:32, the others at 23:0, Interrupt_Routing_Mode 31 clear.
#[test]
fn route_constant() {
    assert_eq!(Route { affinity: 0x0403_0201 }.encode(), 0x04_0003_0201);
    let any = Err(Malformed { field: "Interrupt_Routing_Mode (31)" });
    assert_eq!(Route::decode(1 << 31), any);
    for bit in [24, 30, 40, 63] {
        assert!(Route::decode(1 << bit).is_err(), "{bit}");
    }
}

proptest! {
    #[test]
    fn round_trips(affinity: u32, edge: bool) {
        let route = Route { affinity };
        prop_assert_eq!(Route::decode(route.encode()), Ok(route));
        let trigger = SpiTrigger(if edge { Trigger::Edge } else { Trigger::Level });
        prop_assert_eq!(SpiTrigger::decode(trigger.encode()), Ok(trigger));
    }

    /// The same of what redistributors take without an ITS.
    #[test]
    fn direct_lpi_decode_is_total(value: u64, small in 8192_u64..0x100_0000) {
        if let Ok(write) = LpiWrite::decode(value) {
            prop_assert_eq!(write.encode(), value);
        }
        prop_assert_eq!(LpiWrite::decode(small).map(LpiWrite::encode), Ok(small));
    }

    /// What is taken is taken whole; nothing panics.
    #[test]
    fn decode_is_total(value: u64, small: u32) {
        if let Ok(route) = Route::decode(value) {
            prop_assert_eq!(route.encode(), value);
        }
        if let Ok(trigger) = SpiTrigger::decode(small) {
            prop_assert_eq!(trigger.encode(), small);
        }
        let kind = DistributorType::decode(small);
        prop_assert!((32..=1020).contains(&kind.spi_end()));
        prop_assert!((1..=32).contains(&kind.id_bits()));
        let _ = DistributorControl::decode(small).write_pending();
    }
}
