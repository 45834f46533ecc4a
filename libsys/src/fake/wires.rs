//! Lines of the model of the interrupt server: who has which, and who has answered.

use super::interrupt_server::RIGHTS;
use crate::sys;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use tocsin_abi::{Handle, Rights};
use tocsin_proto::interrupt::{
    Acknowledge, Error, LineId, MessageId, Trigger, WireMode, WireOpen, WireOpened, Wiring,
};

/// Set in the names of wires.
const WIRE: u64 = 1 << 31;

/// A line, while somebody has it.
#[derive(Debug)]
pub(super) struct Open {
    line: LineId,
    mode: WireMode,
    message: Handle,
    /// It was told and has not answered.
    told: bool,
}

/// All of them. Every line below 64 exists and is everybody's, wired as was said.
#[derive(Debug, Default)]
pub(super) struct Wires {
    wired: BTreeMap<u32, Wiring>,
    open: BTreeMap<u64, Open>,
    next: u64,
}

impl Wires {
    /// Says how a line is wired; nobody can open it before.
    pub(super) fn wire(&mut self, line: LineId, wiring: Wiring) {
        self.wired.insert(line.0, wiring);
    }

    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// Owners of a line that were told and have not answered.
    pub(super) fn waiting(&self, line: LineId) -> usize {
        self.open.values().filter(|open| open.line == line && open.told).count()
    }

    /// The line comes, unless it is held. True when somebody was told.
    pub(super) fn fire(&mut self, line: LineId) -> bool {
        let is_level = self.wired.get(&line.0).is_some_and(|it| it.trigger == Trigger::Level);
        if is_level && self.waiting(line) > 0 {
            return false;
        }
        let mut owners = 0;
        for open in self.open.values_mut().filter(|open| open.line == line) {
            let _ = sys::message_signal(open.message);
            open.told = is_level;
            owners += 1;
        }
        owners > 0
    }

    pub(super) fn open(
        &mut self,
        control: Handle,
        ask: &WireOpen,
        handles: &mut Vec<(Handle, Rights)>,
    ) -> Result<WireOpened, Error> {
        let wiring = self.wired.get(&ask.line.0).ok_or(Error::NotYours)?;
        if *wiring != ask.wiring {
            return Err(Error::WrongTrigger);
        }
        let mut others = self.open.values().filter(|open| open.line == ask.line);
        let alone = ask.mode == WireMode::Exclusive;
        if others.any(|other| alone || other.mode == WireMode::Exclusive) {
            return Err(Error::LineInUse);
        }
        self.next += 1;
        let id = MessageId(self.next << 32 | WIRE);
        let message = sys::message_create(control, 0, 0, id.0).map_err(|_| Error::NoMemory)?;
        let message = message.handle();
        handles.push((message, RIGHTS));
        self.open.insert(id.0, Open { line: ask.line, mode: ask.mode, message, told: false });
        let acknowledge = match ask.wiring.trigger {
            Trigger::Edge => Acknowledge::Nobody,
            Trigger::Level => Acknowledge::Server,
        };
        Ok(WireOpened { id, acknowledge, cpu: 0, vector: 0x30 })
    }

    pub(super) fn close(&mut self, id: MessageId) -> Result<(), Error> {
        let open = self.open.remove(&id.0).ok_or(Error::BadId)?;
        let _ = sys::handle_close(open.message);
        Ok(())
    }

    pub(super) fn acknowledge(&mut self, id: MessageId) -> Result<(), Error> {
        self.open.get_mut(&id.0).ok_or(Error::BadId)?.told = false;
        Ok(())
    }
}
