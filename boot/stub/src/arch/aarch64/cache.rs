//! Caches. What the firmware or the stub writes with the MMU off goes past them, what it writes with
//! the MMU on may stay in them: each change of side needs them cleaned and emptied.

unsafe extern "C" {
    /// In `entry.s`.
    fn clean_and_invalidate(start: u64, end: u64);
}

/// Writes back what the data caches hold of `start..end` and drops it, so that memory and all
/// observers agree.
pub fn clean(start: u64, end: u64) {
    // SAFETY: cleaning changes no contents, and `start..end` is memory, or the operation does nothing.
    unsafe { clean_and_invalidate(start, end) }
}
