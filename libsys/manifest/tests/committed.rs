//! The manifests in `boot/`: each is read, keeps the rules, and survives the way to the target.

use tocsin_manifest::{Grant, Manifest, from_toml, quirks_from_toml};

const BOOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../boot");

/// Every manifest in the repository, by name.
fn committed() -> Vec<(String, Manifest)> {
    let quirks = std::fs::read_to_string(format!("{BOOT}/quirks.toml")).unwrap();
    let quirks = quirks_from_toml(&quirks).unwrap_or_else(|error| panic!("quirks: {error}"));
    let variants = std::fs::read_dir(format!("{BOOT}/manifests")).unwrap();
    let mut paths: Vec<_> = variants.map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    // The list would be empty, and the tests green, if the folder had moved.
    assert!(paths.len() >= 3, "{paths:?}");
    paths.push(format!("{BOOT}/manifest.toml").into());
    paths
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let manifest = from_toml(&text, quirks.clone());
            let manifest = manifest.unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, manifest)
        })
        .collect()
}

fn read(which: &str) -> Manifest {
    let mut all = committed().into_iter();
    all.find(|(name, _)| name == which).unwrap().1
}

#[test]
fn every_committed_manifest_survives_the_way_to_the_target() {
    for (name, manifest) in committed() {
        let bytes = manifest.to_bytes().unwrap();
        assert!(bytes.len() < 4096, "{name} has {} bytes", bytes.len());
        assert_eq!(Manifest::from_bytes(&bytes).unwrap(), manifest, "{name}");
    }
}

/// What everybody relies on: only the interrupt server has authority over interrupts, only the PCI server over devices, and
/// a driver speaks for its own device only.
#[test]
fn authority_is_where_it_belongs() {
    for (name, manifest) in committed() {
        // The tests of the kernel's objects run without an interrupt server and hold the vector space themselves.
        if name == "kernel" {
            assert!(manifest.drivers.is_empty() && manifest.receiver("interrupt").is_none());
            continue;
        }
        // One other set of tests plays a device there.
        let is_test =
            |program: &tocsin_manifest::Program| name == "testd" && program.name == "testd";
        let mut private = manifest.programs().filter(|p| p.grants.contains(&Grant::GicPrivate));
        assert!(private.all(is_test), "{name}: only tests silence the kernel");
        let holder = |wanted: &Grant| {
            let mut holders = manifest.programs().filter(|program| program.grants.contains(wanted));
            (holders.next().map(|program| program.name.clone()), holders.next().is_some())
        };
        for (grant, server) in [
            (Grant::MessageControl, "interrupt"),
            (Grant::Vtd, "interrupt"),
            (Grant::AmdVi, "interrupt"),
            (Grant::IoApic, "interrupt"),
            (Grant::Gic, "interrupt"),
            (Grant::Uart, "console"),
            (Grant::Ecam, "pci"),
            (Grant::PciWindow, "pci"),
            (Grant::DebugLog, "console"),
        ] {
            assert_eq!(holder(&grant), (Some(server.to_owned()), false), "{name}");
        }
        for driver in &manifest.drivers {
            let may_mint = |grant: &Grant| matches!(grant, Grant::Mint(_));
            assert!(!driver.program.grants.iter().any(may_mint), "{name}");
            let may_inspect = |grant: &Grant| matches!(grant, Grant::Inspect(_));
            assert!(!driver.program.grants.iter().any(may_inspect), "{name}");
        }
        let urgent = manifest.program("interrupt").unwrap().priority;
        assert!(manifest.programs().all(|program| program.priority <= urgent));
    }
}

#[test]
fn the_demonstration_has_its_parts() {
    let manifest = read("manifest");
    assert_eq!(
        manifest.modules(),
        ["console", "interrupt", "pci", "inspect", "demo", "edu", "lsi"]
    );
    assert_eq!(manifest.receiver("report").unwrap().name, "demo");
    let lsi = &manifest.drivers[1];
    assert_eq!((lsi.device.vendor, lsi.device.device), (0x1000, 0x0012));
    // 256 slots in script RAM and 2048 in system memory, each with a message.
    assert!(lsi.quota >= 256 + 2048);
    assert_eq!(
        read("testd").modules(),
        ["console", "interrupt", "pci", "testd", "hostile", "edu", "lsi"]
    );
    assert_eq!(read("bench").system.main, "bench");
    // QEMU's DMA writes carry no requester id: to an ITS they are device 0's.
    let quirk = manifest.quirks.iter().find(|quirk| {
        (quirk.device.vendor, quirk.device.device) == (lsi.device.vendor, lsi.device.device)
    });
    assert_eq!(quirk.map(|quirk| quirk.dma_device_id), Some(0));
    // To an AMD IOMMU they are the IO APIC's, 00:14.0.
    assert_eq!(quirk.and_then(|quirk| quirk.amdvi_dma_id), Some(0x14 << 3));
}

#[test]
fn budgets_fit_in_the_smallest_machine() {
    for (name, manifest) in committed() {
        let kib: u32 = manifest.programs().map(|program| program.budget_kib).sum();
        assert!(kib <= 96 << 10, "{name}: {kib} KiB of 128 MiB");
    }
}
