//! What the device is made to do, and what must come of it.

use core::iter::repeat_n;
use core::slice;

use demo_core::{Arrival, Ledger, Raised, Rig, drill};
use demo_driver::{
    Expected, Reporter, RigError, Stop, activate, close_books, hear, refused, silence_pin, standing,
};
use libsys::interrupt::Interrupts;
use libsys::object::Port;
use libsys::pci::Device as PciDevice;
use libsys::proto::pci::Enables;
use libsys::proto::report::Done;
use libsys::startup::Environment;
use libsys::store::Store;
use libsys::{Error, Startup};

use crate::device::{BY_HAND, Device, DeviceError, FACTORIAL_DONE};

/// The only slot's key.
const KEY: u64 = 0;
/// Interrupts raised by hand, one at a time.
const BY_HAND_TIMES: usize = 8;
/// Numbers whose factorials are computed, each with an interrupt at its end.
const FACTORIALS: [u32; 4] = [0, 1, 5, 12];
/// Bursts of [`drill::BURST`].
const BURSTS: usize = 4;

/// How the device is told to raise its message.
#[derive(Clone, Copy)]
enum Trigger {
    /// Register 0x60.
    ByHand,
    /// A factorial that finishes.
    Factorial(u32),
}

/// The device, its port, and what is known of its mask.
struct EduRig<'a> {
    device: &'a Device,
    port: &'a Port,
    trigger: Trigger,
    /// Its message is stopped on the way: nobody will hear of what it raises.
    is_masked: bool,
}

impl Rig for EduRig<'_> {
    type Error = RigError<DeviceError>;

    fn fire(&mut self, _key: u64) -> Result<Raised, Self::Error> {
        match self.trigger {
            Trigger::ByHand => self.device.raise(),
            Trigger::Factorial(of) => self.device.start_factorial(of),
        }
        if self.is_masked {
            // Nobody else will: no packet is to come.
            self.device.acknowledge();
        }
        Ok(Raised::Written)
    }

    fn next(&mut self, patience_ns: u64) -> Result<Option<Arrival>, Self::Error> {
        let heard = hear(self.port, patience_ns).map_err(RigError::Port)?;
        if heard.is_some() {
            let raised = match self.trigger {
                Trigger::ByHand => BY_HAND,
                Trigger::Factorial(_) => FACTORIAL_DONE,
            };
            let status = self.device.acknowledge();
            // A burst's second packet finds its cause acknowledged with the first's.
            if status != raised && status != 0 {
                return Err(RigError::Device(DeviceError::Cause { raised, status }));
            }
        }
        Ok(heard)
    }
}

/// Runs the demonstration.
pub fn run(env: &Startup, reporter: &Reporter) -> Result<Done, Stop<DeviceError>> {
    let pci = PciDevice::new(env.handle("pci").ok_or(Error::BadHandle)?);
    let identity = pci.describe()?;
    silence_pin(pci)?;
    let bar = pci.map_bar(0)?;
    pci.enable(Enables::MEMORY_AND_MASTER)?;
    let device = Device::start(bar).map_err(Stop::Device)?;

    let port = Port::new()?;
    let server = env.handle("interrupt").ok_or(Error::BadHandle)?;
    let store = Store::pci_msi(pci)?;
    let interrupts = Interrupts::new(server, port.handle());
    if Expected::from_args(env)? == Expected::Refusal {
        refused(reporter, &interrupts, &store)?;
        return Ok(Done { ok: true, slots: 0, fired: 0, delivered: 0, kind: store.kind() });
    }
    let mut interrupt = interrupts.add(&store, 0, KEY)?;
    let route = activate(&mut interrupt, &port)?;

    let mut ledger = Ledger::new(1);
    let mut rig =
        EduRig { device: &device, port: &port, trigger: Trigger::ByHand, is_masked: false };

    drill::singles(&mut rig, &mut ledger, repeat_n(KEY, BY_HAND_TIMES))?;
    for of in FACTORIALS {
        rig.trigger = Trigger::Factorial(of);
        drill::singles(&mut rig, &mut ledger, [KEY].into_iter())?;
        device.check_factorial(of).map_err(Stop::Device)?;
    }
    rig.trigger = Trigger::ByHand;

    interrupt.mask()?;
    rig.is_masked = true;
    // Its capability has no mask bits, so it is the remapper that stops the message.
    drill::blocked(&mut rig, &mut ledger, repeat_n(KEY, BURSTS))?;
    rig.is_masked = false;
    interrupt.unmask()?;
    drill::resumed(&mut rig, &mut ledger, KEY)?;
    drill::singles(&mut rig, &mut ledger, [KEY].into_iter())?;

    reporter.stand(&[standing(&identity, store.kind(), &ledger)])?;

    drill::bursts(&mut rig, &mut ledger, repeat_n(KEY, BURSTS))?;
    // When this returns no event is in flight: what has not come by now never will.
    interrupt.deactivate()?;
    drill::settle(&mut rig, &mut ledger)?;
    drill::close(&mut ledger, [KEY].into_iter())?;

    reporter.line(format_args!(
        "1 message in the MSI capability: register 0x60 raised {} times and {} factorials \
         finished, one at a time; {BURSTS} bursts of {}; masked, nothing came until it was \
         unmasked",
        BY_HAND_TIMES + 1,
        FACTORIALS.len(),
        drill::BURST,
    ))?;
    let (message, route) = (slice::from_ref(&interrupt), slice::from_ref(&route));
    let done = close_books(reporter, &identity, store.kind(), message, route, &mut ledger)?;
    interrupt.release()?;
    Ok(done)
}
