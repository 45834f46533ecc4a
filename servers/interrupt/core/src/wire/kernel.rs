//! What lines need of the kernel beyond what messages do.

use super::Trigger;
use crate::{CpuEvent, KernelMessages};

/// The message-control system calls that only lines need.
pub trait KernelLines: KernelMessages {
    /// *reserved* → *active* with a line's own event; of an active message it is a move to
    /// another CPU, which `settle` ends. A level is held back from when a CPU has taken it until
    /// `acknowledge`.
    fn activate_line(
        &mut self,
        handle: Self::Handle,
        event: CpuEvent,
        trigger: Trigger,
    ) -> Result<(), Self::Error>;

    /// Lets a level go that `activate_line` has made the kernel hold: it comes again if it
    /// stands. An error when nothing is held.
    fn acknowledge(&mut self, handle: Self::Handle) -> Result<(), Self::Error>;

    /// Sends a message's packets to this server, under `key`.
    fn listen(&mut self, handle: Self::Handle, key: u64) -> Result<(), Self::Error>;
}
