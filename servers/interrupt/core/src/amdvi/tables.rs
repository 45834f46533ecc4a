//! The devices' interrupt tables.
//!
//! Proofs and the server's books name an entry by an index that no other has: indices are cut
//! into blocks of 512, and a table has one block, or four in a row.

use super::unit::EntryMemory;
use super::{EntryFormat, Irte};
use crate::numbers::Bitmap;
use crate::{EntryIndex, RequesterId};
use alloc::vec::Vec;

/// Entries of a block, and of a table where units take no larger one.
const BLOCK_LOG2: u8 = 9;
/// Entries of the largest table (§2.2.5.1: 11 bits of data).
const LARGE_LOG2: u8 = 11;
/// All blocks: 65,536 entries.
const BLOCKS: usize = 128;
/// Blocks that stay for devices to come: beyond, nobody gets a large table.
const SPARE_BLOCKS: u32 = 64;

/// Entries that an IOAPIC's pins have for themselves. An entry's number is also what its pin's
/// level is released by: of these no CPU ends an interrupt.
pub(super) const PINS: u32 = 32;

/// A device's table.
pub(super) struct Table<M> {
    pub(super) id: RequesterId,
    first: EntryIndex,
    pub(super) entries_log2: u8,
    /// Free entries, without `pins`.
    pub(super) free: Bitmap,
    /// Free ones of the first [`PINS`], where these are an IOAPIC's pins'.
    pins: Option<Bitmap>,
    pub(super) memory: M,
    /// The unit may not know of this table yet: INVALIDATE_DEVTAB_ENTRY is owed.
    pub(super) owed: bool,
}

/// Where an entry is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Its table.
    pub(super) table: usize,
    /// Which of its entries.
    pub(super) number: u16,
}

impl<M> Table<M> {
    /// An entry for a pin, or for anything else that sends with this id.
    pub(super) fn take(&mut self, is_pin: bool) -> Option<u32> {
        match &mut self.pins {
            Some(pins) if is_pin => pins.take_lowest(),
            _ => self.free.take_lowest(),
        }
    }

    /// Puts one back; `false` if it was there.
    pub(super) fn give_back(&mut self, number: u16) -> bool {
        let number = u32::from(number);
        match &mut self.pins {
            Some(pins) if number < PINS => pins.insert(number),
            _ => self.free.insert(number),
        }
    }

    fn used(&self) -> u32 {
        let free_pins = self.pins.as_ref().map_or(0, Bitmap::len);
        (1 << self.entries_log2) - self.free.len() - free_pins
    }
}

/// All of them.
pub(super) struct Tables<M> {
    pub(super) format: EntryFormat,
    large: bool,
    /// By their first block.
    tables: Vec<Option<Table<M>>>,
    /// First block of the table that a block belongs to.
    owners: [u8; BLOCKS],
    /// (id, first block), in the order of ids.
    by_id: Vec<(RequesterId, u8)>,
    free_blocks: Bitmap,
}

impl<M: EntryMemory> Tables<M> {
    /// None yet. `None` when memory is short.
    pub(super) fn new(format: EntryFormat, large: bool) -> Option<Self> {
        let (mut tables, mut by_id) = (Vec::new(), Vec::new());
        tables.try_reserve_exact(BLOCKS).ok()?;
        tables.resize_with(BLOCKS, || None);
        by_id.try_reserve_exact(BLOCKS).ok()?;
        let free_blocks = Bitmap::full(BLOCKS as u32)?;
        Some(Self { format, large, tables, owners: [0; BLOCKS], by_id, free_blocks })
    }

    /// All entries that there can be.
    pub(super) const fn all_entries() -> u32 {
        (BLOCKS as u32) << BLOCK_LOG2
    }

    /// Entries that are reserved.
    pub(super) fn used(&self) -> u32 {
        self.tables.iter().flatten().map(Table::used).sum()
    }

    /// The table of an id.
    pub(super) fn find(&self, id: RequesterId) -> Option<usize> {
        let place = self.by_id.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.by_id[place].1.into())
    }

    /// A table. Callers have its number from `find`, `place` or `add`.
    pub(super) fn get(&mut self, table: usize) -> Option<&mut Table<M>> {
        self.tables.get_mut(table)?.as_mut()
    }

    /// Where an entry is; `None` if it is nowhere.
    pub(super) fn place(&self, index: EntryIndex) -> Option<Place> {
        let table = usize::from(self.owners[index.index() >> BLOCK_LOG2]);
        let first = self.tables[table].as_ref()?.first;
        let number = index.bits().checked_sub(first.bits())?;
        Some(Place { table, number })
    }

    /// The index of an entry.
    pub(super) fn index(table: &Table<M>, number: u16) -> EntryIndex {
        EntryIndex::new(table.first.bits() + number)
    }

    /// Log2 of the entries that the next table is to have.
    pub(super) fn next_log2(&self) -> u8 {
        if self.large && self.free_blocks.len() > SPARE_BLOCKS { LARGE_LOG2 } else { BLOCK_LOG2 }
    }

    /// A table without entries that are on, for an id that has none. Its memory comes back if
    /// there are no numbers for it. `has_pins`: an IOAPIC sends with this id.
    pub(super) fn add(
        &mut self,
        id: RequesterId,
        has_pins: bool,
        entries_log2: u8,
        mut memory: M,
    ) -> Result<usize, M> {
        let order = entries_log2 - BLOCK_LOG2;
        let place = self.by_id.partition_point(|(other, _)| *other < id);
        let Some(mut free) = Bitmap::full(1 << entries_log2) else { return Err(memory) };
        let pins = if has_pins { Bitmap::full(PINS) } else { None };
        if has_pins {
            if pins.is_none() {
                return Err(memory);
            }
            // The lowest ones of a full set.
            for _ in 0..PINS {
                free.take_lowest();
            }
        }
        let block = match order {
            0 => self.free_blocks.take_lowest(),
            _ => self.free_blocks.take_run(order),
        };
        let Some(block) = block else { return Err(memory) };
        for offset in (0..memory.size_bytes()).step_by(8) {
            memory.write64(offset, 0);
        }
        let first = EntryIndex::new((block << BLOCK_LOG2) as u16);
        let table = block as usize;
        self.owners[table..table + (1 << order)].fill(block as u8);
        self.by_id.insert(place, (id, block as u8));
        self.tables[table] =
            Some(Table { id, first, entries_log2, free, pins, memory, owed: true });
        Ok(table)
    }

    /// A table none of whose entries is reserved.
    pub(super) fn any_idle(&self) -> Option<usize> {
        self.tables.iter().position(|table| table.as_ref().is_some_and(|table| table.used() == 0))
    }

    /// Takes a table out, with its numbers: the unit does not know it any more.
    pub(super) fn remove(&mut self, table: usize) -> Option<Table<M>> {
        let gone = self.tables.get_mut(table)?.take()?;
        self.by_id.retain(|(id, _)| *id != gone.id);
        for block in table..table + (1 << (gone.entries_log2 - BLOCK_LOG2)) {
            self.free_blocks.insert(block as u32);
        }
        Some(gone)
    }

    /// Makes an entry lead where it should, or nowhere: at once, with nothing in between.
    pub(super) fn write(&mut self, place: Place, entry: Option<Irte>) {
        let format = self.format;
        let Some(table) = self.get(place.table) else { return };
        let at = usize::from(place.number) * format.bytes();
        match (format, entry) {
            // Two entries share what can be written at once; the other keeps its value, and
            // the unit never writes here.
            (EntryFormat::Short, entry) => {
                let value = u64::from(entry.map_or(0, |entry| entry.encode_short()));
                let (word, shift) = (at & !7, 8 * (at & 4));
                let other = table.memory.read64(word) & !(0xffff_ffff << shift);
                table.memory.write64(word, other | value << shift);
            }
            // RemapEn is in this half, and without it the other means nothing.
            (_, None) => table.memory.write64(at, 0),
            (_, Some(entry)) => table.memory.write128(at, entry.encode_wide()),
        }
    }
}
