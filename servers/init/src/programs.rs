//! The programs that were started, and how each of them ended.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use libsys::object::Port;
use libsys::spawn::{Child, Placement, Spawner};
use libsys::sys;
use tocsin_abi::PacketKind;
use tocsin_abi::startup::{EXIT_FAULT, EXIT_KILLED, Startup};
use tocsin_manifest::{Manifest, Program};

use crate::fatal::{Context, Fatal};
use crate::grants::{Claimed, Grants};
use crate::modules::Modules;

/// A program that runs.
struct Running {
    name: String,
    child: Child,
    claimed: Option<Claimed>,
}

/// A program that does not run any more.
pub struct Dead {
    /// Its name.
    pub name: String,
    /// Its exit code.
    pub code: u64,
    /// The device that it had.
    pub claimed: Option<Claimed>,
}

/// All of them, and the port that hears of their deaths.
pub struct Programs<'a> {
    env: &'a Startup,
    manifest: &'a Manifest,
    modules: &'a Modules,
    grants: &'a Grants<'a>,
    port: Port,
    /// By number, which is also the key of the death packet; `None` when it has died.
    running: Vec<Option<Running>>,
    names: Vec<String>,
}

impl<'a> Programs<'a> {
    /// None yet.
    pub fn new(
        env: &'a Startup,
        manifest: &'a Manifest,
        modules: &'a Modules,
        grants: &'a Grants<'a>,
    ) -> Result<Self, Fatal> {
        let port = Port::new().context("port for deaths")?;
        let (running, names) = (Vec::new(), Vec::new());
        Ok(Self { env, manifest, modules, grants, port, running, names })
    }

    /// Starts a program with what the manifest grants it.
    pub fn start(&mut self, program: &Program, claimed: Option<Claimed>) -> Result<(), Fatal> {
        // One that is started again has its number still.
        let known = self.names.iter().position(|started| *started == program.name);
        let number = known.unwrap_or(self.running.len());
        let module = self.modules.open(&program.module)?;
        let budget = u64::from(program.budget_kib) * 1024;
        let mut spawner = Spawner::new(self.env, module.bytes, budget).context("load")?;
        spawner.args(&program.args);
        self.grants.give(&mut spawner, program, number, claimed.as_ref())?;
        // `place` answers a CPU that runs, and there are at most 8.
        let cpu = self.manifest.system.place(program.cpu, self.env.cpus) as u8;
        let child =
            spawner.start(Placement { priority: program.priority, cpu }).context("start")?;
        child.bind(self.port.handle(), number as u64).context("bind")?;
        let running = Some(Running { name: program.name.clone(), child, claimed });
        match self.running.get_mut(number) {
            Some(place) => *place = running,
            None => {
                self.running.push(running);
                self.names.push(program.name.clone());
            }
        }
        Ok(())
    }

    /// True when the program with this name was started, whether or not it still runs.
    pub fn started(&self, name: &str) -> bool {
        self.names.iter().any(|started| started == name)
    }

    /// Whether a program with this name runs.
    pub fn runs(&self, name: &str) -> bool {
        self.running.iter().flatten().any(|running| running.name == name)
    }

    /// Kills a program, if it runs. Its death is heard of as any other's.
    pub fn kill(&self, name: &str) {
        for running in self.running.iter().flatten().filter(|running| running.name == name) {
            // One that is dying already is not killed again.
            let _ = sys::process_kill(running.child.process());
        }
    }

    /// Waits for a program to die. What it was made of is taken back.
    pub fn next_death(&mut self) -> Dead {
        loop {
            // The port is init's own and nothing closes it, so there is nothing to do about
            // an error but to wait again.
            let Ok(packet) = self.port.wait_one() else { continue };
            if PacketKind::from_code(packet.kind) != Some(PacketKind::Death) {
                continue;
            }
            let slot = usize::try_from(packet.key).ok().and_then(|key| self.running.get_mut(key));
            if let Some(Running { name, child, claimed }) = slot.and_then(Option::take) {
                drop(child);
                if let Some(program) = self.manifest.program(&name) {
                    // `slot` found it: the key is its number.
                    self.grants.gone(program, packet.key as usize);
                }
                return Dead { name, code: packet.value, claimed };
            }
        }
    }
}

impl Dead {
    /// Why it died, for people.
    pub fn why(&self) -> String {
        match self.code {
            0 => String::from("exited"),
            EXIT_KILLED => String::from("was killed"),
            code if code & EXIT_FAULT != 0 => {
                format!("died of CPU exception {}", code & !EXIT_FAULT)
            }
            101 => String::from("panicked"),
            code => format!("exited with code {code}"),
        }
    }
}
