//! From the RSDP to the blob, through a model of physical memory.

mod common;

use common::{Memory, fix_checksum, hex, q35, rsdp_v1, rsdp_v2, table};
use tocsin_firmware::{
    Blob, Error, MAX_TABLES, Madt, Mcfg, Root, SDT_HEADER_BYTES, Signature, blob,
};

const BASE: u64 = 0x7fe_0000;
const RSDP: u64 = BASE;
const ROOT_TABLE: u64 = BASE + 0x100;
const TABLES: u64 = BASE + 0x1000;

/// A machine with these tables, listed by an XSDT or (`wide` false) by an RSDT.
fn machine(tables: &[Vec<u8>], wide: bool) -> Memory {
    let mut memory = Memory::new(BASE, 0x1_0000);
    let mut pointers = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        let address = TABLES + index as u64 * 0x100;
        memory.put(address, table);
        if wide {
            pointers.extend_from_slice(&address.to_le_bytes());
        } else {
            pointers.extend_from_slice(&(address as u32).to_le_bytes());
        }
    }
    let (rsdp, signature) = if wide {
        // The RSDT pointer leads nowhere: it must not be used.
        (rsdp_v2(1, ROOT_TABLE), b"XSDT")
    } else {
        (rsdp_v1(ROOT_TABLE as u32), b"RSDT")
    };
    memory.put(RSDP, &rsdp);
    memory.put(ROOT_TABLE, &table(signature, &pointers));
    memory
}

fn q35_tables() -> Vec<Vec<u8>> {
    [q35::MADT, q35::MCFG, q35::DMAR, q35::HPET].map(hex).to_vec()
}

#[test]
fn both_root_tables_lead_to_the_same_blob() {
    let mut tables_found = Vec::new();
    for wide in [false, true] {
        let memory = machine(&q35_tables(), wide);
        let root = Root::read(&memory, RSDP).unwrap();
        assert_eq!(root.rsdp().len(), if wide { 36 } else { 20 });
        let mut out = vec![0xaa; blob::size(&memory, &root)];
        let gathered = blob::gather(&memory, &root, &mut out).unwrap();
        assert_eq!((gathered.tables, gathered.skipped), (4, 0));
        assert_eq!(gathered.bytes, out.len());
        let blob = Blob::parse(&out).unwrap();
        assert_eq!(blob.find(Signature::RSDP, 0).unwrap(), root.rsdp());
        let found: Vec<_> = blob.tables().skip(1).map(|(_, b)| b.to_vec()).collect();
        assert_eq!(found, q35_tables());
        tables_found.push(found);
        assert!(Madt::parse(blob.find(Signature::MADT, 0).unwrap()).is_ok());
        assert!(Mcfg::parse(blob.find(Signature::MCFG, 0).unwrap()).is_ok());
        let signature = Signature::MADT;
        assert_eq!(blob.find(signature, 1), Err(Error::NotFound { signature, nth: 1 }));
    }
    assert_eq!(tables_found[0], tables_found[1]);
}

#[test]
fn the_blob_has_the_documented_bytes() {
    let mut out = [0xff; 64];
    let mut writer = blob::Writer::new(&mut out, 1).unwrap();
    assert!(writer.is_empty());
    writer.add(Signature::HPET, &[1, 2, 3]).unwrap();
    assert!(matches!(writer.add(Signature::HPET, &[]), Err(Error::TooManyTables { count: 2 })));
    assert_eq!(writer.len(), 40);
    let mut expected = b"TOCSACPI".to_vec();
    expected.extend(hex("01000000 01000000 48504554 20000000 03000000 00000000 0102030000000000"));
    assert_eq!(out[..40], expected);
    assert!(out[40..].iter().all(|byte| *byte == 0xff));
}

#[test]
fn a_table_is_copied_and_verified() {
    let memory = machine(&q35_tables(), true);
    let root = Root::read(&memory, RSDP).unwrap();
    let location = root.find(&memory, Signature::MADT, 0).unwrap();
    let mut buffer = [0; 256];
    let table = location.copy(&memory, &mut buffer).unwrap();
    assert_eq!(table.bytes(), hex(q35::MADT));
    let (needed, available) = (128, 127);
    assert_eq!(location.copy(&memory, &mut [0; 127]), Err(Error::NoSpace { needed, available }));
}

#[test]
fn one_bad_table_does_not_hide_the_others() {
    let mut tables = q35_tables();
    tables[1][40] ^= 1; // checksum
    tables[3][4..8].copy_from_slice(&0xffff_ffffu32.to_le_bytes()); // length
    let memory = machine(&tables, true);
    let root = Root::read(&memory, RSDP).unwrap();
    let mut out = vec![0; blob::size(&memory, &root)];
    let gathered = blob::gather(&memory, &root, &mut out).unwrap();
    assert_eq!((gathered.tables, gathered.skipped), (2, 2));
    let blob = Blob::parse(&out).unwrap();
    let names: Vec<_> = blob.tables().map(|(signature, _)| signature).collect();
    assert_eq!(names, [Signature::RSDP, Signature::MADT, Signature::DMAR]);
}

#[test]
fn null_and_wild_pointers() {
    let mut memory = machine(&q35_tables(), true);
    let mut pointers = [0, 0xffff_ffff_ffff_fff0, TABLES, 4].map(u64::to_le_bytes).concat();
    pointers.extend([1, 2, 3]); // a partial pointer at the end is no entry
    memory.put(ROOT_TABLE, &table(b"XSDT", &pointers));
    let root = Root::read(&memory, RSDP).unwrap();
    let entries: Vec<_> = root.entries(&memory).collect();
    assert_eq!(entries.len(), 3);
    assert!(matches!(entries[0], Err(Error::Unreadable { address: 0xffff_ffff_ffff_fff0 })));
    assert!(entries[1].is_ok());
    assert_eq!(entries[2], Err(Error::Unreadable { address: 4 }));
}

#[test]
fn a_broken_root_is_refused_with_its_reason() {
    let good = machine(&q35_tables(), true);
    let refused = |memory: &Memory| Root::read(memory, RSDP).unwrap_err();
    let with = |at: u64, bytes: &[u8]| {
        let mut memory = Memory::new(BASE, good.bytes.len());
        memory.bytes.clone_from(&good.bytes);
        memory.put(at, bytes);
        memory
    };
    assert_eq!(Root::read(&good, 0).unwrap_err(), Error::Unreadable { address: 0 });
    assert_eq!(Root::read(&good, RSDP + 16).unwrap_err(), Error::NotRsdp { address: RSDP + 16 });
    let signature = Signature::RSDP;
    // First checksum, then the one over all 36 bytes.
    assert_eq!(refused(&with(RSDP + 9, b"X")), Error::BadChecksum { signature });
    assert_eq!(refused(&with(RSDP + 24, b"X")), Error::BadChecksum { signature });
    assert_eq!(refused(&with(RSDP, &rsdp_v2(0, 0))), Error::NoRootTable);
    assert_eq!(refused(&with(RSDP, &rsdp_v1(0))), Error::NoRootTable);
    let mut long = rsdp_v2(1, ROOT_TABLE);
    long[20] = 40;
    fix_checksum(&mut long, 32);
    assert!(matches!(refused(&with(RSDP, &long)), Error::BadLength { length: 40, .. }));
    assert!(matches!(refused(&with(ROOT_TABLE, b"RSDT")), Error::WrongSignature { .. }));
    let signature = Signature::XSDT;
    assert_eq!(refused(&with(ROOT_TABLE + 40, &[0x55; 1])), Error::BadChecksum { signature });
    let many = table(b"XSDT", &vec![0; (MAX_TABLES + 1) * 8]);
    assert_eq!(refused(&with(ROOT_TABLE, &many)), Error::TooManyTables { count: MAX_TABLES + 1 });
}

#[test]
fn a_blob_that_does_not_fit_is_refused() {
    let memory = machine(&q35_tables(), true);
    let root = Root::read(&memory, RSDP).unwrap();
    let size = blob::size(&memory, &root);
    for bytes in 0..size {
        let result = blob::gather(&memory, &root, &mut vec![0; bytes]);
        assert!(matches!(result, Err(Error::NoSpace { .. })), "{bytes}: {result:?}");
    }
}

#[test]
fn a_directory_that_points_outside_is_refused() {
    let memory = machine(&q35_tables(), true);
    let root = Root::read(&memory, RSDP).unwrap();
    let mut out = vec![0; blob::size(&memory, &root)];
    let used = blob::gather(&memory, &root, &mut out).unwrap().bytes;
    assert!(Blob::parse(&out[..used]).is_ok());
    assert_eq!(
        Blob::parse(&out[..used - SDT_HEADER_BYTES]).unwrap_err(),
        Error::BadDirectory { index: 4 }
    );
    out[8] = 2;
    assert_eq!(Blob::parse(&out).unwrap_err(), Error::NotBlob);
}
