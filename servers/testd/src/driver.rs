//! What a driver does, without a library that would do it right: claiming a device, asking
//! for messages, and two devices to raise them with.

use alloc::vec::Vec;
use init_control::{ClientGone, Release, SYSTEM_BADGE, SetDevice, SetQuota, SetWire, Writes};
use libsys::ipc::{AskError, ask, ask_with, call};
use libsys::map::Mapping;
use libsys::pci::{Device, MappedBar};
use libsys::sys;
use tocsin_abi::message::MessageStatus;
use tocsin_abi::{Error, Handle, Rights};
use tocsin_proto::interrupt::{
    self as irq, Acknowledge, Activated, Alloc, Contiguity, Information, LineId, MessageId,
    MessageRow, WireMode, Wiring,
};
use tocsin_proto::pci::{Claim, Enables, MsiMask, MsiUnmask, MsiWrite};
use tocsin_proto::{StoreKind, badge};

use crate::harness::{Failure, Outcome, same, skip, wrong};
use crate::inspect;
use crate::kit::{self, Ctx, Own};

/// QEMU's `edu` device.
pub const EDU: (u16, u16) = (0x1234, 0x11e8);
/// The LSI 53C895A.
pub const LSI: (u16, u16) = (0x1000, 0x0012);

/// Why a request of the interrupt server's protocol failed.
pub type IrqError = AskError<irq::Error>;
/// Why a request of the PCI server's protocol failed.
pub type PciError = AskError<tocsin_proto::pci::Error>;

impl<E: core::fmt::Debug> From<AskError<E>> for Failure {
    #[track_caller]
    fn from(error: AskError<E>) -> Self {
        wrong(alloc::format!("{}: unexpected {error:?}", core::panic::Location::caller()))
    }
}

/// A client of the interrupt server, by badge.
pub struct Client {
    endpoint: Own,
    /// Requester id.
    pub requester: u16,
    system: Own,
}

impl Client {
    /// Speaks for the device with this requester id, which need not exist.
    pub fn new(ctx: &Ctx, requester: u16) -> Result<Client, Failure> {
        Client::at(ctx.need("interrupt")?, requester)
    }

    /// The same at another interrupt server than the machine's, with the right to mint there.
    pub fn at(server: Handle, requester: u16) -> Result<Client, Failure> {
        let rights = Rights::CALL | Rights::DUPLICATE | Rights::TRANSFER;
        let endpoint = kit::badged(server, rights, badge::of_device(requester))?;
        let system = kit::badged(server, Rights::CALL, SYSTEM_BADGE)?;
        Ok(Client { endpoint, requester, system })
    }

    /// Speaks for a device that there is not, on a machine that has messages for devices.
    pub fn ghost(ctx: &Ctx, requester: u16) -> Result<Client, Failure> {
        let client = Client::new(ctx, requester)?;
        if client.info()?.vectors.total == 0 {
            return Err(skip("this machine has no messages for devices"));
        }
        client.make_known()?;
        Ok(client)
    }

    /// An ITS has to be told what it would see of a device, and any number is as good that no
    /// device has.
    pub fn make_known(&self) -> Outcome {
        let requester = self.requester;
        let (writes, device) = (Writes::Messages, requester.into());
        let set = SetDevice { client: requester.into(), writes, device };
        let told = call(self.system.h(), SetDevice::LABEL, &set.words(), &[])?;
        same(told.label, 0, "what the interrupt server says to a DeviceID")
    }

    /// Where it calls.
    pub fn h(&self) -> Handle {
        self.endpoint.h()
    }

    /// Reserves `count` messages for CPUs in `cpus`.
    pub fn alloc(&self, kind: StoreKind, count: u8, cpus: u64) -> Result<Vec<Irq>, IrqError> {
        let request = Alloc { count, kind, contiguity: Contiguity::Any, cpus };
        let (reply, handles) = ask_with(self.h(), &request, &[])?;
        let made = reply.messages.iter().zip(handles).map(|(ids, handle)| Irq {
            id: ids.id,
            address: ids.address,
            data: ids.data,
            message: Own::of(handle.leak()),
        });
        Ok(made.collect())
    }

    /// Reserves one message for any CPU.
    pub fn one(&self, kind: StoreKind) -> Result<Irq, IrqError> {
        let made = self.alloc(kind, 1, irq::ANY_CPU)?.pop();
        made.ok_or(AskError::Malformed(tocsin_proto::DecodeError::WrongLength))
    }

    /// Takes a vector.
    pub fn activate(&self, id: MessageId) -> Result<Activated, IrqError> {
        ask(self.h(), &irq::Activate { id })
    }

    /// Gives the vector back.
    pub fn deactivate(&self, id: MessageId) -> Result<(), IrqError> {
        ask(self.h(), &irq::Deactivate { id }).map(drop)
    }

    /// Gives the message back.
    pub fn free(&self, id: MessageId) -> Result<(), IrqError> {
        ask(self.h(), &irq::Free { id }).map(drop)
    }

    /// Turns the remapper entry off.
    pub fn block(&self, id: MessageId) -> Result<(), IrqError> {
        ask(self.h(), &irq::Block { id }).map(drop)
    }

    /// Turns it on again.
    pub fn unblock(&self, id: MessageId) -> Result<(), IrqError> {
        ask(self.h(), &irq::Unblock { id }).map(drop)
    }

    /// Moves a message.
    pub fn move_to(&self, id: MessageId, cpus: u64) -> Result<Activated, IrqError> {
        ask(self.h(), &irq::SetAffinity { id, cpus })
    }

    /// As init or pci: this client may open a line. What the server says to it.
    pub fn set_wire(&self, line: LineId, wiring: Wiring) -> Result<u32, Error> {
        let request = SetWire { client: self.requester.into(), line, wiring };
        Ok(call(self.system.h(), SetWire::LABEL, &request.words(), &[])?.label)
    }

    /// Opens a line on any CPU.
    pub fn wire(&self, line: LineId, wiring: Wiring, mode: WireMode) -> Result<OpenWire, IrqError> {
        self.wire_on(line, wiring, mode, irq::ANY_CPU)
    }

    /// Opens a line on one of these CPUs.
    pub fn wire_on(
        &self,
        line: LineId,
        wiring: Wiring,
        mode: WireMode,
        cpus: u64,
    ) -> Result<OpenWire, IrqError> {
        let request = irq::WireOpen { line, wiring, mode, cpus };
        let (opened, mut handles) = ask_with(self.h(), &request, &[])?;
        let none = AskError::Malformed(tocsin_proto::DecodeError::WrongHandles);
        let message = Own::of(handles.pop().ok_or(none)?.leak());
        Ok(OpenWire { id: opened.id, acknowledge: opened.acknowledge, message })
    }

    /// Gives it back.
    pub fn close_wire(&self, id: MessageId) -> Result<(), IrqError> {
        ask(self.h(), &irq::WireClose { id }).map(drop)
    }

    /// Says to the server that its device is served.
    pub fn acknowledge(&self, id: MessageId) -> Result<(), IrqError> {
        ask(self.h(), &irq::WireAcknowledge { id }).map(drop)
    }

    /// Every row that the server shows of its messages.
    pub fn described(&self) -> Result<Vec<MessageRow>, IrqError> {
        Ok(inspect::messages(&inspect::walk(self.h(), irq::Cursor::START)?.0))
    }

    /// What the server has to give.
    pub fn info(&self) -> Result<Information, IrqError> {
        ask(self.h(), &irq::Info)
    }

    /// The same when nothing is in quarantine any more from tests before.
    pub fn at_rest(&self) -> Result<Information, IrqError> {
        let (mut before, mut same) = (self.info()?, 0);
        while same < 4 {
            kit::sleep(5_000_000);
            let now = self.info()?;
            same = if now == before { same + 1 } else { 0 };
            before = now;
        }
        Ok(before)
    }

    /// As init: how many messages this client may hold.
    pub fn quota(&self, messages: u32) -> Outcome {
        let request = SetQuota { client: self.requester.into(), messages };
        let reply = call(self.system.h(), SetQuota::LABEL, &request.words(), &[])?;
        crate::harness::same(reply.label, 0, "the quota")
    }

    /// As pci: nobody drives this device any more.
    pub fn gone(&self) -> Outcome {
        let request = ClientGone { client: self.requester.into() };
        let reply = call(self.system.h(), ClientGone::LABEL, &request.words(), &[])?;
        crate::harness::same(reply.label, 0, "the end of a client")
    }

    /// Waits until the server has as much to give as it had, after its quarantine.
    #[track_caller]
    pub fn all_is_back(&self, before: &Information) -> Outcome {
        let deadline = kit::now() + kit::PATIENCE_NS;
        loop {
            let now = self.info()?;
            if now == *before {
                return Ok(());
            }
            if kit::now() > deadline {
                return Err(wrong(alloc::format!("not all is back: {now:?}, was {before:?}")));
            }
            kit::sleep(5_000_000);
        }
    }
}

/// A line that a client has. Closing the handle is the driver's death, as far as the servers
/// can see.
#[derive(Debug)]
pub struct OpenWire {
    /// At the interrupt server.
    pub id: MessageId,
    /// Whom to tell that a level's cause is gone.
    pub acknowledge: Acknowledge,
    /// The message object.
    pub message: Own,
}

impl OpenWire {
    /// Its level's cause is gone.
    pub fn answer(&self, client: &Client) -> Outcome {
        match self.acknowledge {
            Acknowledge::Nobody => {}
            Acknowledge::Kernel => drop(sys::message_acknowledge(self.message.h())?),
            Acknowledge::Server => client.acknowledge(self.id)?,
        }
        Ok(())
    }
}

/// A message and what a device would do to raise it. Closing the handle is the driver's
/// death, as far as the servers can see.
#[derive(Debug)]
pub struct Irq {
    /// At the interrupt server.
    pub id: MessageId,
    /// Where the device writes.
    pub address: u64,
    /// What it writes.
    pub data: u32,
    /// The message object.
    pub message: Own,
}

impl Irq {
    /// Binds it.
    pub fn bind(&self, port: &Own, key: u64) -> Result<(), Error> {
        sys::message_bind(self.message.h(), port.h(), key).map(drop)
    }

    /// Its counters.
    pub fn status(&self) -> Result<MessageStatus, Error> {
        crate::message::status(&self.message)
    }
}

/// A device claimed from the PCI server, as init does it, and given back when dropped.
pub struct Claimed {
    pci: Handle,
    endpoint: Own,
    /// The device at the interrupt server, by the endpoint that the claim brought.
    pub interrupt: Own,
    /// Requester id.
    pub requester: u16,
}

impl Claimed {
    /// Claims it, or skips the test where the machine has none.
    pub fn new(ctx: &Ctx, ids: (u16, u16)) -> Result<Claimed, Failure> {
        let pci = ctx.need("pci")?;
        let request = Claim { vendor: ids.0, device: ids.1, nth: 0, dma_quota: 64 << 10 };
        let (reply, mut handles) = match ask_with(pci, &request, &[]) {
            Ok(claimed) => claimed,
            Err(AskError::Refused(tocsin_proto::pci::Error::NoSuchDevice)) => {
                return Err(skip("the machine has no such device"));
            }
            Err(error) => return Err(error.into()),
        };
        let (Some(interrupt), Some(endpoint)) = (handles.pop(), handles.pop()) else {
            return Err(wrong("a claim without endpoints"));
        };
        Ok(Claimed {
            pci,
            endpoint: Own::of(endpoint.leak()),
            interrupt: Own::of(interrupt.leak()),
            requester: reply.requester,
        })
    }

    /// The PCI server, as this device's driver.
    pub fn h(&self) -> Handle {
        self.endpoint.h()
    }

    /// The same with libsys' calls.
    pub fn device(&self) -> Device {
        Device::new(self.h())
    }

    /// Puts a message's pair into the MSI capability.
    pub fn msi_write(&self, message: &Own) -> Result<(), PciError> {
        let pair = [(message.h(), Rights::READ)];
        ask_with(self.h(), &MsiWrite { slot: 0 }, &pair).map(drop)
    }

    /// Masks it.
    pub fn msi_mask(&self) -> Result<(), PciError> {
        ask(self.h(), &MsiMask { slot: 0 }).map(drop)
    }

    /// Unmasks it.
    pub fn msi_unmask(&self) -> Result<(), PciError> {
        ask(self.h(), &MsiUnmask { slot: 0 }).map(drop)
    }

    /// As init: gives the device back.
    pub fn release(&self) -> Result<u32, Error> {
        let request = Release { requester: self.requester };
        Ok(call(self.pci, Release::LABEL, &request.words(), &[])?.label)
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        // A test may have done it already.
        let _ = self.release();
    }
}

/// The `edu` device (QEMU, docs/specs/edu.txt).
pub struct Edu {
    /// Its claim.
    pub claim: Claimed,
    bar: MappedBar,
}

impl Edu {
    /// Claims and enables it.
    pub fn new(ctx: &Ctx) -> Result<Edu, Failure> {
        let claim = Claimed::new(ctx, EDU)?;
        let bar = claim.device().map_bar(0)?;
        claim.device().enable(Enables::MEMORY_AND_MASTER)?;
        Ok(Edu { claim, bar })
    }

    /// As its client at the interrupt server.
    pub fn client(&self, ctx: &Ctx) -> Result<Client, Failure> {
        Client::new(ctx, self.claim.requester)
    }

    /// Raises an interrupt and takes it back at the device.
    pub fn raise(&self) {
        self.registers().write32(0x60, 1);
        self.registers().write32(0x64, 1);
    }

    /// Wants something, until it is served.
    pub fn want(&self) {
        self.registers().write32(0x60, 1);
    }

    /// Is served.
    pub fn serve(&self) {
        self.registers().write32(0x64, 1);
    }

    /// True while it computes a factorial.
    pub fn computes(&self) -> bool {
        self.registers().read32(0x20) & 1 != 0
    }

    /// Has it compute a factorial without an interrupt; nanoseconds that it took.
    pub fn time_factorial(&self, number: u64) -> Result<u64, Failure> {
        self.wait_idle()?;
        self.registers().write32(0x20, 0);
        let start = kit::now();
        self.registers().write32(0x08, number as u32);
        self.wait_idle()?;
        Ok(kit::now() - start)
    }

    /// Waits until it computes nothing.
    pub fn wait_idle(&self) -> Outcome {
        let deadline = kit::now() + 4 * kit::PATIENCE_NS;
        while self.computes() {
            crate::harness::check(kit::now() < deadline, "the device computes for ever")?;
            kit::sleep(2_000_000);
        }
        Ok(())
    }

    /// Its registers.
    pub fn registers(&self) -> &Mapping {
        &self.bar.mapping
    }
}

/// The LSI 53C895A: its SCRIPTS processor moves a word wherever a script in its own RAM
/// says, which is what makes it a device with an interrupt message store (DESIGN §9).
pub struct Lsi {
    /// Its claim.
    pub claim: Claimed,
    registers: MappedBar,
    ram: MappedBar,
}

impl Lsi {
    /// Claims and enables it.
    pub fn new(ctx: &Ctx) -> Result<Lsi, Failure> {
        let claim = Claimed::new(ctx, LSI)?;
        let registers = claim.device().map_bar(1)?;
        let ram = claim.device().map_bar(2)?;
        claim.device().enable(Enables::MEMORY_AND_MASTER)?;
        Ok(Lsi { claim, registers, ram })
    }

    /// Its script RAM, for a store over it.
    pub fn into_ram(self) -> Mapping {
        self.ram.mapping
    }

    /// As its client at the interrupt server.
    pub fn client(&self, ctx: &Ctx) -> Result<Client, Failure> {
        Client::new(ctx, self.claim.requester)
    }

    /// Loads a script that writes `data` to `address`, whatever they are: a memory move of
    /// four bytes, then an interrupt instruction with code 1 (53C895A manual, chapter 5).
    /// Returns the register that starts it, where it is mapped here, and what to write.
    pub fn load(&self, address: u64, data: u32) -> (u64, u32) {
        let base = self.ram.bus_address as u32;
        let script = [0xc000_0004, base + 0x40, address as u32, 0x9808_0000, 1];
        for (offset, word) in (0..).step_by(4).zip(script) {
            self.ram.mapping.write32(offset, word);
        }
        self.ram.mapping.write32(0x40, data);
        // DSP, "DMA SCRIPTS Pointer": writing it starts the script.
        (self.registers.mapping.address() as u64 + 0x2c, base)
    }

    /// Has the device write `data` to `address`.
    pub fn write(&self, address: u64, data: u32) {
        let (_, script) = self.load(address, data);
        self.run(script.into());
    }

    /// Runs the script at an address on its bus.
    pub fn run(&self, script: u64) {
        crate::arch::store32(self.registers.mapping.address() as u64 + 0x2c, script as u32);
        // Reading ISTAT, DSTAT and SIST takes the chip's own interrupt back.
        for register in [0x14, 0x0c, 0x42] {
            let _ = self.registers.mapping.read8(register);
        }
    }

    /// Raises a message.
    pub fn fire(&self, irq: &Irq) {
        self.write(irq.address, irq.data);
    }
}
