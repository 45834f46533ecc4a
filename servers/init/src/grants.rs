//! From a manifest's grants to capabilities in a new process. The only place where
//! authority leaves init.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use core::cell::RefCell;

use init_control::pins::PinRule;
use init_control::{NotStarted, SYSTEM_BADGE, SetSubsystem};
use libsys::object::{Endpoint, Port};
use libsys::spawn::Spawner;
use libsys::{ipc, sys};
use tocsin_abi::{Error, Handle, Rights};
use tocsin_manifest::{Grant, Manifest, Program};
use tocsin_proto::badge;

use crate::authority::Authority;
use crate::fatal::{Context, Fatal};
use crate::firmware::Firmware;
use crate::hardware::{Device, Hardware, Hpet, Messages, Uart};
use crate::modules::Modules;
use crate::pins;
use crate::platform;
use crate::wires;

impl Made {
    fn new() -> Result<Self, Error> {
        let whole = Endpoint::new()?;
        let caller = whole.duplicate(CALL | Rights::MINT | Rights::REVOKE)?;
        Ok(Self { caller, receiver: RefCell::new(Some(whole)) })
    }
}

/// What a driver's device gives it.
pub struct Claimed {
    /// Requester id.
    pub requester: u16,
    /// The PCI server, with the device's badge.
    pub pci: Endpoint,
    /// The interrupt server, with the device's badge.
    pub interrupt: Endpoint,
    /// The subsystem that the driver is in, by its server's number.
    pub subsystem: Option<usize>,
}

/// Servers to which badge zero means something: authority over all devices at `pci`, no
/// device at `interrupt`. To the others a caller's badge is the program's number, so that
/// they can tell their callers apart.
const BY_DEVICE: [&str; 2] = ["interrupt", "pci"];

const CALL: Rights = Rights::CALL.union(Rights::DUPLICATE).union(Rights::TRANSFER);
const HAND_ON: Rights = Rights::DUPLICATE.union(Rights::TRANSFER).union(Rights::REVOKE);
const READ_WRITE: Rights = Rights::READ.union(Rights::WRITE);

/// Everything that can be granted.
pub struct Grants<'a> {
    authority: &'a Authority,
    hardware: &'a Hardware,
    modules: &'a Modules,
    manifest: &'a Manifest,
    endpoints: RefCell<BTreeMap<String, Made>>,
    /// By number of an interrupt server below another: where it hears that something has ended
    /// above. A signal waits for nobody, and such a server need not be trusted to answer.
    ports: RefCell<BTreeMap<usize, Port>>,
}

/// An endpoint. Init can call it and mint for it, and receives nothing on it: when its
/// receiver dies nobody can answer, and the kernel tells those who wait.
struct Made {
    caller: Endpoint,
    /// Kept until the receiver has been given it.
    receiver: RefCell<Option<Endpoint>>,
}

impl<'a> Grants<'a> {
    /// Makes the endpoints that the manifest's `receive:` grants name.
    pub fn new(
        authority: &'a Authority,
        hardware: &'a Hardware,
        modules: &'a Modules,
        manifest: &'a Manifest,
    ) -> Result<Self, Fatal> {
        let mut endpoints = BTreeMap::new();
        for grant in manifest.programs().flat_map(|program| &program.grants) {
            if let Grant::Receive(name) = grant {
                endpoints.insert(name.clone(), Made::new().context(name)?);
            }
        }
        let (endpoints, ports) = (RefCell::new(endpoints), RefCell::default());
        Ok(Self { authority, hardware, modules, manifest, endpoints, ports })
    }

    /// A program that receives there will be started again: the dead one's endpoint is dead.
    pub fn renew(&self, name: &str) -> Result<(), Fatal> {
        self.endpoints.borrow_mut().insert(name.into(), Made::new().context(name)?);
        Ok(())
    }

    /// Something of this interrupt server's has ended above it.
    pub fn tell_ended_above(&self, number: usize) {
        if let Some(port) = self.ports.borrow().get(&number) {
            // The port is init's own, and a signal without bits would be the only bad one.
            let _ = port.signal(1);
        }
    }

    /// The endpoint with this name, to call.
    pub fn endpoint(&self, name: &str) -> Option<Handle> {
        self.endpoints.borrow().get(name).map(|made| made.caller.handle())
    }

    /// Whether somebody was started who receives on this endpoint: only then will a call be
    /// answered.
    pub fn is_received(&self, name: &str) -> bool {
        self.endpoints.borrow().get(name).is_some_and(|made| made.receiver.borrow().is_none())
    }

    /// The machine's timers.
    pub fn hpet(&self) -> Option<&Hpet> {
        self.hardware.hpet.as_ref()
    }

    /// Whether their messages go past the remapper, as the manifest says.
    pub fn hpet_goes_past(&self) -> bool {
        self.manifest.interrupt.hpet_past_remapper
    }

    /// Gives a new process all that the manifest grants its program, `number` in the
    /// manifest's order.
    pub fn give(
        &self,
        spawner: &mut Spawner,
        program: &Program,
        number: usize,
        claimed: Option<&Claimed>,
    ) -> Result<(), Fatal> {
        let own = spawner.process();
        let rights = Rights::READ | Rights::WRITE | Rights::CONTROL | Rights::BIND | HAND_ON;
        spawner.grant("self", own, rights, 0).context("self")?;
        let log = log_rights(program);
        if !log.is_empty() {
            spawner.grant("log", self.authority.log, log, 0).context("log")?;
        }
        if platform::is_client(program) {
            let badge = platform::badge_of(number)?;
            spawner
                .grant("interrupt", self.find("interrupt")?, CALL, badge)
                .context("interrupt")?;
            self.introduce(program, number).context("interrupt")?;
        }
        if let Some(parent) = program.parent() {
            self.give_parent(spawner, program, parent, number)?;
        }
        for grant in &program.grants {
            self.give_one(spawner, grant, number, claimed).context(&grant.to_string())?;
        }
        Ok(())
    }

    fn give_one(
        &self,
        spawner: &mut Spawner,
        grant: &Grant,
        number: usize,
        claimed: Option<&Claimed>,
    ) -> Result<(), Fatal> {
        match grant {
            Grant::IoPorts { first, last } => {
                let slice = self.authority.ioports_slice(&(*first..=*last));
                // A machine without I/O ports has none to give.
                let Some(slice) = slice.transpose().context("slice")? else { return Ok(()) };
                let values = ((*first).into(), u64::from(*last) - u64::from(*first) + 1);
                spawner
                    .grant_with("ioports", slice, READ_WRITE | HAND_ON, 0, values)
                    .context("grant")?;
            }
            Grant::Uart => {
                if let Some(Uart { handle, values }) = self.hardware.uart {
                    spawner
                        .grant_with("uart", handle, READ_WRITE | HAND_ON, 0, values)
                        .context("grant")?;
                }
            }
            Grant::Firmware => {
                // Where there is no description there is nothing to give; the server says so.
                let (name, memory, bytes) = match &self.hardware.firmware {
                    Some(Firmware::Acpi(it)) => ("firmware", it.memory.handle(), it.bytes.len()),
                    Some(Firmware::Tree(it)) => ("dtb", it.memory, it.bytes.len()),
                    None => return Ok(()),
                };
                let values = (bytes as u64, 0);
                spawner.grant_with(name, memory, Rights::READ, 0, values).context("grant")?;
            }
            Grant::Vtd => self.give_units(spawner)?,
            Grant::AmdVi => self.give_iommus(spawner)?,
            Grant::IoApic => devices(spawner, "ioapic", &self.hardware.io_apics)?,
            Grant::GicPrivate => {
                for (cpu, frame) in self.hardware.gic.iter().flat_map(|gic| &gic.private) {
                    device(spawner, &format!("gicr{cpu}-private"), frame)?;
                }
            }
            Grant::Hpet => {
                // A machine without an HPET has none to give; the server says so.
                let Some(hpet) = &self.hardware.hpet else { return Ok(()) };
                let values = (hpet.page.range.length(), hpet.offset);
                spawner
                    .grant_with("hpet", hpet.page.handle, READ_WRITE, 0, values)
                    .context("grant")?;
            }
            Grant::Gic => self.give_gic(spawner)?,
            Grant::Ecam => {
                devices(spawner, "ecam", &self.hardware.ecam)?;
                self.give_quirks(spawner)?;
                self.give_pins(spawner)?;
            }
            Grant::PciWindow => devices(spawner, "pci-window", &self.hardware.windows)?,
            Grant::MessageControl => {
                let rights = Rights::CONTROL | Rights::READ | Rights::BIND;
                let control = self.authority.message_control;
                spawner.grant("message-control", control, rights, 0).context("grant")?;
                self.give_policy(spawner)?;
            }
            // Collected into one entry by `give`.
            Grant::DebugLog | Grant::DebugWrite | Grant::DebugStats => {}
            // Given by `give_parent`.
            Grant::Parent(_) => {}
            Grant::Receive(name) => {
                let name_there = format!("receive:{name}");
                // Who receives may also mint: it decides what its callers' badges mean.
                let rights = Rights::RECEIVE | Rights::MINT | CALL | HAND_ON;
                let endpoints = self.endpoints.borrow();
                let made = endpoints.get(name).and_then(|made| made.receiver.take());
                let whole = made.ok_or(Fatal::new("has a receiver already"))?;
                // Init's own is closed here.
                spawner.grant(&name_there, whole.handle(), rights, 0).context("grant")?;
            }
            Grant::Endpoint(name) => {
                let by_device = BY_DEVICE.contains(&name.as_str());
                let badge = if by_device { 0 } else { number as u64 + 1 };
                spawner.grant(name, self.find(name)?, CALL, badge).context("grant")?;
            }
            Grant::Device(name) => {
                let claimed = claimed.ok_or(Fatal::new("is for drivers only"))?;
                // These two come from `pci`, so that a badge always names a claimed device.
                let (endpoint, badge) = match name.as_str() {
                    "pci" => (claimed.pci.handle(), 0),
                    "interrupt" => (claimed.interrupt.handle(), 0),
                    other => (self.find(other)?, badge::of_device(claimed.requester)),
                };
                spawner.grant(name, endpoint, CALL, badge).context("grant")?;
            }
            Grant::Mint(name) => {
                let rights = CALL | Rights::MINT | Rights::REVOKE;
                spawner.grant(name, self.find(name)?, rights, 0).context("grant")?;
            }
            Grant::Inspect(name) => {
                let name_there = format!("inspect:{name}");
                let endpoint = self.find(name)?;
                spawner
                    .grant(&name_there, endpoint, Rights::CALL, badge::INSPECT)
                    .context("grant")?;
            }
            Grant::Wire(name) => self.give_wire(spawner, name, number)?,
            Grant::Module(name) => {
                let module = self.modules.open(name)?;
                let values = (module.bytes.len() as u64, 0);
                let name_there = format!("module:{name}");
                spawner
                    .grant_with(&name_there, module.handle, Rights::READ | HAND_ON, 0, values)
                    .context("grant")?;
            }
        }
        Ok(())
    }

    /// The right to open a line, and which it is. Where firmware names none there is nothing to
    /// give; the server says so.
    fn give_wire(&self, spawner: &mut Spawner, name: &str, number: usize) -> Result<(), Fatal> {
        let Some(line) = wires::line(self.hardware, name) else { return Ok(()) };
        let badge = platform::badge_of(number)?;
        let values = (line.line.0.into(), line.wiring.to_bits().into());
        let interrupt = self.find("interrupt")?;
        let name_there = format!("wire:{name}");
        spawner.grant_with(&name_there, interrupt, CALL, badge, values).context("grant")?;
        Ok(())
    }

    /// An interrupt server below another one: the one above is told of it first.
    fn give_parent(
        &self,
        spawner: &mut Spawner,
        program: &Program,
        parent: &str,
        number: usize,
    ) -> Result<(), Fatal> {
        let subsystem = u16::try_from(number).map_err(Fatal::new)?;
        let set = SetSubsystem { subsystem, messages: program.quota };
        self.tell_server(parent, SetSubsystem::LABEL, &set.words()).context("as a subsystem")?;
        let badge = badge::of_subsystem(subsystem);
        spawner.grant("parent", self.find(parent)?, Rights::CALL, badge).context("parent")?;
        let port = Port::new().context("port")?;
        let rights = Rights::WAIT | Rights::BIND;
        spawner.grant("port", port.handle(), rights, 0).context("port")?;
        self.ports.borrow_mut().insert(number, port);
        Ok(())
    }

    /// Tells a server something as the system.
    pub fn tell_server(&self, name: &str, label: u32, words: &[u64]) -> Result<(), Fatal> {
        let made = sys::handle_duplicate(self.find(name)?, Rights::CALL, SYSTEM_BADGE);
        let system = Endpoint::own(made.context(name)?.handle());
        match ipc::call(system.handle(), label, words, &[]).context(name)?.label {
            0 => Ok(()),
            code => Err(Fatal(format!("`{name}` refused with {code}"))),
        }
    }

    /// Registers, and the memory that the unit works in.
    fn give_units(&self, spawner: &mut Spawner) -> Result<(), Fatal> {
        for (index, unit) in self.hardware.units.iter().enumerate() {
            device(spawner, &format!("vtd{index}"), &unit.registers)?;
            let memory = &unit.memory;
            let rights = READ_WRITE | Rights::ADDRESS;
            for (what, memory, bytes) in [
                ("table", &memory.table, memory.table_bytes),
                ("queue", &memory.queue, 4096),
                ("status", &memory.status, 4096),
            ] {
                let name = format!("vtd{index}-{what}");
                spawner.grant_with(&name, memory.handle(), rights, 0, (bytes, 0)).context(&name)?;
            }
        }
        Ok(())
    }

    /// Registers of each AMD IOMMU, and the memory that one of them works in.
    fn give_iommus(&self, spawner: &mut Spawner) -> Result<(), Fatal> {
        devices(spawner, "amdvi", &self.hardware.iommus.registers)?;
        if let Some((memory, bytes)) = &self.hardware.iommus.memory {
            let rights = READ_WRITE | Rights::ADDRESS;
            let values = (*bytes, 0);
            spawner
                .grant_with("amdvi-memory", memory.handle(), rights, 0, values)
                .context("amdvi-memory")?;
        }
        Ok(())
    }

    /// The frames of registers, and the memory that ITSs work in.
    fn give_gic(&self, spawner: &mut Spawner) -> Result<(), Fatal> {
        let Some(gic) = &self.hardware.gic else { return Ok(()) };
        device(spawner, "gicd", &gic.distributor)?;
        for (cpu, frame) in &gic.redistributors {
            device(spawner, &format!("gicr{cpu}"), frame)?;
        }
        devices(spawner, "its", &gic.its)?;
        match &gic.messages {
            None => {}
            Some(Messages::Lpis) => spawner.value("direct-lpi", 1, 0).context("direct-lpi")?,
            Some(Messages::Spis { ranges, frame }) => {
                spawner.value("mbi", ranges.len() as u64, *frame).context("mbi")?;
                for (place, (first, count)) in ranges.iter().enumerate() {
                    let name = format!("mbi{place}");
                    spawner.value(&name, (*first).into(), (*count).into()).context(&name)?;
                }
            }
        }
        if let Some((memory, bytes)) = &gic.memory {
            let rights = READ_WRITE | Rights::ADDRESS;
            let values = (*bytes, 0);
            spawner
                .grant_with("gic-memory", memory.handle(), rights, 0, values)
                .context("gic-memory")?;
        }
        Ok(())
    }

    /// How devices differ from what firmware says. Who owns configuration space knows which
    /// devices are meant, and tells the interrupt server.
    fn give_quirks(&self, spawner: &mut Spawner) -> Result<(), Fatal> {
        for quirk in &self.manifest.quirks {
            let kind = u64::from(quirk.device.vendor) | u64::from(quirk.device.device) << 16;
            spawner.value("dma-device-id", kind, quirk.dma_device_id.into()).context("quirk")?;
            if let Some(id) = quirk.amdvi_dma_id {
                spawner.value("amdvi-dma-id", kind, id.into()).context("quirk")?;
            }
        }
        Ok(())
    }

    /// Where interrupt pins lead on known boards.
    fn give_pins(&self, spawner: &mut Spawner) -> Result<(), Fatal> {
        for table in &self.manifest.pins {
            let (board, rule) = pins::rule(table).values();
            spawner.value(PinRule::ENTRY, board, rule).context("pins")?;
        }
        Ok(())
    }

    /// What the manifest tells the interrupt server.
    fn give_policy(&self, spawner: &mut Spawner) -> Result<(), Fatal> {
        let policy = &self.manifest.interrupt;
        let allow = policy.allow_unisolated.into();
        let storm = (policy.storm_events.into(), policy.storm_window_ms.into());
        spawner.value("quota", policy.quota.into(), 0).context("quota")?;
        spawner.value("allow-unisolated", allow, 0).context("allow-unisolated")?;
        spawner.value("storm", storm.0, storm.1).context("storm")
    }

    /// Tells those who would hear from a driver that it will not run.
    pub fn tell_absent(&self, program: &Program) {
        let Some(request) = NotStarted::new(&program.name) else { return };
        for grant in &program.grants {
            let Grant::Device(name) = grant else { continue };
            if BY_DEVICE.contains(&name.as_str()) {
                continue;
            }
            let Some(endpoint) = self.endpoint(name) else { continue };
            let Ok(made) = sys::handle_duplicate(endpoint, Rights::CALL, SYSTEM_BADGE) else {
                continue;
            };
            let system = Endpoint::own(made.handle());
            // Whoever does not know the request, or has died, waits for the driver in vain.
            let _ = ipc::call(system.handle(), NotStarted::LABEL, &request.words(), &[]);
        }
    }

    fn find(&self, name: &str) -> Result<Handle, Fatal> {
        self.endpoint(name).ok_or_else(|| Fatal(format!("no program receives on `{name}`")))
    }
}

/// The kernel has one log; a program's grants on it become the rights of one handle.
fn log_rights(program: &Program) -> Rights {
    program.grants.iter().fold(Rights::empty(), |rights, grant| {
        rights
            | match grant {
                Grant::DebugLog => Rights::READ | Rights::WRITE | Rights::BIND,
                Grant::DebugWrite => Rights::WRITE,
                Grant::DebugStats => Rights::READ,
                _ => Rights::empty(),
            }
    })
}

fn devices(spawner: &mut Spawner, name: &str, devices: &[Device]) -> Result<(), Fatal> {
    for (index, each) in devices.iter().enumerate() {
        device(spawner, &format!("{name}{index}"), each)?;
    }
    Ok(())
}

fn device(spawner: &mut Spawner, name: &str, device: &Device) -> Result<(), Fatal> {
    let rights = READ_WRITE | Rights::ADDRESS | HAND_ON;
    let values = (device.range.length(), device.range.start);
    spawner.grant_with(name, device.handle, rights, 0, values).context(name)?;
    Ok(())
}
