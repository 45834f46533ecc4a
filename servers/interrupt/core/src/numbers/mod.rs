//! Allocators of numbers: vectors, table entries, and the memory of tables.
//!
//! Constant work per number, no memory taken after construction. A number is free, leased,
//! or in quarantine; only a lease or a quarantined lease can make it free again, and each is
//! a value that exists once.

mod bitmap;
mod entries;
mod extents;
mod vectors;

pub use bitmap::Bitmap;
pub use entries::EntryAllocator;
pub use extents::{Extent, Extents};
pub use vectors::{CpuVectors, RetiredVector, VectorAllocator, VectorLease};
