//! The message-control system calls for `interrupt-core`.

use interrupt_core::parent::ParentHandles;
use interrupt_core::wire::{self, KernelLines};
use interrupt_core::{CpuEvent, EntryIndex, KernelMessages, Pair};
use libsys::sys;
use tocsin_abi::{Error, Handle, MessageStatus, Trigger};

use crate::parent::Upstream;
use crate::policy::Storm;

/// Authority over the vector space.
pub struct Kernel {
    control: Handle,
    /// Where the server hears of lines itself.
    port: Handle,
    storm: Option<Storm>,
    /// In a child: the handles that come from its parent. It has no authority itself.
    above: Option<ParentHandles<Upstream>>,
}

impl Kernel {
    /// With the server's port, and the rate budget that every message gets.
    pub fn new(control: Handle, port: Handle, storm: Option<Storm>) -> Self {
        Self { control, port, storm, above: None }
    }

    /// Without authority: of a child.
    pub fn of_child(above: ParentHandles<Upstream>, port: Handle) -> Self {
        Self { control: Handle::NONE, port, storm: None, above: Some(above) }
    }

    /// Sets a new message's rate budget.
    fn set_rate(&self, message: Handle) -> Result<(), Error> {
        if let Some(storm) = self.storm {
            sys::message_rate(message, storm.events, storm.window_ns)?;
        }
        Ok(())
    }
}

impl KernelMessages for Kernel {
    type Handle = Handle;
    type Error = Error;

    fn create_for(&mut self, entry: EntryIndex, pair: Pair, cookie: u64) -> Result<Handle, Error> {
        match &mut self.above {
            None => self.create(pair, cookie),
            Some(above) => above.create_for(entry, pair, cookie),
        }
    }

    fn create(&mut self, pair: Pair, cookie: u64) -> Result<Handle, Error> {
        let made = sys::message_create(self.control, pair.address, pair.data.into(), cookie)?;
        let message = made.handle();
        if let Err(error) = self.set_rate(message) {
            let _ = sys::handle_close(message);
            return Err(error);
        }
        Ok(message)
    }

    fn activate(&mut self, message: Handle, event: CpuEvent) -> Result<(), Error> {
        let (cpu, vector) = (event.cpu.index() as u64, event.vector.bits().into());
        sys::message_activate(message, cpu, vector, Trigger::Edge as u64).map(drop)
    }

    fn move_to(&mut self, message: Handle, event: CpuEvent) -> Result<(), Error> {
        // An active message accepts its older event too, until it is settled.
        self.activate(message, event)
    }

    fn settle(&mut self, message: Handle) -> Result<(), Error> {
        sys::message_settle(message).map(drop)
    }

    fn deactivate(&mut self, message: Handle) -> Result<(), Error> {
        sys::message_deactivate(message).map(drop)
    }

    fn block(&mut self, message: Handle) -> Result<(), Error> {
        sys::message_block(message).map(drop)
    }

    fn unblock(&mut self, message: Handle) -> Result<(), Error> {
        // The kernel starts the message's rate budget again.
        sys::message_unblock(message).map(drop)
    }

    fn blocked_events(&mut self, message: Handle) -> Result<u64, Error> {
        let [first @ .., _] = sys::message_read(message)?.values;
        Ok(MessageStatus::from_values(first).blocked)
    }

    fn signal(&mut self, message: Handle) -> Result<(), Error> {
        sys::message_signal(message).map(drop)
    }

    fn destroy(&mut self, message: Handle) -> Result<(), Error> {
        if let Some(above) = &mut self.above {
            return above.destroy(message);
        }
        sys::handle_revoke(message)?;
        sys::handle_close(message).map(drop)
    }

    fn vector_drained(&mut self, event: CpuEvent) -> bool {
        if self.above.is_some() {
            return true;
        }
        let (cpu, vector) = (event.cpu.index() as u64, event.vector.bits().into());
        sys::vector_drain(self.control, cpu, vector).is_ok()
    }
}

impl KernelLines for Kernel {
    fn activate_line(
        &mut self,
        message: Handle,
        event: CpuEvent,
        trigger: wire::Trigger,
    ) -> Result<(), Error> {
        let (cpu, vector) = (event.cpu.index() as u64, event.vector.bits().into());
        let trigger = match trigger {
            wire::Trigger::Edge => Trigger::Edge,
            wire::Trigger::Level => Trigger::Level,
        };
        sys::message_activate(message, cpu, vector, trigger as u64).map(drop)
    }

    fn acknowledge(&mut self, message: Handle) -> Result<(), Error> {
        sys::message_acknowledge(message).map(drop)
    }

    fn listen(&mut self, message: Handle, key: u64) -> Result<(), Error> {
        sys::message_bind(message, self.port, key).map(drop)
    }
}
