//! Arm's translation tables: constants worked out by hand from DDI 0487, D8.3, both ways, and
//! any bits.

use proptest::prelude::*;

use crate::stage1::{
    Access, BLOCK_LEVEL, Descriptor, Leaf, Memory, Owner, PAGE_LEVEL, PHYSICAL_BYTES, ROOT_LEVEL,
    Space, index, span,
};

fn leaf(address: u64, owner: Owner, memory: Memory, access: Access) -> Descriptor {
    Descriptor::Leaf(Leaf { address, owner, memory, access })
}

/// Level, value, bits. A page of normal memory has 1:0 = 11, SH 9:8 = 11, AF = bit 10; a user's
/// AP[1] = bit 6 and nG = bit 11; what is not writable AP[2] = bit 7; PXN = bit 53, UXN = bit 54;
/// the second place of MAIR_EL1 is 4:2 = 001.
fn by_hand() -> [(u32, Descriptor, u64); 11] {
    use Access::{Execute, Read, Write};
    use Memory::{Device, Normal};
    use Owner::{Kernel, User};
    [
        (0, Descriptor::None, 0),
        (3, Descriptor::None, 0),
        (0, Descriptor::Table(0x4123_4000), 0x4123_4003),
        (3, leaf(0x4000_1000, User, Normal, Write), 0x0060_0000_4000_1f43),
        (3, leaf(0x4000_2000, User, Normal, Execute), 0x0020_0000_4000_2fc3),
        (3, leaf(0x4000_3000, User, Normal, Read), 0x0060_0000_4000_3fc3),
        (3, leaf(0x0a00_0000, User, Device, Write), 0x0060_0000_0a00_0f47),
        (3, leaf(0x4008_0000, Kernel, Normal, Execute), 0x0040_0000_4008_0783),
        (3, leaf(0x4009_0000, Kernel, Normal, Read), 0x0060_0000_4009_0783),
        (2, leaf(0x4020_0000, Kernel, Normal, Write), 0x0060_0000_4020_0701),
        (2, leaf(0xffff_ffe0_0000, Kernel, Device, Write), 0x0060_ffff_ffe0_0705),
    ]
}

#[test]
fn descriptors_are_those_of_the_manual() {
    for (level, descriptor, bits) in by_hand() {
        assert_eq!(descriptor.encode(level), bits, "{descriptor:x?} at level {level}");
        assert_eq!(Descriptor::decode(bits, level), Some(descriptor), "{bits:#x}");
    }
}

#[test]
fn what_the_kernel_never_writes_is_nothing() {
    // A table at the last level is a page without attributes; a block of 1 GiB; a block that is
    // not aligned; a page without AF; an attribute of the third place; DBM; a kernel's page that
    // user mode may execute; a user's that the kernel may; bit 50.
    for (level, bits) in [
        (3, 0x4123_4003),
        (3, 0x4123_4001),
        (1, 0x0060_0000_4000_0701),
        (2, 0x0060_0000_4020_1701),
        (3, 0x0060_0000_4000_1b43),
        (3, 0x0060_0000_4000_1f4b),
        (3, 0x0068_0000_4000_1f43),
        (3, 0x0000_0000_4008_0783),
        (3, 0x0040_0000_4000_2fc3),
        (3, 0x0064_0000_4000_1f43),
        (0, 2),
    ] {
        assert_eq!(Descriptor::decode(bits, level), None, "{bits:#x} at level {level}");
    }
}

#[test]
fn nobody_executes_what_is_not_theirs_or_writable() {
    const PXN: u64 = 1 << 53;
    const UXN: u64 = 1 << 54;
    const READ_ONLY: u64 = 1 << 7;
    for owner in [Owner::Kernel, Owner::User] {
        for memory in [Memory::Normal, Memory::Device] {
            for access in [Access::Read, Access::Write, Access::Execute] {
                let bits = leaf(0, owner, memory, access).encode(PAGE_LEVEL);
                let never = if owner == Owner::User { PXN } else { UXN };
                assert_ne!(bits & never, 0);
                assert!(bits & READ_ONLY != 0 || bits & (PXN | UXN) == PXN | UXN);
            }
        }
    }
}

#[test]
fn places_in_tables() {
    // 0x0000_7123_4567_8000: 9 bits each from bit 39, 30, 21, 12.
    let address = 0x0000_7123_4567_8000;
    assert_eq!([0, 1, 2, 3].map(|level| index(address, level)), [226, 141, 43, 120]);
    assert_eq!([0, 1, 2, 3].map(span), [1 << 39, 1 << 30, 2 << 20, 4096]);
    assert_eq!(index(0xffff_ffff_8000_0000, ROOT_LEVEL), 511);
    assert_eq!(index(0xffff_ffff_8000_0000, 1), 510);
}

#[test]
fn spaces_are_those_of_the_manual() {
    // TTBR0_EL1: ASID 63:48, table 47:1. TLBI: ASID 63:48, address 55:12 in 43:0.
    let space = Space::new(0x4123_4000, 0x1234);
    assert_eq!(space.bits(), 0x1234_0000_4123_4000);
    assert_eq!(space.flush_all(), 0x1234_0000_0000_0000);
    assert_eq!(space.flush_page(0x0000_7000_0000_5fff), 0x1234_0007_0000_0005);
    assert_eq!((space.root(), space.asid()), (0x4123_4000, 0x1234));
}

proptest! {
    #[test]
    fn leaves_go_both_ways(
        page in 0..PHYSICAL_BYTES >> 12,
        owner in prop_oneof![Just(Owner::Kernel), Just(Owner::User)],
        memory in prop_oneof![Just(Memory::Normal), Just(Memory::Device)],
        access in prop_oneof![Just(Access::Read), Just(Access::Write), Just(Access::Execute)],
    ) {
        for level in [BLOCK_LEVEL, PAGE_LEVEL] {
            let descriptor = leaf(page << 12 & !(span(level) - 1), owner, memory, access);
            prop_assert_eq!(Descriptor::decode(descriptor.encode(level), level), Some(descriptor));
        }
        let table = Descriptor::Table(page << 12);
        prop_assert_eq!(Descriptor::decode(table.encode(ROOT_LEVEL), ROOT_LEVEL), Some(table));
    }

    #[test]
    fn any_bits_decode_to_what_makes_them(bits: u64, level in 0..4u32) {
        if let Some(descriptor) = Descriptor::decode(bits, level) {
            prop_assert_eq!(descriptor.encode(level), bits);
        }
    }

    #[test]
    fn spaces_go_both_ways(page in 1..PHYSICAL_BYTES >> 12, asid: u16) {
        let space = Space::from_bits(Space::new(page << 12, asid).bits());
        prop_assert_eq!((space.root(), space.asid()), (page << 12, asid));
    }
}
