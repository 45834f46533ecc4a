//! The page that a new process finds in its first argument: what it was given.
//!
//! The kernel makes it for `init`, `init` for everybody else.

use crate::Handle;

/// Exit code that `process_info` and death packets report for a killed process.
pub const EXIT_KILLED: u64 = 1 << 32;
/// Exit code for a process that the kernel killed because one of its threads faulted;
/// the low bits are the CPU's exception number.
pub const EXIT_FAULT: u64 = 1 << 33;
/// Value of [`Startup::magic`].
pub const STARTUP_MAGIC: u64 = 0x6e69_7363_6f74_0001;
/// Bytes of an entry's name.
pub const NAME_BYTES: usize = 40;
/// Entries on the page.
pub const ENTRIES: usize = 60;
/// Bytes of the argument text.
pub const ARGS_BYTES: usize = 228;

/// One named capability or value.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Entry {
    /// Name, padded with zero bytes.
    pub name: [u8; NAME_BYTES],
    /// The capability, or [`Handle::NONE`].
    pub handle: Handle,
    /// Zero.
    pub reserved: u32,
    /// Depends on the name; for modules and memory the length in bytes.
    pub value: u64,
    /// Depends on the name; for `ram` the start address.
    pub value2: u64,
}

/// The page itself.
#[derive(Clone, Copy)]
#[repr(C, align(4096))]
pub struct Startup {
    /// [`STARTUP_MAGIC`].
    pub magic: u64,
    /// Ticks of the user-readable counter in a second (x86: TSC, aarch64: CNTVCT_EL0).
    pub ticks_per_second: u64,
    /// CPUs that run.
    pub cpus: u32,
    /// Number of entries used.
    pub count: u32,
    /// Bytes of `args` used.
    pub args_len: u32,
    /// The program's arguments.
    pub args: [u8; ARGS_BYTES],
    /// Capabilities and values.
    pub entries: [Entry; ENTRIES],
}

impl Entry {
    /// An unused entry.
    pub const EMPTY: Entry =
        Entry { name: [0; NAME_BYTES], handle: Handle::NONE, reserved: 0, value: 0, value2: 0 };

    /// The name as text; empty when it is not UTF-8.
    #[must_use]
    pub fn name(&self) -> &str {
        let end = self.name.iter().position(|&b| b == 0).unwrap_or(NAME_BYTES);
        core::str::from_utf8(&self.name[..end]).unwrap_or("")
    }
}

impl Startup {
    /// A page with no entries.
    #[must_use]
    pub const fn empty(cpus: u32, ticks_per_second: u64) -> Startup {
        Startup {
            magic: STARTUP_MAGIC,
            ticks_per_second,
            cpus,
            count: 0,
            args_len: 0,
            args: [0; ARGS_BYTES],
            entries: [Entry::EMPTY; ENTRIES],
        }
    }

    /// Adds an entry. Says `false`, and adds nothing, when the page is full or the name
    /// too long.
    #[must_use]
    pub fn push(&mut self, name: &str, handle: Handle, value: u64, value2: u64) -> bool {
        let index = self.count as usize;
        if index >= ENTRIES || name.len() > NAME_BYTES {
            return false;
        }
        let entry = &mut self.entries[index];
        *entry = Entry { handle, value, value2, ..Entry::EMPTY };
        entry.name[..name.len()].copy_from_slice(name.as_bytes());
        self.count += 1;
        true
    }

    /// Sets the argument text, cut to what fits.
    pub fn set_args(&mut self, text: &str) {
        let mut len = text.len().min(ARGS_BYTES);
        while !text.is_char_boundary(len) {
            len -= 1;
        }
        self.args[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.args_len = len as u32;
    }

    /// The argument text.
    #[must_use]
    pub fn args(&self) -> &str {
        let len = (self.args_len as usize).min(ARGS_BYTES);
        core::str::from_utf8(&self.args[..len]).unwrap_or("")
    }

    /// The entries in use.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries[..(self.count as usize).min(ENTRIES)]
    }

    /// The entry with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_its_entries() {
        assert_eq!(core::mem::size_of::<Startup>(), 4096);
        let mut page = Startup::empty(2, 1_000_000);
        page.set_args("stay");
        assert!(page.push("log", Handle(7), 1, 2));
        assert_eq!(
            page.find("log").map(|e| (e.handle, e.value, e.value2)),
            Some((Handle(7), 1, 2))
        );
        assert!(page.find("lo").is_none());
        assert_eq!(page.args(), "stay");
        for n in 1..ENTRIES {
            assert!(page.push("x", Handle(n as u32), 0, 0));
        }
        assert!(!page.push("x", Handle(1), 0, 0));
        assert!(!page.push("a name that is longer than forty bytes can hold", Handle(1), 0, 0));
    }
}
