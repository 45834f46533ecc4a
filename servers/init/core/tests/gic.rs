//! Which redistributor is whose, and what no PCI window may have.

#[path = "../../../../libsys/firmware/tests/common/tree.rs"]
#[allow(dead_code, reason = "it is there to change trees with, too")]
mod tree;

use init_core::gic::{redistributor, taken};
use init_core::windows::Range;
use std::collections::BTreeMap;
use tocsin_firmware::arm::{Affinity, Cpu, Platform, Range as Found, Redistributors};

/// GICR_TYPER: frames for virtual LPIs, and the last of its region (IHI 0069H §12.11).
const VIRTUAL_LPIS: u64 = 1 << 1;
const LAST: u64 = 1 << 4;

/// QEMU's `virt` with other redistributors.
fn platform(regions: &[(u64, u64, Option<u64>)]) -> Platform {
    let mut platform = Platform::from_device_tree(&tree::virt().blob()).expect("a good tree");
    platform.gic.redistributors.clear();
    for &(base, size, stride) in regions {
        let region = Redistributors { range: Found { base, size }, stride };
        platform.gic.redistributors.push(region).expect("room");
    }
    platform
}

fn find(platform: &Platform, typers: &BTreeMap<u64, u64>, cpu: u32) -> Option<u64> {
    redistributor(platform, Affinity::from_bits(cpu), |at| typers.get(&at).copied())
}

#[test]
fn each_cpu_finds_its_own() {
    // As on QEMU's `virt` with three CPUs: affinities 0 to 2, the last one is marked.
    let platform = platform(&[(0x80a_0000, 0xf6_0000, None)]);
    let typers = BTreeMap::from([
        (0x80a_0000, 0),
        (0x80c_0000, 1 << 32 | 1 << 8),
        (0x80e_0000, 2 << 32 | 2 << 8 | LAST),
        // Behind the last one: never asked for.
        (0x810_0000, 3 << 32),
    ]);
    for (cpu, at) in [(0, 0x80a_0000), (1, 0x80c_0000), (2, 0x80e_0000)] {
        assert_eq!(find(&platform, &typers, cpu), Some(at));
    }
    assert_eq!(find(&platform, &typers, 3), None);
}

#[test]
fn strides_and_regions() {
    let cluster = |n: u64| (0x0100_0000 | n) << 32;
    let regions = [(0x1000_0000, 0x8_0000, None), (0x2000_0000, 0x18_0000, Some(0x8_0000))];
    let platform = platform(&regions);
    let typers = BTreeMap::from([
        (0x1000_0000, cluster(0) | VIRTUAL_LPIS),
        // No mark: the region's size ends it.
        (0x1004_0000, cluster(1) | VIRTUAL_LPIS),
        (0x1008_0000, cluster(7)),
        (0x2000_0000, cluster(2)),
        (0x2008_0000, cluster(3) | VIRTUAL_LPIS),
        (0x2010_0000, cluster(4) | LAST),
    ]);
    let expected = [0x1000_0000, 0x1004_0000, 0x2000_0000, 0x2008_0000, 0x2010_0000];
    for (n, at) in (0..).zip(expected) {
        assert_eq!(find(&platform, &typers, 0x0100_0000 | n), Some(at), "{n}");
    }
    assert_eq!(find(&platform, &typers, 0x0100_0007), None, "outside of the region");
}

#[test]
fn one_for_each_cpu_as_the_madt_may_say() {
    let mut platform = platform(&[]);
    let cpu = |affinity, redistributor| Cpu {
        affinity: Affinity::from_bits(affinity),
        enabled: true,
        redistributor,
    };
    platform.cpus.clear();
    for cpu in [cpu(0, Some(0x5000_0000)), cpu(0x100, Some(0x6000_0000)), cpu(2, None)] {
        platform.cpus.push(cpu).expect("room");
    }
    let none = BTreeMap::new();
    assert_eq!(find(&platform, &none, 0x100), Some(0x6000_0000));
    assert_eq!(find(&platform, &none, 2), None);
    assert_eq!(find(&platform, &none, 3), None);
}

#[test]
fn a_region_that_never_ends_does() {
    let platform = platform(&[(u64::MAX - 0x30_0000, 0x30_0000, Some(0x2_0000))]);
    let mut asked = 0;
    let found = redistributor(&platform, Affinity::from_bits(9), |_| {
        asked += 1;
        Some(0)
    });
    assert_eq!((found, asked), (None, 24));
}

#[test]
fn everything_of_the_platform_is_taken() {
    let mut platform = platform(&[(0x80a_0000, 0xf6_0000, None)]);
    platform.gic.mbi.alias = Some(0x700_0000);
    platform.cpus[0].redistributor = Some(0x600_0000);
    let taken: Vec<Range> = taken(&platform).collect();
    for expected in [
        Range::new(0x800_0000, 0x1_0000),
        Range::new(0x80a_0000, 0xf6_0000),
        Range::new(0x600_0000, 0x2_0000),
        Range::new(0x808_0000, 0x2_0000),
        Range::new(0x700_0000, 0x1_0000),
        Range::new(0x900_0000, 0x1000),
    ] {
        assert!(taken.contains(&expected), "{expected}");
    }
    assert_eq!(taken.len(), 6);
}
