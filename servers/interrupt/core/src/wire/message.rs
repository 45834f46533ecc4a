//! A line's own message: made, moved, held off, ended. Both ways in one place.

use super::table::{LineMessage, Owed, State};
use super::{
    KernelLines, LineHardware, LineId, LineTarget, Outcome, Way, WireError, Wires, Wiring,
};
use crate::{
    AllocRequest, BackEnd, ClientDevices, ClientId, ClientPolicy, Contiguity, Core, CpuEvent,
    CpuIndex, CpuSet, EventNumber, Kind, Pair, Source,
};

/// What a message has for a pair that no device ever writes.
const NO_PAIR: Pair = Pair { address: 0, data: 0 };

/// What `make` is asked for.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) line: LineId,
    pub(super) wiring: Wiring,
    pub(super) cpus: CpuSet,
    /// Comes back in the kernel's notices about it, where the line is a CPU event.
    pub(super) cookie: u64,
}

impl<L: LineHardware, K: KernelLines> Wires<L, K> {
    /// The line's message, active, and the line leading to it, masked. On failure nothing of it
    /// is left.
    pub(super) fn make<B: BackEnd>(
        &mut self,
        core: &mut Core<B, K>,
        way: Way,
        wanted: Wanted,
    ) -> Outcome<LineMessage<K::Handle>, K> {
        match way {
            Way::Event(number) | Way::Private(number) => self.make_event(core, number, wanted),
            Way::Message(source) => self.make_message(core, source, wanted),
        }
    }

    fn make_event<B: BackEnd>(
        &mut self,
        core: &mut Core<B, K>,
        number: EventNumber,
        wanted: Wanted,
    ) -> Outcome<LineMessage<K::Handle>, K> {
        let cpu = self.least_loaded(wanted.cpus).ok_or(WireError::BadArgument)?;
        let event = CpuEvent { cpu, vector: number };
        let target = LineTarget::Cpu(cpu);
        self.hardware.set(wanted.line, wanted.wiring, target).map_err(WireError::Line)?;
        let kernel = core.kernel_mut();
        let handle = kernel.create(NO_PAIR, wanted.cookie).map_err(WireError::Kernel)?;
        if let Err(error) = kernel.activate_line(handle, event, wanted.wiring.trigger) {
            // It has no event, and nothing to be waited for.
            self.refused += u64::from(kernel.destroy(handle).is_err());
            return Err(WireError::Kernel(error));
        }
        Ok(LineMessage {
            handle: Some(handle),
            id: None,
            event,
            moving: false,
            blocked: false,
            missed: 0,
        })
    }

    fn make_message<B: BackEnd>(
        &mut self,
        core: &mut Core<B, K>,
        source: Source,
        wanted: Wanted,
    ) -> Outcome<LineMessage<K::Handle>, K> {
        let chip = chip(source);
        let policy = ClientPolicy {
            quota: u32::MAX,
            source: Some(source),
            dma_source: None,
            past_remapper: false,
            devices: ClientDevices::default(),
        };
        core.register(chip, policy).map_err(WireError::Message)?;
        let request =
            AllocRequest { kind: Kind::Wire, contiguity: Contiguity::Single, cpus: wanted.cpus };
        let mut made = [None];
        core.alloc(chip, &request, &mut made).map_err(WireError::Message)?;
        let [Some(made)] = made else { return Err(WireError::NoMemory) };
        let event = match core.activate(chip, made.id) {
            Ok(event) => event,
            Err(error) => {
                self.refused += u64::from(core.free(chip, made.id).is_err());
                return Err(WireError::Message(error));
            }
        };
        let target = LineTarget::Message(made.pair);
        if let Err(error) = self.hardware.set(wanted.line, wanted.wiring, target) {
            let _ = core.orphaned(made.id);
            return Err(WireError::Line(error));
        }
        let (handle, id) = (Some(made.handle), Some(made.id));
        Ok(LineMessage { handle, id, event, moving: false, blocked: false, missed: 0 })
    }

    /// The CPU of the set to which the fewest lines lead.
    fn least_loaded(&self, cpus: CpuSet) -> Option<CpuIndex> {
        let load = |cpu: &CpuIndex| {
            self.lines.iter().filter(|(_, line)| line.message.event.cpu == *cpu).count()
        };
        cpus.iter().min_by_key(load)
    }

    /// Moves a line to a CPU of the set, if it is not on one.
    pub(super) fn relocate<B: BackEnd>(
        &mut self,
        core: &mut Core<B, K>,
        slot: u32,
        cpus: CpuSet,
    ) -> Outcome<(), K> {
        let cpus = cpus.intersect(core.cpus());
        let line = self.lines.get(slot);
        let message = line.message;
        if cpus.is_empty() {
            return Err(WireError::BadArgument);
        }
        if let (Some(id), Way::Message(source)) = (message.id, line.way) {
            let chip = chip(source);
            core.set_affinity(chip, id, cpus).map_err(WireError::Message)?;
            let event = core.info(chip, id).map_err(WireError::Message)?.event;
            let line = self.lines.get_mut(slot);
            line.message.event = event.unwrap_or(line.message.event);
            return Ok(());
        }
        if cpus.contains(message.event.cpu) {
            return Ok(());
        }
        if let Way::Private(_) = line.way {
            return Err(WireError::NotSupported);
        }
        let (Some(handle), Some(cpu)) = (message.handle, self.least_loaded(cpus)) else {
            return Err(WireError::BadState);
        };
        self.settle(core, slot);
        let line = self.lines.get_mut(slot);
        if line.message.moving {
            return Err(WireError::BadState);
        }
        let event = CpuEvent { cpu, ..message.event };
        let trigger = line.wiring.trigger;
        core.kernel_mut().activate_line(handle, event, trigger).map_err(WireError::Kernel)?;
        line.message.moving = true;
        let moved = self.hardware.move_to(line.id, cpu);
        if moved.is_ok() {
            line.message.event = event;
        } else {
            // The kernel takes it wherever it comes; what it has for its home is put back.
            self.settle(core, slot);
            let back = core.kernel_mut().activate_line(handle, message.event, trigger);
            self.lines.get_mut(slot).message.moving = back.is_ok();
        }
        self.settle(core, slot);
        moved.map_err(WireError::Line)
    }

    /// The kernel need not look for the line on its former CPU: wherever an event of it comes, it
    /// is the line's.
    fn settle<B: BackEnd>(&mut self, core: &mut Core<B, K>, slot: u32) {
        let message = &mut self.lines.get_mut(slot).message;
        if let (true, Some(handle)) = (message.moving, message.handle) {
            message.moving = core.kernel_mut().settle(handle).is_err();
        }
    }

    /// Masked at the source, and off behind it. A CPU's private edges are masked by taking the
    /// line's event away, because blocked ones would still come to that CPU; a level that is
    /// blocked comes once at most and is held.
    pub(super) fn hold_off<B: BackEnd>(&mut self, core: &mut Core<B, K>, slot: u32, until_ns: u64) {
        let line = self.lines.get_mut(slot);
        let is_taken_away = line.loses_its_event();
        line.owed.mask = self.hardware.mask(line.id).is_err();
        line.state = State::HeldOff { until_ns };
        let message = &mut line.message;
        let held = match (message.id, message.handle) {
            (Some(id), _) => core.storm(id).is_ok(),
            (None, Some(handle)) => {
                let kernel = core.kernel_mut();
                // What it can not say now counts as different from what it says later.
                message.missed = kernel.blocked_events(handle).unwrap_or(u64::MAX);
                let off =
                    if is_taken_away { kernel.deactivate(handle) } else { kernel.block(handle) };
                message.blocked = off.is_ok();
                message.blocked
            }
            (None, None) => false,
        };
        self.refused += u64::from(!held);
    }

    /// The reverse. `false`: tried again later.
    pub(super) fn let_through<B: BackEnd>(&mut self, core: &mut Core<B, K>, slot: u32) -> bool {
        let line = self.lines.get_mut(slot);
        let message = line.message;
        // Whoever else has opened the message since, it is open.
        let open = match (message.id, message.handle) {
            (Some(id), _) => !matches!(
                core.storm_over(id),
                Err(crate::Error::Hardware(_) | crate::Error::Kernel(_))
            ),
            (None, Some(handle)) if message.blocked => {
                if line.loses_its_event() {
                    return self.give_back(core, slot, handle);
                }
                let kernel = core.kernel_mut();
                let open = kernel.unblock(handle).is_ok();
                line.message.blocked = !open;
                // A level that came meanwhile comes again; an edge that slipped through to a CPU
                // was counted and is told now.
                let is_edge = line.wiring.trigger == super::Trigger::Edge;
                if open && is_edge && kernel.blocked_events(handle) != Ok(message.missed) {
                    self.refused += u64::from(kernel.signal(handle).is_err());
                }
                open
            }
            (None, _) => true,
        };
        if !open || self.hardware.unmask(line.id).is_err() {
            return false;
        }
        line.owed.mask = false;
        line.state = State::Open;
        true
    }

    /// The event of private edges, after a storm. Their owner is told once: of what a CPU had
    /// taken before, and of what came between these steps.
    fn give_back<B: BackEnd>(
        &mut self,
        core: &mut Core<B, K>,
        slot: u32,
        handle: K::Handle,
    ) -> bool {
        let kernel = core.kernel_mut();
        let line = self.lines.get_mut(slot);
        if kernel.activate_line(handle, line.message.event, line.wiring.trigger).is_err() {
            return false;
        }
        line.message.blocked = false;
        line.state = State::Open;
        // The kernel starts a rate budget again when it is told to let a message through.
        let restarted = kernel.block(handle).and_then(|()| kernel.unblock(handle));
        self.refused += u64::from(restarted.is_err());
        self.refused += u64::from(kernel.signal(handle).is_err());
        true
    }

    /// One attempt to end a closing line. `true`: its number can be anybody's.
    pub(super) fn end_step<B: BackEnd>(&mut self, core: &mut Core<B, K>, slot: u32) -> bool {
        let line = self.lines.get_mut(slot);
        if line.owed.mask {
            line.owed.mask = self.hardware.mask(line.id).is_err();
        }
        let message = &mut line.message;
        if let Some(id) = message.id.take() {
            // What it led to waits at the core, whatever the kernel says.
            let _ = core.orphaned(id);
            message.handle = None;
        }
        if let Some(handle) = message.handle
            && core.kernel_mut().destroy(handle).is_ok()
        {
            message.handle = None;
        }
        if line.owed.mask || message.handle.is_some() {
            return false;
        }
        // Asked only now: what is in flight at the first question is all there will ever be.
        if let Way::Event(_) | Way::Private(_) = line.way
            && !core.kernel_mut().vector_drained(message.event)
        {
            return false;
        }
        self.hardware.clear(line.id).is_ok()
    }

    /// All owners that were told have answered.
    pub(super) fn release<B: BackEnd>(&mut self, core: &mut Core<B, K>, slot: u32) {
        let line = self.lines.get_mut(slot);
        line.waiting = 0;
        match (line.way, line.message.handle) {
            // An error says that nothing is held: what was told was a signal.
            (Way::Event(_) | Way::Private(_), Some(handle)) => {
                let _ = core.kernel_mut().acknowledge(handle);
            }
            (Way::Event(_) | Way::Private(_), None) => {}
            (Way::Message(_), _) => line.owed.end = self.hardware.end(line.id).is_err(),
        }
    }

    /// Steps that a chip did not follow in time.
    pub(super) fn catch_up(&mut self, slot: u32) {
        let line = self.lines.get_mut(slot);
        if line.owed.end && line.state != State::Closing {
            line.owed.end = self.hardware.end(line.id).is_err();
        }
        if line.owed.mask && line.state != State::Closing {
            line.owed = Owed { mask: self.hardware.mask(line.id).is_err(), ..line.owed };
        }
    }
}

/// Who has a chip's messages at the core: no badge names it.
fn chip(source: Source) -> ClientId {
    ClientId::line_chip(source)
}
