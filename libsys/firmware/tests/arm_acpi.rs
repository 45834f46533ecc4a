//! Arm machines from ACPI, and the views that this takes.

mod common;

use common::acpi::{entry, fadt, gicc, gicd, gicr, gtdt, its, madt, memory, spcr, virt};
use common::{fix_checksum, table};
use tocsin_firmware::arm::{
    Affinity, Conduit, Console, ConsoleKind, Error, Fault, Its, ItsName, Part, Platform, Range,
    Redistributors,
};
use tocsin_firmware::gic::{CpuInterface, MsiFrame};
use tocsin_firmware::gtdt::TimerInterrupt;
use tocsin_firmware::madt::Entry;
use tocsin_firmware::spcr::SerialPort;
use tocsin_firmware::{Error as AcpiError, Fadt, Gtdt, Madt, Root, Signature, Spcr};

fn read(tables: &[Vec<u8>]) -> Result<Platform, Error> {
    let memory = memory(tables);
    let root = Root::read(&memory, 0x1000).unwrap();
    Platform::from_acpi(&memory, &root)
}

fn wrong(part: Part, fault: Fault) -> Error {
    Error::Part { part, fault }
}

const fn range(base: u64, size: u64) -> Range {
    Range { base, size }
}

#[test]
fn virt_of_qemu() {
    let platform = read(&virt()).unwrap();
    assert_eq!((platform.gic.version, platform.gic.distributor), (3, range(0x800_0000, 0x1_0000)));
    let redistributors = Redistributors { range: range(0x080a_0000, 0xf6_0000), stride: None };
    assert_eq!(platform.gic.redistributors, [redistributors]);
    let its = Its { range: range(0x0808_0000, 0x2_0000), name: ItsName::Id(0) };
    assert_eq!(platform.gic.its, [its]);
    let affinities: Vec<_> = platform.cpus.iter().map(|cpu| cpu.affinity.bits()).collect();
    assert_eq!((affinities, platform.cpu_count), (vec![0, 1], 2));
    assert_eq!(platform.conduit, Some(Conduit::Hvc));
    assert_eq!(platform.virtual_timer, 27);
    let console = platform.console.unwrap();
    assert_eq!((console.kind, console.range), (ConsoleKind::Pl011, range(0x900_0000, 0x1000)));
    assert_eq!(console.interrupt, Some(33));
    assert_eq!(platform.notes, []);
}

#[test]
fn a_redistributor_for_each_cpu() {
    let cpus = [gicc(1, 0x10_0000, 0x12_0034_5678), gicc(1, 0x14_0000, 1), gicc(8, 0, 2)];
    let platform = read(&[madt(&[cpus.concat(), gicd(0x800_0000, 0)])]).unwrap();
    // Version 0 leaves it to the hardware; only from version 3 on there are redistributors.
    assert_eq!(platform.gic.version, 3);
    let found: Vec<_> = platform.cpus.iter().map(|cpu| cpu.redistributor).collect();
    assert_eq!(found, [Some(0x10_0000), Some(0x14_0000), None]);
    assert_eq!(platform.cpus[0].affinity, Affinity::from_bits(0x1234_5678));
    assert!(!platform.cpus[2].enabled);
    assert_eq!((platform.conduit, platform.console), (None, None));
    assert_eq!(platform.notes, []);
    // One that can run and has none is one too many.
    let lacks = madt(&[gicd(0x800_0000, 3), gicc(1, 0x10_0000, 0), gicc(1, 0, 1)]);
    assert_eq!(read(&[lacks]), Err(wrong(Part::Redistributor, Fault::Missing)));
    let old = madt(&[gicd(0x800_0000, 0), gicc(1, 0, 0)]);
    assert_eq!(read(&[old]).unwrap().gic.version, 2);
    let new = madt(&[gicd(0x800_0000, 4), gicc(1, 0, 0), gicr(0x10_0000, 0x2_0000)]);
    assert_eq!(read(&[new]).unwrap().gic.version, 3);
}

#[test]
fn mistakes_in_the_madt() {
    let with = |entries: &[Vec<u8>]| read(&[madt(entries)]).unwrap_err();
    let broken = |error| wrong(Part::Gic, Fault::Table(error));
    let (cpu, distributor) = (gicc(1, 0x10_0000, 0), gicd(0x800_0000, 3));
    let signature = Signature::MADT;
    let no_table = broken(AcpiError::NotFound { signature, nth: 0 });
    assert_eq!(read(&[fadt(1)]), Err(no_table));
    let mut bad = madt(&[cpu.clone(), distributor.clone()]);
    bad[50] ^= 1;
    assert_eq!(read(&[bad]), Err(broken(AcpiError::BadChecksum { signature })));
    assert_eq!(with(std::slice::from_ref(&cpu)), wrong(Part::Gic, Fault::Missing));
    assert_eq!(with(std::slice::from_ref(&distributor)), wrong(Part::Cpu, Fault::Missing));
    let idle = gicc(0, 0x10_0000, 0);
    assert_eq!(with(&[distributor.clone(), idle]), wrong(Part::Cpu, Fault::Missing));
    let bad_value = |what, value| Fault::BadValue { what, value };
    let five = with(&[cpu.clone(), gicd(0x800_0000, 5)]);
    assert_eq!(five, wrong(Part::Gic, bad_value("the GIC's version", 5)));
    for base in [0, 0xffff_ffff_ffff_8000] {
        let nowhere = with(&[cpu.clone(), gicd(base, 3)]);
        assert_eq!(nowhere, wrong(Part::Gic, bad_value("the address", base)));
    }
    let empty = with(&[cpu.clone(), distributor.clone(), gicr(0x10_0000, 0)]);
    assert_eq!(empty, wrong(Part::Redistributor, bad_value("the address", 0x10_0000)));
    let mpidr = with(&[distributor.clone(), gicc(1, 0, 1 << 31)]);
    let error = AcpiError::BadValue { what: "MADT GICC MPIDR", value: 1 << 31 };
    assert_eq!(mpidr, broken(error));
    let what = "MADT entry";
    let endless = with(&[distributor.clone(), vec![11, 0, 0, 0]]);
    assert_eq!(endless, broken(AcpiError::BadLength { what, length: 0 }));
    let cut = with(&[distributor.clone(), cpu[..70].to_vec()]);
    assert_eq!(cut, broken(AcpiError::Truncated { what, needed: 80, available: 70 }));
    // As ACPI 5.0 had it, without the MPIDR.
    let short = with(&[distributor.clone(), entry(11, 40, &[])]);
    let what = "MADT GICC entry";
    assert_eq!(short, broken(AcpiError::Truncated { what, needed: 76, available: 40 }));
    let ones = [distributor, cpu, its(1, 0), its(7, 0x20_0000)];
    let platform = read(&[madt(&ones)]).unwrap();
    assert_eq!(platform.notes, [wrong(Part::Its, bad_value("the address", 0))]);
    assert_eq!(platform.gic.its[0].name, ItsName::Id(7));
}

#[test]
fn mistakes_in_other_tables_are_noted() {
    let cpus = madt(&[gicd(0x800_0000, 3), gicc(1, 0x10_0000, 0)]);
    let with = |table: Vec<u8>| read(&[cpus.clone(), table]).unwrap();
    let spoilt = |mut table: Vec<u8>| {
        table[60] ^= 1;
        table
    };
    let checksum = |signature| Fault::Table(AcpiError::BadChecksum { signature });
    let fault = checksum(Signature::FADT);
    assert_eq!(with(spoilt(fadt(3))).notes, [wrong(Part::Psci, fault)]);
    let fault = checksum(Signature::GTDT);
    assert_eq!(with(spoilt(gtdt(27))).notes, [wrong(Part::Timer, fault)]);
    let fault = checksum(Signature::SPCR);
    assert_eq!(with(spoilt(spcr(3, 0, 0x1000))).notes, [wrong(Part::Console, fault)]);
    for intid in [0, 15, 32] {
        let what = "the virtual timer's INTID";
        let fault = Fault::BadValue { what, value: intid.into() };
        assert_eq!(with(gtdt(intid)).notes, [wrong(Part::Timer, fault)]);
    }
    let what = "the SPCR's address";
    for (space, base) in [(0, 0), (1, 0x3f8), (0, !0)] {
        let fault = Fault::BadValue { what, value: base };
        assert_eq!(with(spcr(3, space, base)).notes, [wrong(Part::Console, fault)]);
    }
    // A port of a kind that nobody here drives is no mistake.
    let other = with(spcr(0, 1, 0x3f8));
    assert_eq!((other.console, other.notes.len()), (None, 0));
    assert_eq!(with(spcr(14, 0, 0x1000)).console.unwrap().kind, ConsoleKind::Sbsa);
    assert_eq!(with(gtdt(20)).virtual_timer, 20);
}

/// What is wrong with the rest must be said somewhere.
#[test]
fn the_console_of_a_machine_without_anything_else() {
    let console = |tables: &[Vec<u8>]| {
        let memory = memory(tables);
        let root = Root::read(&memory, 0x1000).unwrap();
        Console::from_acpi(&memory, &root)
    };
    let found = console(&[spcr(3, 0, 0x900_0000)]).unwrap();
    assert_eq!((found.kind, found.range), (ConsoleKind::Pl011, range(0x900_0000, 0x1000)));
    let broken = [spcr(3, 0, 0), spcr(0, 0, 0x1000), gtdt(27)];
    assert!(broken.into_iter().all(|table| console(&[table]).is_none()));
}

#[test]
fn gic_entries() {
    let cpu = entry(
        11,
        82,
        &[
            (8, &[7]),
            (12, &[9, 0, 0, 0]),
            (20, &[23]),
            (32, &0x1234_0000u64.to_le_bytes()),
            (60, &[0, 0, 2]),
            (68, &[1, 2, 3, 0, 4]),
        ],
    );
    let frame = entry(13, 24, &[(4, &[2]), (8, &[0, 0x10]), (16, &[1]), (20, &[8, 0, 64, 0])]);
    let plain = entry(13, 24, &[(20, &[8, 0, 64, 0])]);
    let bytes = madt(&[cpu, frame, plain]);
    let entries: Vec<_> = Madt::parse(&bytes).unwrap().entries().collect();
    let cpu = CpuInterface {
        uid: 7,
        enabled: true,
        online_capable: false,
        base: 0x1234_0000,
        redistributor: 0x2_0000,
        mpidr: 0x04_0003_0201,
        performance_gsiv: 23,
    };
    assert_eq!(entries[0], Ok(Entry::CpuInterface(cpu)));
    let frame = MsiFrame { id: 2, base: 0x1000, spis: Some((64, 8)) };
    assert_eq!(entries[1], Ok(Entry::MsiFrame(frame)));
    let frame = MsiFrame { id: 0, base: 0, spis: None };
    assert_eq!(entries[2], Ok(Entry::MsiFrame(frame)));
    // Each kind one byte too short.
    for (kind, length) in [(12, 20), (13, 23), (14, 15), (15, 15)] {
        let bytes = madt(&[entry(kind, length, &[])]);
        let entries: Vec<_> = Madt::parse(&bytes).unwrap().entries().collect();
        assert!(matches!(entries[..], [Err(AcpiError::Truncated { .. })]), "{kind}");
    }
}

#[test]
fn fadt_flags() {
    let conduit = |boot| Fadt::parse(&fadt(boot)).unwrap().conduit;
    let found = [0, 1, 2, 3].map(conduit);
    // HVC without PSCI is nothing.
    assert_eq!(found, [None, Some(Conduit::Smc), None, Some(Conduit::Hvc)]);
    assert!(Fadt::parse(&fadt(0)).unwrap().is_hardware_reduced());
    // A PC's table ends before the field.
    let old = Fadt::parse(&table(b"FACP", &[0; 80])).unwrap();
    assert_eq!((old.conduit, old.is_hardware_reduced()), (None, false));
    let what = "FADT";
    let error = AcpiError::Truncated { what, needed: 116, available: 100 };
    assert_eq!(Fadt::parse(&table(b"FACP", &[0; 64])), Err(error));
}

#[test]
fn gtdt_timers() {
    let gtdt = Gtdt::parse(&gtdt(27)).unwrap();
    let timer =
        |gsiv, always_on| TimerInterrupt { gsiv, edge: false, active_low: false, always_on };
    assert_eq!((gtdt.physical, gtdt.virtual_timer), (timer(30, true), timer(27, false)));
    assert_eq!(gtdt.hypervisor, timer(26, false));
    assert!(Gtdt::parse(&table(b"GTDT", &[0; 43])).is_err());
}

#[test]
fn spcr_ports() {
    let found = Spcr::parse(&spcr(13, 0, 0x900_0000)).unwrap();
    assert_eq!((found.port, found.base, found.gsiv), (SerialPort::Sbsa, 0x900_0000, Some(33)));
    // In revision 1 the same byte is the kind of a 16550.
    let mut old = spcr(3, 0, 0x900_0000);
    old[8] = 1;
    old[52] = 1;
    fix_checksum(&mut old, 9);
    let found = Spcr::parse(&old).unwrap();
    assert_eq!((found.port, found.gsiv), (SerialPort::Other(0), None));
    let error = AcpiError::BadValue { what: "SPCR address space", value: 2 };
    assert_eq!(Spcr::parse(&spcr(3, 2, 0)), Err(error));
}
