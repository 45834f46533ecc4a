//! What the platform's model knows of its vectors, and how an address space ends.

use std::vec::Vec;

use super::{FIRST_VECTOR, FakePlatform, LAST_VECTOR, PLACES};
use crate::platform::Platform;

impl FakePlatform {
    /// Every vector that devices can have, once, with a CPU that it is of.
    pub fn all_vectors(&self, cpus: usize) -> Vec<(usize, u16)> {
        let cpus = if self.shared.get() { 1 } else { cpus };
        let all = (0..cpus).flat_map(|cpu| (FIRST_VECTOR..=LAST_VECTOR).map(move |v| (cpu, v)));
        all.filter(|(cpu, vector)| self.vector_place(*cpu, *vector) < PLACES).collect()
    }

    pub(super) fn space_destroy(&self, space: u64) {
        let gone = self.spaces.borrow_mut().remove(&space).expect("an address space");
        assert!(gone.pages.is_empty(), "an address space dies with pages");
        for (cpu, loaded) in self.loaded.iter().enumerate() {
            assert!(
                loaded.get() != space || cpu == self.cpu.get(),
                "CPU {cpu} runs in a dead space"
            );
        }
        for table in gone.tables.into_values() {
            self.free_frames(table, 1);
        }
        self.free_frames(space, 1);
    }
}
