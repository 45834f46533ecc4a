//! The kernel's log, taken over.

use libsys::object::Port;
use libsys::sys;
use tocsin_abi::limits::MAX_DEBUG_BYTES;
use tocsin_abi::{Error, Handle};

/// The log.
pub struct Log {
    log: Handle,
    /// The first bytes of a character whose rest was not in the log yet.
    cut: usize,
    buffer: [u8; MAX_DEBUG_BYTES],
}

/// Reads in a row at most: somebody who writes to the log without end must not keep the
/// console from its callers. What is left comes at the next look.
const READS: usize = 64;

impl Log {
    /// From now on the kernel leaves text for us and does not write to the port itself.
    pub fn bind(log: Handle, port: &Port) -> Result<Self, Error> {
        sys::debug_bind(log, port.handle(), 0)?;
        Ok(Self { log, cut: 0, buffer: [0; MAX_DEBUG_BYTES] })
    }

    /// Hands all text that is there to `print`, in pieces.
    pub fn drain(&mut self, mut print: impl FnMut(&str)) {
        for _ in 0..READS {
            let room = &mut self.buffer[self.cut..];
            let (address, size) = (room.as_mut_ptr().expose_provenance(), room.len());
            let Ok(got) = sys::debug_read(self.log, address as u64, size as u64) else { return };
            let count = (got.result as usize).min(size);
            if count == 0 {
                return;
            }
            let filled = self.cut + count;
            self.cut = 0;
            let mut start = 0;
            while start < filled {
                let piece = &self.buffer[start..filled];
                let (good, bad) = match core::str::from_utf8(piece) {
                    Ok(_) => (piece.len(), Some(0)),
                    Err(error) => (error.valid_up_to(), error.error_len()),
                };
                if let Ok(text) = core::str::from_utf8(&piece[..good]) {
                    print(text);
                }
                start += good;
                match bad {
                    Some(0) => {}
                    Some(length) => {
                        print("\u{fffd}");
                        start += length;
                    }
                    // The character's end is still in the log: keep its beginning.
                    None => {
                        self.buffer.copy_within(start..filled, 0);
                        self.cut = filled - start;
                        start = filled;
                    }
                }
            }
        }
    }
}
