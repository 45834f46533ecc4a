//! Numbers of address spaces.

use std::boxed::Box;
use std::collections::BTreeSet;

use super::dice::Dice;
use crate::asids::Asids;

fn asids(bits: u32) -> Box<Asids> {
    let asids = Box::new(Asids::new());
    asids.set_bits(bits);
    asids
}

#[test]
fn none_before_the_size_is_known() {
    assert_eq!(Asids::new().alloc(), None);
}

#[test]
fn all_but_zero_once_each() {
    for (bits, count) in [(8, 255), (16, 65_535)] {
        let asids = asids(bits);
        let all: BTreeSet<u16> = core::iter::from_fn(|| asids.alloc()).collect();
        assert_eq!(all.len(), count);
        assert_eq!((all.first().copied(), all.last().copied()), (Some(1), Some(count as u16)));
        assert_eq!(asids.alloc(), None);
        asids.free(77);
        assert_eq!(asids.alloc(), Some(77));
        assert_eq!(asids.alloc(), None);
    }
}

#[test]
fn zero_is_never_given_back() {
    let asids = asids(8);
    asids.free(0);
    assert_eq!(asids.alloc(), Some(1));
}

#[test]
fn no_number_twice_at_a_time() {
    let (asids, mut dice) = (asids(8), Dice::new(7));
    let mut used = BTreeSet::new();
    for _ in 0..20_000 {
        if dice.below(2) == 0 {
            match asids.alloc() {
                Some(asid) => assert!(used.insert(asid)),
                None => assert_eq!(used.len(), 255),
            }
        } else if let Some(asid) = used.iter().nth(dice.below(256) as usize).copied() {
            used.remove(&asid);
            asids.free(asid);
        }
    }
}
