//! Owners of shared lines that do not answer: who hears of them, and takes their devices off.

use init_control::late::Late;
use interrupt_core::{BackEnd, KernelMessages, MessageId, Pair};
use tocsin_proto::interrupt::Error;

use crate::answer;
use crate::reply::Reply;
use crate::serve::Interrupts;

/// What the kernel's notices about the message call it. No message and no wire has this name.
const ALARM: u64 = u64::MAX - 1;

impl<B: BackEnd> Interrupts<B> {
    /// Gives `pci` the message that says that an owner is late. There is one, whoever asks.
    #[cold]
    pub(crate) fn watch_lines(&mut self, reply: &mut Reply) -> Result<(), Error> {
        let alarm = match self.alarm {
            Some(alarm) => alarm,
            None => {
                let pair = Pair { address: 0, data: 0 };
                let made = self.core.kernel_mut().create(pair, ALARM);
                made.map_err(|error| answer::error(interrupt_core::Error::Kernel(error)))?
            }
        };
        self.alarm = Some(alarm);
        reply.notice(MessageId::from_bits(ALARM), alarm);
        Ok(())
    }

    /// The next device that is to be taken off its line.
    #[cold]
    pub(crate) fn next_late(&mut self, reply: &mut Reply) {
        let requester = self.wires.next_late().and_then(|client| client.requester());
        let [word] = Late { requester: requester.map(|id| id.bits()) }.words();
        reply.word(word);
    }

    /// Tells who can do something about it that owners are late. Until it is done, their lines
    /// are slow.
    pub(crate) fn tell_of_late(&mut self) {
        if let Some(alarm) = self.alarm
            && self.wires.has_late()
        {
            // Said again with the next tick, for as long as nobody has asked who it is.
            let _ = self.core.kernel_mut().signal(alarm);
        }
    }
}
