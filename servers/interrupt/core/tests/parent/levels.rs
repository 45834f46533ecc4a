//! A machine, the server over its remapper (the *root*), and children of it.

use interrupt_core::fake::{
    AmdViOptions, FakeAmdViUnit, FakeConfig, FakeError, FakeHandle, FakeItsUnit, FakeKernel,
    FakeMachine, FakeUnit, ItsOptions, ItsSetup, ModelParent, VtdOptions, fake_config,
    fake_device_id,
};
use interrupt_core::parent::{Parent, ParentHandles, ParentSetup};
use interrupt_core::{
    AllocRequest, Allocated, BackEnd, ClientDevices, ClientPolicy, Config, Contiguity, Core,
    CpuSet, Domain, Error, Events, KernelMessages, Kind, RequesterId, Vectored,
};
use std::cell::RefCell;
use std::rc::Rc;

/// Devices of the first subsystem.
pub(crate) const A: RequesterId = RequesterId::from_bits(0x0010);
pub(crate) const B: RequesterId = RequesterId::from_bits(0x0018);
/// A device of the second one.
pub(crate) const C: RequesterId = RequesterId::from_bits(0x0300);
/// A device that a driver of the root has.
pub(crate) const D: RequesterId = RequesterId::from_bits(0x0400);
/// The subsystems.
pub(crate) const FIRST: u16 = 3;
pub(crate) const SECOND: u16 = 4;
/// Messages that each of them may have.
pub(crate) const QUOTA: u32 = 12;

pub(crate) type Root<R> = Core<R, FakeKernel>;
pub(crate) type Way<R, K = FakeKernel> = ModelParent<R, K>;
pub(crate) type Child<R, K = FakeKernel> = Core<Parent<Way<R, K>>, ParentHandles<Way<R, K>>>;

/// A kind of machine.
pub(crate) trait Rig: Sized {
    type BackEnd: BackEnd;

    fn machine(cpus: u8) -> FakeMachine;
    fn root(machine: &FakeMachine, config: &FakeConfig) -> Root<Self::BackEnd>;
}

pub(crate) struct OverVtd;
pub(crate) struct OverAmdVi;
pub(crate) struct OverIts;

impl Rig for OverVtd {
    type BackEnd = Vectored<FakeUnit>;

    fn machine(cpus: u8) -> FakeMachine {
        FakeMachine::new(cpus, Some(VtdOptions::default()))
    }

    fn root(machine: &FakeMachine, config: &FakeConfig) -> Root<Self::BackEnd> {
        machine.server(config)
    }
}

impl Rig for OverAmdVi {
    type BackEnd = Vectored<FakeAmdViUnit>;

    fn machine(cpus: u8) -> FakeMachine {
        FakeMachine::with_amdvi(cpus, AmdViOptions::default())
    }

    fn root(machine: &FakeMachine, config: &FakeConfig) -> Root<Self::BackEnd> {
        machine.amdvi_server(config)
    }
}

impl Rig for OverIts {
    type BackEnd = Events<FakeItsUnit>;

    fn machine(cpus: u8) -> FakeMachine {
        FakeMachine::with_its(ItsOptions { cpus, ..ItsOptions::default() })
    }

    fn root(machine: &FakeMachine, config: &FakeConfig) -> Root<Self::BackEnd> {
        machine.its_server(config, &ItsSetup::default())
    }
}

/// Runs each of these tests over each.
macro_rules! over_each {
    ($($name:ident),* $(,)?) => {
        mod vtd { $(#[test] fn $name() { super::$name::<crate::levels::OverVtd>(); })* }
        mod amdvi { $(#[test] fn $name() { super::$name::<crate::levels::OverAmdVi>(); })* }
        mod its { $(#[test] fn $name() { super::$name::<crate::levels::OverIts>(); })* }
    };
}
pub(crate) use over_each;

/// All of it.
pub(crate) struct Levels<R: Rig> {
    pub(crate) machine: FakeMachine,
    pub(crate) root: Rc<RefCell<Root<R::BackEnd>>>,
    /// The first subsystem's way to the root, and its server.
    pub(crate) way: Way<R::BackEnd>,
    pub(crate) child: Child<R::BackEnd>,
}

impl<R: Rig> Levels<R> {
    /// Vectors 0x30..=`last` on each CPU.
    pub(crate) fn new(cpus: u8, last: u8) -> Self {
        let machine = R::machine(cpus);
        let config = fake_config(last, 60, 30);
        let mut root = R::root(&machine, &config);
        for device in [A, B, C, D] {
            let devices = ClientDevices { own: Some(fake_device_id(device)), dma: None };
            let policy = ClientPolicy { devices, ..config.core.default_policy };
            root.register(device, policy).expect("a place for each");
        }
        let root = Rc::new(RefCell::new(root));
        let way = ModelParent::new(root.clone(), FIRST);
        let child = child(&way, QUOTA);
        let mut levels = Self { machine, root, way, child };
        levels.found(FIRST, &[A, B]);
        levels.found(SECOND, &[C]);
        levels
    }

    /// Makes a subsystem known to the root.
    pub(crate) fn found(&mut self, number: u16, devices: &[RequesterId]) {
        let mut root = self.root.borrow_mut();
        root.set_subsystem(number, QUOTA).expect("a number in range");
        for device in devices {
            root.join(number, *device).expect("nobody's device");
        }
    }

    /// The child dies, and another one is started in its place.
    pub(crate) fn restart(&mut self) {
        self.root.borrow_mut().subsystem_gone(FIRST, |_| {});
        self.way = ModelParent::new(self.root.clone(), FIRST);
        self.child = child(&self.way, QUOTA);
        self.found(FIRST, &[A, B]);
    }

    /// What anybody can see of both, and what is kept in between.
    pub(crate) fn seen(&self) -> (Vec<Domain>, Vec<Domain>, usize) {
        let mut child = visible(&self.child);
        for node in &mut child {
            // It learns what the entry is called when it first asks about it.
            if let Domain::Message(info) = node {
                info.name = None;
            }
        }
        (visible(&self.root.borrow()), child, self.way.kept())
    }

    /// All CPUs take everything, and both quarantines empty.
    pub(crate) fn settle(&mut self) {
        self.machine.take_events();
        for _ in 0..1000 {
            if self.child.tick(64) + self.root.borrow_mut().tick(64) == 0 {
                return;
            }
            self.machine.take_events();
        }
        panic!("a quarantine does not empty");
    }

    /// Nothing is left of anything, on any level.
    pub(crate) fn all_is_back(&mut self) {
        self.settle();
        assert_eq!(self.child.back_end_mut().entries_used(), 0);
        assert_eq!(self.root.borrow_mut().back_end_mut().entries_used(), 0);
        assert_eq!((self.machine.kernel.live(), self.way.kept()), (0, 0));
        assert_eq!(self.root.borrow().subsystem(FIRST).map_or(0, |it| it.held), 0);
        assert_eq!(self.machine.violations(), Vec::<String>::new());
    }
}

/// A server over a way to another one.
pub(crate) fn child<B: BackEnd, K>(way: &Way<B, K>, messages: u32) -> Child<B, K>
where
    K: KernelMessages<Handle = FakeHandle>,
{
    let setup = ParentSetup { isolated: true, messages: messages as u16, vectors: (0, 0) };
    let parent = Parent::new(way.clone(), setup).expect("memory");
    let handles = parent.handles();
    let base = fake_config(0x30, messages, messages).core;
    let config = Config { allow_unisolated: true, ..base };
    Core::new(parent, handles, &config).expect("a good configuration")
}

fn visible<B: BackEnd, K: KernelMessages>(core: &Core<B, K>) -> Vec<Domain> {
    let seen = |node: &Domain| matches!(node, Domain::Message(_));
    core.describe().filter(seen).collect()
}

pub(crate) fn request(kind: Kind) -> AllocRequest {
    AllocRequest { kind, contiguity: Contiguity::Single, cpus: CpuSet::ALL }
}

/// One message, whose handle is with its driver and with nobody else.
pub(crate) fn alloc<B: BackEnd, K>(
    core: &mut Core<B, K>,
    client: RequesterId,
) -> Result<Allocated<FakeHandle>, Error<FakeError>>
where
    K: KernelMessages<Handle = FakeHandle, Error = FakeError>,
{
    let mut out = [None];
    core.alloc(client, &request(Kind::DeviceArray), &mut out)?;
    let message = out[0].expect("an answer");
    core.handed_on(message.id);
    Ok(message)
}
