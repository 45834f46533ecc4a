//! The kernel's own log: to the early console first, to its reader once there is one.

use core::cell::Cell;

use tocsin_abi::limits::MAX_DEBUG_BYTES;
use tocsin_abi::{Error, Handle, Kind, PacketKind, Rights};

use crate::create::{MESSAGE_BYTES, SLOT_BYTES};
use crate::kernel::{Cx, Kernel, Outcome, Stop};
use crate::platform::{Frame, Platform};
use crate::port::{Node, Source, Tag};

/// Bytes that wait for the reader; later ones are dropped and counted.
const RING_BYTES: usize = 4096;

/// The log.
pub struct Log {
    /// Packet to the reader.
    pub node: Node,
    ring: [Cell<u8>; RING_BYTES],
    start: Cell<usize>,
    len: Cell<usize>,
    /// Bytes that found the ring full.
    pub dropped: Cell<u64>,
}

impl Default for Log {
    fn default() -> Self {
        Log {
            node: Node::default(),
            ring: core::array::from_fn(|_| Cell::new(0)),
            start: Cell::new(0),
            len: Cell::new(0),
            dropped: Cell::new(0),
        }
    }
}

impl<P: Platform> Kernel<P> {
    /// Adds text to the log. Exclusive context only.
    pub fn log_text(&self, cx: Cx, text: &[u8]) {
        let log = &self.log;
        if !self.is_tied(&log.node) {
            self.platform.early_print(text);
            return;
        }
        for &byte in text {
            let len = log.len.get();
            if len == RING_BYTES {
                log.dropped.set(log.dropped.get() + 1);
                continue;
            }
            log.ring[(log.start.get() + len) % RING_BYTES].set(byte);
            log.len.set(len + 1);
        }
        // An exclusive context never escalates.
        let _ = self.post(cx, Source::new(Tag::Log, 0), &log.node, 1, 0);
    }

    /// A writer for formatted text.
    #[must_use]
    pub fn log(&self, cx: Cx) -> LogWriter<'_, P> {
        LogWriter { kernel: self, cx }
    }

    fn debug_args(&self, cx: Cx, log: Handle, right: Rights, size: u64) -> Result<usize, Stop> {
        cx.need_exclusive()?;
        self.need(cx, log, Kind::DebugLog, right)?;
        if size == 0 || size > MAX_DEBUG_BYTES as u64 {
            return Err(Error::BadSize.into());
        }
        Ok(size as usize)
    }

    /// `debug_write`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn debug_write(&self, cx: Cx, log: Handle, text: u64, size_bytes: u64) -> Outcome {
        let size = self.debug_args(cx, log, Rights::WRITE, size_bytes)?;
        let mut bytes = [0; MAX_DEBUG_BYTES];
        let space = self.thread(cx.thread).space.get();
        self.platform.copy_from_user(space, text, &mut bytes[..size])?;
        self.log_text(cx, &bytes[..size]);
        Ok(0)
    }

    /// `debug_bind`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn debug_bind(&self, cx: Cx, log: Handle, port: Handle, key: u64) -> Outcome {
        cx.need_exclusive()?;
        self.need(cx, log, Kind::DebugLog, Rights::BIND)?;
        let port = self.need(cx, port, Kind::Port, Rights::BIND)?.id();
        if self.is_tied(&self.log.node) {
            return Err(Error::AlreadyBound.into());
        }
        // A former reader's port may be gone with our packet in its queue: it was
        // withdrawn with the port.
        self.tie(&self.log.node, port, key, PacketKind::Log);
        if self.log.len.get() > 0 {
            self.post(cx, Source::new(Tag::Log, 0), &self.log.node, 1, 0)?;
        }
        Ok(0)
    }

    /// `debug_read`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn debug_read(&self, cx: Cx, log: Handle, buffer: u64, size_bytes: u64) -> Outcome {
        let size = self.debug_args(cx, log, Rights::READ, size_bytes)?;
        let log = &self.log;
        let count = size.min(log.len.get());
        let mut bytes = [0; MAX_DEBUG_BYTES];
        for (index, byte) in bytes[..count].iter_mut().enumerate() {
            *byte = log.ring[(log.start.get() + index) % RING_BYTES].get();
        }
        let space = self.thread(cx.thread).space.get();
        self.platform.copy_to_user(space, buffer, &bytes[..count])?;
        log.start.set((log.start.get() + count) % RING_BYTES);
        log.len.set(log.len.get() - count);
        Ok(count as u64)
    }

    /// `debug_stats`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn debug_stats(&self, cx: Cx, log: Handle) -> Outcome {
        cx.need_exclusive()?;
        self.need(cx, log, Kind::DebugLog, Rights::READ)?;
        self.frame(cx).set_values4([
            self.platform.free_bytes(),
            u64::from(self.messages.live()),
            u64::from(self.processes.live()),
            MESSAGE_BYTES + 2 * SLOT_BYTES,
        ]);
        Ok(0)
    }
}

/// Writes formatted text to the log.
pub struct LogWriter<'a, P: Platform> {
    kernel: &'a Kernel<P>,
    cx: Cx,
}

impl<P: Platform> core::fmt::Write for LogWriter<'_, P> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.kernel.log_text(self.cx, text.as_bytes());
        Ok(())
    }
}
