//! Child processes: this program again, with a role to play.

use alloc::format;
use libsys::spawn::{Child, Placement, Spawner};
use libsys::sys;
use tocsin_abi::packet::PacketKind;
use tocsin_abi::startup::EXIT_FAULT;
use tocsin_abi::{Error, Handle, Rights};

use crate::harness::{Failure, Outcome, check, same};
use crate::kit::{self, Ctx, Own};

/// Kernel memory that a victim gets unless a test says otherwise.
pub const BUDGET: u64 = 2 << 20;
/// Priority of victims: below the tests, so that a spinning one starves nobody.
pub const PRIORITY: u8 = 2;
/// Key of a victim's death packet.
const DEATH_KEY: u64 = 0xdead;

/// A victim that is not running yet.
pub struct Plan {
    ctx: Ctx,
    spawner: Spawner,
    cpu: u8,
}

impl Plan {
    /// Loads this program into a new process and gives it `role`.
    pub fn new(ctx: &Ctx, role: &str) -> Result<Plan, Failure> {
        Plan::with_budget(ctx, role, BUDGET)
    }

    /// The same with a budget of the test's choice.
    pub fn with_budget(ctx: &Ctx, role: &str, budget_bytes: u64) -> Result<Plan, Failure> {
        if ctx.image.is_empty() {
            return Err(crate::harness::skip("the manifest grants no module `testd`"));
        }
        let mut spawner = Spawner::new(ctx.env, ctx.image, budget_bytes)?;
        spawner.args(&format!("role {role}"));
        if let Some(console) = ctx.find("console") {
            spawner.grant("console", console, Rights::CALL, 0)?;
        }
        Ok(Plan { ctx: *ctx, spawner, cpu: 0 })
    }

    /// Gives the victim a capability under a name.
    pub fn grant(mut self, name: &str, handle: Handle, rights: Rights) -> Result<Plan, Failure> {
        self.spawner.grant(name, handle, rights, 0)?;
        Ok(self)
    }

    /// Tells the victim a number.
    pub fn value(mut self, name: &str, value: u64) -> Result<Plan, Failure> {
        self.spawner.value(name, value, 0)?;
        Ok(self)
    }

    /// Gives the victim a handle to itself, with every right.
    pub fn grant_self(self) -> Result<Plan, Failure> {
        let process = self.process();
        let rights = kit::rights_of(process)?;
        self.grant("self", process, rights)
    }

    /// Chooses the CPU (modulo those that there are).
    pub fn on_cpu(mut self, cpu: u32) -> Plan {
        self.cpu = (cpu % self.ctx.env.cpus) as u8;
        self
    }

    /// The process, for calls on it before it runs.
    pub fn process(&self) -> Handle {
        self.spawner.process()
    }

    /// Lets it run.
    pub fn start(self) -> Result<Victim, Failure> {
        let deaths = kit::port()?;
        sys::process_bind(self.spawner.process(), deaths.h(), DEATH_KEY)?;
        let placement = Placement { priority: PRIORITY, cpu: self.cpu };
        Ok(Victim { child: self.spawner.start(placement)?, deaths })
    }
}

/// A victim that runs, or ran.
pub struct Victim {
    child: Child,
    deaths: Own,
}

impl Victim {
    /// The process.
    pub fn process(&self) -> Handle {
        self.child.process()
    }

    /// Its first thread.
    pub fn thread(&self) -> Handle {
        self.child.thread()
    }

    /// Kills it.
    pub fn kill(&self) -> Result<(), Error> {
        sys::process_kill(self.process()).map(|_| ())
    }

    /// Waits for its death and returns the exit code.
    pub fn exit_code(&self) -> Result<u64, Failure> {
        let packet = kit::next(&self.deaths).map_err(|error| {
            crate::harness::wrong(format!("the victim does not die: {error:?}"))
        })?;
        same(packet.kind, PacketKind::Death as u32, "kind of packet")?;
        same(packet.key, DEATH_KEY, "key of the death packet")?;
        Ok(packet.value)
    }

    /// Waits for its death, which must be an exit with `code`.
    #[track_caller]
    pub fn exits_with(&self, code: u64, what: impl core::fmt::Display) -> Outcome {
        same(self.exit_code()?, code, what)
    }

    /// Waits for its death, which must be by exception `vector`.
    #[track_caller]
    pub fn faults_with(&self, vector: u64, what: impl core::fmt::Display) -> Outcome {
        let code = self.exit_code()?;
        let text = format!("{what}: exit code {code:#x}, wanted fault {vector}");
        check(code & EXIT_FAULT != 0 && code & 0xff == vector, text)
    }

    /// True while it runs.
    pub fn runs(&self) -> bool {
        sys::process_info(self.process()).is_ok_and(|info| info.result == 0)
    }
}
