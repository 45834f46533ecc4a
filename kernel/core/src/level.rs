//! Level messages: their source asks until it is served, so the interrupt controller holds
//! the vector back from when a CPU has taken it until somebody lets it go.

use tocsin_abi::{Error, Handle, Kind, Rights};

use crate::kernel::{Cx, Kernel, Outcome, Stop};
use crate::message::Message;
use crate::platform::Platform;

/// Who the interrupt controller waits for before it raises a level message again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Held {
    /// Nobody.
    #[default]
    No,
    /// The owner, who was told: `message_acknowledge`.
    Owner,
    /// Whoever blocked it; the owner was not told: `message_unblock`.
    Muted,
}

impl<P: Platform> Kernel<P> {
    /// `message_acknowledge`.
    ///
    /// # Errors
    /// Those of the call.
    pub fn message_acknowledge(&self, cx: Cx, handle: Handle) -> Outcome {
        let id = self.need(cx, handle, Kind::Message, Rights::BIND)?.id();
        let message = self.messages.get(id);
        if !cx.may(message.home.get()) {
            return Err(Stop::Escalate);
        }
        if message.held.get() != Held::Owner {
            return Err(Error::BadState.into());
        }
        self.let_go(message);
        Ok(0)
    }

    /// The interrupt controller waits for nobody any more.
    pub(crate) fn let_go(&self, message: &Message) {
        if message.held.replace(Held::No) != Held::No {
            self.platform.complete(message.cpu.get().into(), message.vector.get());
        }
    }
}
