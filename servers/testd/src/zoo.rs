//! One object of every kind, for tests that try every kind on every call.

use alloc::vec::Vec;
use libsys::sys;
use tocsin_abi::{Error, Handle, Kind};

use crate::kit::{self, Ctx, Own, own};

/// Bytes of kernel memory for a process that only has to exist.
pub const SMALL_BUDGET: u64 = 256 << 10;
/// Where an empty process has its only thread's IPC buffer.
const BUFFER: u64 = 0x50_0000;

/// One of each.
pub struct Zoo {
    /// Made here.
    own: Vec<(Kind, Own)>,
    /// Granted by the manifest; these can not be made.
    granted: Vec<(Kind, Handle)>,
}

impl Zoo {
    /// Makes what can be made and finds what was granted.
    pub fn new(ctx: &Ctx) -> Result<Zoo, Error> {
        let mut made = Vec::new();
        let process = own(sys::process_create(SMALL_BUDGET))?;
        let thread = own(sys::thread_create(process.h(), 0x40_0000, 0x60_0000, 0, 1, BUFFER))?;
        let port = kit::port()?;
        made.push((Kind::Timer, kit::timer(&port, 0)?));
        made.push((Kind::Process, process));
        made.push((Kind::Thread, thread));
        made.push((Kind::Port, port));
        made.push((Kind::Endpoint, kit::endpoint()?));
        made.push((Kind::Memory, kit::memory(4096)?));
        if let Some(control) = ctx.find("message-control") {
            made.push((Kind::Message, own(sys::message_create(control, 0, 0, 0))?));
        }
        let mut granted = Vec::new();
        for (name, kind) in [
            ("message-control", Kind::MessageControl),
            ("log", Kind::DebugLog),
            ("pci-window0", Kind::Physical),
            ("gicd", Kind::Physical),
            ("ioports", Kind::IoPorts),
        ] {
            granted.extend(ctx.find(name).map(|handle| (kind, handle)));
        }
        Ok(Zoo { own: made, granted })
    }

    /// The object of this kind, where there is one.
    pub fn get(&self, kind: Kind) -> Option<Handle> {
        self.iter().find(|(k, _)| *k == kind).map(|(_, handle)| handle)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, Handle)> + '_ {
        let made = self.own.iter().map(|(kind, own)| (*kind, own.h()));
        made.chain(self.granted.iter().copied())
    }
}
