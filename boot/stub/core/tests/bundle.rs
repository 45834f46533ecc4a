//! The archive reader and the bundle: what is whole is read as it was written, what is not is
//! refused with a place and a reason, and no bytes make it panic.

mod common;

use boot_stub_core::bundle::{Bundle, BundleError, MAX_MODULES, module_name};
use boot_stub_core::cpio::{CpioError, Damage, Entry, Files};
use common::{FILE, cpio, cpio_entry};
use proptest::prelude::*;

fn read(archive: &[u8]) -> Result<Vec<Entry<'_>>, CpioError> {
    Files::new(archive).collect()
}

fn damage(archive: &[u8]) -> Option<CpioError> {
    read(archive).err()
}

/// Written out by hand from cpio(5), so that reader and maker cannot share a mistake.
#[test]
fn reads_an_archive_written_by_hand() {
    let archive = concat!(
        "070701",
        "00000001",
        "000081a4",
        "00000000",
        "00000000",
        "00000001",
        "00000000",
        "00000005",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000002",
        "00000000",
        "a\0",
        "hello\0\0\0",
        "070701",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000001",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "0000000B",
        "00000000",
        "TRAILER!!!\0",
        "\0\0\0",
    );
    let expected = vec![Entry { name: "a", data: b"hello" }];
    assert_eq!(read(archive.as_bytes()), Ok(expected));
}

#[test]
fn names_what_is_damaged_and_where() {
    let good = cpio_entry("a", FILE, b"1234");
    let at = good.len();
    let second = |entry: Vec<u8>| damage(&[good.clone(), entry].concat());
    let error = |damage| Some(CpioError { offset: at, damage });

    assert_eq!(second(vec![]), error(Damage::HeaderCut));
    assert_eq!(second(cpio_entry("b", 0o040_755, b"")), error(Damage::NotAFile));
    assert_eq!(second(cpio_entry("b", 0o120_777, b"a")), error(Damage::NotAFile));
    assert_eq!(second(cpio_entry("", FILE, b"")), error(Damage::BadName));
    assert_eq!(second(cpio_entry("a\0b", FILE, b"")), error(Damage::BadName));

    let mut entry = cpio_entry("b", FILE, b"5678");
    entry[5] = b'2';
    assert_eq!(second(entry), error(Damage::BadMagic));
    let mut entry = cpio_entry("b", FILE, b"5678");
    entry[6 + 6 * 8] = b'+';
    assert_eq!(second(entry), error(Damage::BadNumber));
    let mut entry = cpio_entry("b", FILE, b"5678");
    entry[110] = 0xff;
    assert_eq!(second(entry), error(Damage::BadName));
    let mut entry = cpio_entry("b", FILE, b"5678");
    entry[111] = b'c';
    assert_eq!(second(entry), error(Damage::BadName));
    let entry = cpio_entry("b", FILE, b"5678");
    assert_eq!(second(entry[..111].to_vec()), error(Damage::NameCut));
    assert_eq!(second(entry[..115].to_vec()), error(Damage::DataCut));
}

#[test]
fn sizes_that_wrap_around_are_refused() {
    for field in [6, 11] {
        let mut entry = cpio_entry("b", FILE, b"");
        entry[6 + field * 8..][..8].copy_from_slice(b"ffffffff");
        assert!(damage(&entry).is_some());
    }
}

#[test]
fn a_bundle_has_a_kernel_first() {
    let archive = cpio(&[("kernel", b"K"), ("init crc32=00000000", b"I"), ("manifest", b"")]);
    let bundle = Bundle::parse(&archive).unwrap();
    assert_eq!(bundle.kernel.data, b"K");
    assert_eq!(bundle.modules.len(), 2);
    assert_eq!(module_name(bundle.modules[0].name), "init");

    for files in [&[][..], &[("init", b"I".as_slice())], &[("kernel2", b"K")]] {
        assert_eq!(Bundle::parse(&cpio(files)).err(), Some(BundleError::NoKernel));
    }
    let mut files = vec![("kernel", b"K".as_slice()); MAX_MODULES + 1];
    assert!(Bundle::parse(&cpio(&files)).is_ok());
    files.push(("one more", b""));
    assert_eq!(Bundle::parse(&cpio(&files)).err(), Some(BundleError::TooManyModules));
}

fn files() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let file = ("[a-z][a-z0-9 =]{0,20}", prop::collection::vec(any::<u8>(), 0..50));
    prop::collection::vec(file, 0..6)
}

fn write(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, data)| (name.as_str(), data.as_slice())).collect();
    cpio(&files)
}

proptest! {
    #[test]
    fn reads_what_was_written(files in files()) {
        let archive = write(&files);
        let read = read(&archive).unwrap();
        let read: Vec<_> =
            read.iter().map(|file| (file.name.to_owned(), file.data.to_vec())).collect();
        prop_assert_eq!(read, files);
    }

    /// Only the padding behind the trailer may be missing.
    #[test]
    fn every_truncation_is_noticed(files in files(), cut in any::<prop::sample::Index>()) {
        let archive = write(&files);
        let whole = archive.len() - 3;
        prop_assert!(read(&archive[..cut.index(whole)]).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Bundle::parse(&bytes);
    }

    #[test]
    fn no_damage_makes_it_panic(
        files in files(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut archive = write(&files);
        for (at, byte) in damage {
            let at = at.index(archive.len());
            archive[at] = byte;
        }
        let _ = Bundle::parse(&archive);
    }
}
