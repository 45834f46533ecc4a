//! The calling thread's IPC buffer.

use crate::arch;
use core::mem::offset_of;
use tocsin_abi::ipc::IpcBuffer;
use tocsin_abi::limits::{IPC_HANDLES, IPC_REGISTER_WORDS, IPC_WORDS};
use tocsin_abi::{Handle, Rights};

/// Where the buffer is. The kernel writes it during calls, so there are no references into
/// it, and a value of this type is used at once and not kept.
#[derive(Clone, Copy)]
pub(super) struct Buffer(usize);

impl Buffer {
    /// This thread's.
    #[inline(always)]
    pub(super) fn here() -> Buffer {
        Buffer(arch::ipc_buffer())
    }

    #[inline(always)]
    fn at<T>(self, offset: usize) -> *mut T {
        core::ptr::with_exposed_provenance_mut(self.0 + offset)
    }

    /// Writes the words that do not go in registers.
    #[inline]
    pub(super) fn put_words(self, words: &[u64]) {
        for (n, &word) in words.iter().enumerate().take(IPC_WORDS).skip(IPC_REGISTER_WORDS) {
            let slot = self.at::<u64>(offset_of!(IpcBuffer, words) + n * size_of::<u64>());
            // SAFETY: the page is mapped as long as the thread lives, `n` is inside of the
            // array, and only this thread touches its own buffer.
            unsafe { slot.write(word) }
        }
    }

    /// Reads the words that did not come in registers.
    #[inline]
    pub(super) fn take_words(self, words: &mut [u64]) {
        for (n, word) in words.iter_mut().enumerate().take(IPC_WORDS).skip(IPC_REGISTER_WORDS) {
            let slot = self.at::<u64>(offset_of!(IpcBuffer, words) + n * size_of::<u64>());
            // SAFETY: as for writing; the kernel wrote before its call returned.
            *word = unsafe { slot.read() };
        }
    }

    /// Writes a handle to send.
    #[inline]
    pub(super) fn put_handle(self, n: usize, handle: Handle, rights: Rights) {
        assert!(n < IPC_HANDLES, "more handles than a message has");
        let slot = self.at::<Handle>(offset_of!(IpcBuffer, handles) + n * size_of::<Handle>());
        // SAFETY: as for words; `n` is inside of the array.
        unsafe { slot.write(handle) }
        let slot = self.at::<u16>(offset_of!(IpcBuffer, rights) + n * size_of::<u16>());
        // SAFETY: as for words; `n` is inside of the array.
        unsafe { slot.write(rights.bits()) }
    }

    /// Reads a handle that came.
    #[inline]
    pub(super) fn handle(self, n: usize) -> Handle {
        assert!(n < IPC_HANDLES, "more handles than a message has");
        let slot = self.at::<Handle>(offset_of!(IpcBuffer, handles) + n * size_of::<Handle>());
        // SAFETY: as for words; `n` is inside of the array.
        unsafe { slot.read() }
    }
}
