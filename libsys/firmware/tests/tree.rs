//! Opening device trees: what opens can be walked to its end without a panic, whatever the bytes are.

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node, Property};
use proptest::prelude::*;
use tocsin_firmware::tree::{TreeDamage, open, total_size};

/// A writer of blobs as the Devicetree Specification 0.4, chapter 5, lays them out.
#[derive(Default)]
struct Blob {
    structure: Vec<u8>,
    strings: Vec<u8>,
}

impl Blob {
    fn word(mut self, word: u32) -> Self {
        self.structure.extend(word.to_be_bytes());
        self
    }

    fn padded(mut self, bytes: &[u8]) -> Self {
        self.structure.extend(bytes);
        self.structure.resize(self.structure.len().next_multiple_of(4), 0);
        self
    }

    fn begin(self, name: &str) -> Self {
        self.word(1).padded(format!("{name}\0").as_bytes())
    }

    fn property(mut self, name: &str, value: &[u8]) -> Self {
        let at = self.strings.len() as u32;
        self.strings.extend(format!("{name}\0").as_bytes());
        self.word(3).word(value.len() as u32).word(at).padded(value)
    }

    fn end(self) -> Self {
        self.word(2)
    }

    fn build(self, reservations: &[(u64, u64)]) -> Vec<u8> {
        let structure = 40 + 16 * (reservations.len() + 1);
        let strings = structure + self.structure.len();
        let mut blob = Vec::new();
        for field in [
            0xd00d_feed,
            strings + self.strings.len(),
            structure,
            strings,
            40,
            17,
            16,
            0,
            self.strings.len(),
            self.structure.len(),
        ] {
            blob.extend((field as u32).to_be_bytes());
        }
        for (base, size) in reservations.iter().chain([&(0, 0)]) {
            blob.extend(base.to_be_bytes());
            blob.extend(size.to_be_bytes());
        }
        blob.extend(self.structure);
        blob.extend(self.strings);
        blob
    }
}

/// A small board with a property whose name is longer than the specification allows, as real ones have.
const LONG: &str = "snps,dis-del-phy-power-chg-quirk";

fn board() -> Vec<u8> {
    Blob::default()
        .begin("")
        .property("#address-cells", &2_u32.to_be_bytes())
        .property("model", b"test\0")
        .word(4)
        .begin("memory@40000000")
        .property("reg", &[0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 1, 0])
        .end()
        .begin("usb@1")
        .property(LONG, &[])
        .begin("a-child-that-has-an-unusual-name#x")
        .end()
        .end()
        .word(4)
        .end()
        .word(9)
        .build(&[(0x4000_0000, 0x1000)])
}

/// Touches everything and counts the nodes.
fn walk(node: &FdtNode<'_>) -> usize {
    let _ = node.name();
    for property in node.properties() {
        let _ = (property.name(), property.value());
    }
    let _ = node.reg().map(|reg| reg.map(Iterator::count));
    1 + node.children().map(|child| walk(&child)).sum::<usize>()
}

fn walk_all(tree: Fdt<'_>) -> (usize, usize) {
    (walk(&tree.root()), tree.memory_reservations().count())
}

#[test]
fn a_board_with_long_names_opens() {
    let blob = board();
    assert!(Fdt::new(&blob).is_err(), "dtoolkit takes it by itself now: tree::check can go");
    let tree = open(&blob).unwrap();
    assert_eq!(walk_all(tree), (4, 1));
    let usb = tree.find_node("/usb@1").unwrap();
    assert_eq!(usb.properties().next().unwrap().name(), LONG);
    // A blob in a larger buffer, as a loader finds it.
    let mut longer = blob.clone();
    longer.extend([7; 9]);
    assert_eq!(open(&longer).unwrap().data(), blob);
    assert_eq!(total_size(blob.first_chunk().unwrap()), Ok(blob.len()));
}

#[test]
fn says_what_is_wrong() {
    let what = |blob: &[u8]| open(blob).map(|_| ()).unwrap_err();
    let patched = |at: usize, value: u32| {
        let mut blob = board();
        blob[at..at + 4].copy_from_slice(&value.to_be_bytes());
        what(&blob)
    };
    assert_eq!(what(&[]), TreeDamage { offset: 0, what: "it is too short" });
    assert!(what(&board()[..100]).what.contains("truncated"));
    assert!(patched(0, 1).to_string().contains("d00dfeed"));
    assert!(patched(4, 39).what.contains("smaller"));
    assert!(patched(8, 0x1000_0000).what.contains("structure"));
    assert!(patched(12, 1).what.contains("strings"));
    assert!(patched(16, 0xffff_fff0).what.contains("reservations"));
    assert!(patched(20, 16).what.contains("version"));
    assert_eq!(patched(72, 7).offset, 72);
    let unfinished = Blob::default().begin("").begin("a").end().word(9).build(&[]);
    assert!(what(&unfinished).what.contains("token"));
    let cut = Blob::default().begin("").word(3).word(1000).word(0).build(&[]);
    assert!(what(&cut).what.contains("longer than the tree"));
    let late = Blob::default().begin("").begin("a").end().property("p", &[]).end().word(9);
    assert!(what(&late.build(&[])).what.contains("token"));
    let two_roots = Blob::default().begin("").end().begin("b").end().word(9);
    assert!(what(&two_roots.build(&[])).what.contains("token"));
}

#[test]
fn every_truncation_is_refused() {
    let blob = board();
    for length in 0..blob.len() {
        assert!(open(&blob[..length]).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_damaged_board_never_panics(changes in prop::collection::vec((0..400_usize, any::<u8>()), 1..6)) {
        let mut blob = board();
        for (at, value) in changes {
            let at = at % blob.len();
            blob[at] = value;
        }
        if let Ok(tree) = open(&blob) {
            walk_all(tree);
        }
    }

    #[test]
    fn words_in_the_structure_never_panic(words in prop::collection::vec(0..10_u32, 1..40)) {
        let mut blob = Blob::default().property("name", &[]);
        blob.structure.clear();
        let blob = words.into_iter().fold(blob, Blob::word).build(&[]);
        if let Ok(tree) = open(&blob) {
            walk_all(tree);
        }
    }
}
