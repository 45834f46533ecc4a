//! Is there anything at this address? A read of registers that firmware names and the machine
//! does not have may be answered with an external abort (Arm ARM DDI 0487, "External aborts"),
//! which ends the process that reads. So a process is made that may die of it: another one of
//! init's own program, with nothing but that frame.

use libsys::map::Mapping;
use libsys::object::{Port, now_ns};
use libsys::println;
use libsys::spawn::{Placement, SpawnError, Spawner};
use libsys::startup::Environment;
use tocsin_abi::Rights;
use tocsin_abi::startup::{EXIT_FAULT, Startup};

use crate::hardware::Device;
use crate::modules::Modules;

/// The other program's only argument, which makes init the one that reads.
const ARGUMENT: &str = "probe";
/// The frame among its capabilities.
const FRAME: &str = "frame";
const BUDGET_BYTES: u64 = 1 << 20;
/// More than a read needs on any machine; an emulated one may be busy with something else.
const PATIENCE_NS: u64 = 5_000_000_000;

/// What reading a frame needs.
pub struct Probe<'a> {
    /// Init's startup page.
    pub env: &'a Startup,
    /// Init's own program is one of them.
    pub modules: &'a Modules,
}

impl Probe<'_> {
    /// Whether the first register of a frame can be read. If it can not be found out, a line
    /// says why, and the frame is taken for what firmware says.
    pub fn answers(&self, device: &Device) -> bool {
        match self.read(device) {
            Ok(code) => code & EXIT_FAULT == 0,
            Err(error) => {
                println!(
                    "init: whether there is anything at {} is not known: {error:?}",
                    device.range
                );
                true
            }
        }
    }

    /// The exit code of the one who reads.
    fn read(&self, device: &Device) -> Result<u64, SpawnError> {
        let own = self.modules.open("init").map_err(|_| SpawnError::PageFull)?;
        let mut spawner = Spawner::new(self.env, own.bytes, BUDGET_BYTES)?;
        spawner.args(ARGUMENT);
        let size = (device.range.length(), 0);
        spawner.grant_with(FRAME, device.handle, Rights::READ, 0, size)?;
        let port = Port::new()?;
        let child = spawner.start(Placement { priority: 1, cpu: 0 })?;
        child.bind(port.handle(), 0)?;
        let packet = port.wait_until(now_ns().saturating_add(PATIENCE_NS))?;
        Ok(packet.value)
    }
}

/// Whether this is the process that reads.
pub fn is_asked(env: &Startup) -> bool {
    env.has_arg(ARGUMENT)
}

/// Reads, and lives to say so.
pub fn run(env: &Startup) -> u64 {
    let Some(frame) = env.find(FRAME) else { return 1 };
    match Mapping::new(frame.handle, 0, frame.value, Rights::READ) {
        Ok(frame) => {
            let _ = frame.read32(0);
            0
        }
        Err(_) => 1,
    }
}
