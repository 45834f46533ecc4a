//! Objects that close themselves, and short names for the calls that tests make most.
//!
//! Tests attack the calls themselves, so nothing here hides an error or checks an
//! argument: it only keeps handles from leaking.

use libsys::sys::{self, Values};
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle, Packet, Rights};

/// Nanoseconds after which a packet that should come is called missing. Emulated CPUs on
/// a busy machine are slow; nothing passes because this is long.
pub const PATIENCE_NS: u64 = 5_000_000_000;
/// Nanoseconds for which nothing must come, where a test wants silence.
pub const SILENCE_NS: u64 = 30_000_000;
/// Read and write.
pub const RW: Rights = Rights::READ.union(Rights::WRITE);

/// What every test is given.
#[derive(Clone, Copy)]
pub struct Ctx {
    /// The startup page.
    pub env: &'static Startup,
    /// This program's own file, to start victims from.
    pub image: &'static [u8],
    /// The hostile server's file, where the manifest grants it.
    pub hostile: &'static [u8],
}

impl Ctx {
    /// A capability from the startup page.
    pub fn find(&self, name: &str) -> Option<Handle> {
        self.env.find(name).map(|entry| entry.handle)
    }

    /// A capability that the test can not do without.
    pub fn need(&self, name: &str) -> Result<Handle, crate::harness::Failure> {
        self.find(name).ok_or_else(|| {
            crate::harness::Failure::Skipped(alloc::format!("the manifest grants no `{name}`"))
        })
    }

    /// The kernel's counts.
    pub fn stats(&self) -> Result<Stats, crate::harness::Failure> {
        let v = sys::debug_stats(self.need("log")?)?.values;
        Ok(Stats { free_bytes: v[0], messages: v[1], processes: v[2], bytes_per_message: v[3] })
    }
}

/// The kernel's counts, from `debug_stats`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stats {
    /// Free RAM.
    pub free_bytes: u64,
    /// Live message objects.
    pub messages: u64,
    /// Live processes.
    pub processes: u64,
    /// Bytes of a message object with its two handles.
    pub bytes_per_message: u64,
}

/// What the kernel and our own budget look like, to find leaks.
pub struct Accounts {
    stats: Stats,
    used: u64,
}

impl Accounts {
    /// Now.
    pub fn open(ctx: &Ctx) -> Result<Accounts, crate::harness::Failure> {
        let mut accounts = Accounts { stats: ctx.stats()?, used: used_bytes()? };
        // Reading them may have made a page table of ours; once is enough.
        accounts.stats = ctx.stats()?;
        Ok(accounts)
    }

    /// Fails unless everything is back. What `spawns` programs may cost is a page table of
    /// our own for every other one: starting a program maps its memory here for a moment,
    /// never at the same address twice.
    ///
    /// # Errors
    /// What is missing.
    #[track_caller]
    pub fn close(self, ctx: &Ctx, spawns: u64, what: &str) -> crate::harness::Outcome {
        let (now, used) = (ctx.stats()?, used_bytes()?);
        let missing = self.stats.free_bytes.wrapping_sub(now.free_bytes);
        let grown = used.wrapping_sub(self.used);
        let text = alloc::format!(
            "{what}: {missing} bytes of RAM and {grown} of our budget are missing; {:?}, was {:?}",
            now,
            self.stats
        );
        let is_tables =
            missing == grown && missing.is_multiple_of(4096) && missing <= 4096 * (1 + spawns / 2);
        let same = now.messages == self.stats.messages && now.processes == self.stats.processes;
        crate::harness::check(is_tables && same, text)
    }
}

/// A handle that is closed when the test is done with it.
#[must_use]
#[derive(Debug)]
pub struct Own(Handle);

impl Own {
    /// The handle.
    pub fn h(&self) -> Handle {
        self.0
    }

    /// Takes a handle that somebody else made.
    pub fn of(handle: Handle) -> Own {
        Own(handle)
    }

    /// Closes now and returns the number it had.
    pub fn close(self) -> Handle {
        let number = self.0;
        drop(self);
        number
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // A test may have revoked or closed it already.
        let _ = sys::handle_close(self.0);
    }
}

/// The new handle in a call's result.
pub fn own(result: Result<Values, Error>) -> Result<Own, Error> {
    result.map(|values| Own(Handle(values.result as u32)))
}

/// A new port.
pub fn port() -> Result<Own, Error> {
    own(sys::port_create())
}

/// A new endpoint.
pub fn endpoint() -> Result<Own, Error> {
    own(sys::endpoint_create())
}

/// A new memory object.
pub fn memory(size_bytes: u64) -> Result<Own, Error> {
    own(sys::memory_create(size_bytes))
}

/// A new timer.
pub fn timer(port: &Own, key: u64) -> Result<Own, Error> {
    own(sys::timer_create(port.h(), key))
}

/// Another handle to the same object.
pub fn duplicate(handle: Handle, rights: Rights) -> Result<Own, Error> {
    own(sys::handle_duplicate(handle, rights, 0))
}

/// Another handle to the same endpoint, with a badge.
pub fn badged(handle: Handle, rights: Rights, badge: u64) -> Result<Own, Error> {
    own(sys::handle_duplicate(handle, rights, badge))
}

/// The rights of a handle.
pub fn rights_of(handle: Handle) -> Result<Rights, Error> {
    let bits = sys::handle_info(handle)?.values[0];
    Ok(Rights::from_bits_retain(bits as u16))
}

/// True while the handle names something.
pub fn is_live(handle: Handle) -> bool {
    sys::handle_info(handle).is_ok()
}

/// The kernel's clock.
pub fn now() -> u64 {
    sys::clock_read().map_or(0, |values| values.result)
}

/// The next packet, or `TimedOut` after [`PATIENCE_NS`].
pub fn next(port: &Own) -> Result<Packet, Error> {
    packet(sys::port_wait(port.h(), 0, 1, now() + PATIENCE_NS))
}

/// The packet that is there now, or `TimedOut`.
pub fn poll(port: &Own) -> Result<Packet, Error> {
    packet(sys::port_wait(port.h(), 0, 1, 0))
}

/// Waits for [`SILENCE_NS`]: `TimedOut` is silence.
pub fn listen(port: &Own) -> Result<Packet, Error> {
    packet(sys::port_wait(port.h(), 0, 1, now() + SILENCE_NS))
}

/// The packet in the results of `port_wait`.
fn packet(result: Result<Values, Error>) -> Result<Packet, Error> {
    result.map(|v| Packet::from_values([v.values[0], v.values[1], v.values[2], v.values[3]]))
}

/// Waits on the kernel's clock.
pub fn sleep(nanoseconds: u64) {
    if let Ok(port) = port() {
        let _ = sys::port_wait(port.h(), 0, 1, now() + nanoseconds);
    }
}

/// Live handles of this process.
pub fn handle_count() -> u64 {
    sys::process_info(Handle::NONE).map_or(0, |v| v.values[3])
}

/// The handle count, after giving threads and children that a test just ended the time
/// to be gone (handles of the dead are closed in bounded steps).
pub fn settled_handle_count(wanted: u64) -> u64 {
    for _ in 0..50 {
        if handle_count() == wanted {
            break;
        }
        sleep(2_000_000);
    }
    handle_count()
}

/// Budget that this process has used.
pub fn used_bytes() -> Result<u64, Error> {
    Ok(sys::process_info(Handle::NONE)?.values[1])
}

/// Budget that this process has left.
pub fn budget_left() -> Result<u64, Error> {
    let values = sys::process_info(Handle::NONE)?.values;
    Ok(values[0] - values[1])
}
