//! A machine with lines, a server over it, and clients.

use interrupt_core::fake::{
    FakeError, FakeHandle, FakeItsUnit, FakeKernel, FakeLines, FakeMachine, FakeUnit, FakeWay,
    ItsOptions, ItsSetup, VtdOptions, fake_config,
};
use interrupt_core::wire::{
    Acknowledge, LineId, Mode, OpenRequest, OpenedWire, Polarity, Trigger, WireError, Wires, Wiring,
};
use interrupt_core::{BackEnd, ClientId, Core, CpuSet, Events, RequesterId, Vectored};

pub(crate) const A: ClientId = ClientId::device(RequesterId::from_bits(0x0010));
pub(crate) const B: ClientId = ClientId::platform(3);
pub(crate) const C: ClientId = ClientId::device(RequesterId::from_bits(0x0018));

pub(crate) const LEVEL: Wiring = Wiring { trigger: Trigger::Level, polarity: Polarity::High };
pub(crate) const EDGE: Wiring = Wiring { trigger: Trigger::Edge, polarity: Polarity::High };
pub(crate) const LINE: LineId = LineId::new(33);

pub(crate) type Refusal = WireError<FakeError>;
pub(crate) type Opened = OpenedWire<FakeHandle>;

/// Everything in one.
pub(crate) struct Rig<E: BackEnd> {
    pub(crate) machine: FakeMachine,
    pub(crate) core: Core<E, FakeKernel>,
    pub(crate) wires: Wires<FakeLines, FakeKernel>,
    pub(crate) lines: FakeLines,
    pub(crate) now: u64,
}

/// Lines that are CPU events, beside an ITS.
pub(crate) fn events() -> Rig<Events<FakeItsUnit>> {
    let machine = FakeMachine::with_its(ItsOptions { cpus: 3, ..ItsOptions::default() });
    let core = machine.its_server(&fake_config(0x5f, 64, 64), &ItsSetup::default());
    Rig::new(machine, core, FakeWay::Events)
}

/// Lines that each CPU has for itself, beside an ITS.
pub(crate) fn private() -> Rig<Events<FakeItsUnit>> {
    let machine = FakeMachine::with_its(ItsOptions { cpus: 3, ..ItsOptions::default() });
    let core = machine.its_server(&fake_config(0x5f, 64, 64), &ItsSetup::default());
    Rig::new(machine, core, FakeWay::Private)
}

/// Lines that a chip sends messages for, through a VT-d unit.
pub(crate) fn messages() -> Rig<Vectored<FakeUnit>> {
    let machine = FakeMachine::new(3, Some(VtdOptions::default()));
    let core = machine.server(&fake_config(0x5f, 64, 64));
    Rig::new(machine, core, FakeWay::Messages)
}

/// Runs each of these tests over both.
macro_rules! over_both {
    ($($name:ident),* $(,)?) => {
        mod events {
            $(#[test] fn $name() { super::$name(crate::rig::events()); })*
        }
        mod messages {
            $(#[test] fn $name() { super::$name(crate::rig::messages()); })*
        }
    };
}
pub(crate) use over_both;

impl<E: BackEnd> Rig<E> {
    fn new(machine: FakeMachine, core: Core<E, FakeKernel>, way: FakeWay) -> Self {
        let lines = FakeLines::new(way);
        Self { machine, core, wires: Wires::new(lines.clone()), lines, now: 1 }
    }

    pub(crate) fn grant(&mut self, client: ClientId, wiring: Wiring) {
        self.wires.grant(client, LINE, wiring).expect("there is such a line");
    }

    pub(crate) fn open(
        &mut self,
        client: ClientId,
        wiring: Wiring,
        mode: Mode,
    ) -> Result<Opened, Refusal> {
        self.open_line(client, LINE, wiring, mode)
    }

    pub(crate) fn open_line(
        &mut self,
        client: ClientId,
        line: LineId,
        wiring: Wiring,
        mode: Mode,
    ) -> Result<Opened, Refusal> {
        let request = OpenRequest { line, wiring, mode, cpus: CpuSet::ALL };
        self.wires.open(&mut self.core, client, &request)
    }

    /// Granted and opened.
    pub(crate) fn have(&mut self, client: ClientId, wiring: Wiring, mode: Mode) -> Opened {
        self.grant(client, wiring);
        self.open(client, wiring, mode).expect("nobody is in the way")
    }

    /// Chips send, CPUs take, the server hears.
    pub(crate) fn run(&mut self) {
        self.lines.run(&self.machine);
        self.machine.take_events();
        self.hear();
    }

    pub(crate) fn hear(&mut self) {
        for key in self.machine.kernel.packets() {
            assert!(self.wires.fired(&mut self.core, key, self.now), "a key of nobody's");
        }
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, ns: u64) {
        self.now += ns;
        self.wires.tick(&mut self.core, self.now);
        self.core.tick(64);
    }

    /// The owner says that its device wants nothing more.
    pub(crate) fn answer(&mut self, client: ClientId, wire: &Opened) {
        match wire.acknowledge {
            Acknowledge::Nobody => {}
            // It may have been let go meanwhile.
            Acknowledge::Kernel => drop(self.machine.kernel.let_go(wire.handle)),
            Acknowledge::Server => {
                let done = self.wires.acknowledge(&mut self.core, client, wire.id);
                assert!(matches!(done, Ok(()) | Err(WireError::Line(_))), "{done:?}");
            }
        }
    }

    pub(crate) fn delivered(&self, wire: &Opened) -> u64 {
        self.machine.kernel.delivered(wire.handle)
    }

    /// Everything that waits comes to an end, and nobody did what is not allowed.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100 {
            self.machine.take_events();
            self.pass(1);
        }
        self.check();
    }

    pub(crate) fn check(&self) {
        let mut wrong = self.machine.violations();
        wrong.extend(self.lines.violations());
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
