//! The rules that a manifest keeps, all checked at once so that one run shows every mistake.

use alloc::{string::ToString, vec::Vec};

use tocsin_abi::{limits::PRIORITIES, startup};

use crate::{Grant, Invalid, Manifest, PinTable, Problem, Program, Slots};

/// Names that mean something without a manifest: the boot modules that are no server.
const RESERVED: [&str; 3] = ["init", "kernel", "manifest"];

/// Room on the startup page for grants; some grants need several entries (one per VT-d unit, one per ECAM range).
const MAX_GRANTS: usize = startup::ENTRIES / 2;

/// Quirks that a manifest may have: each is an entry of a startup page.
const MAX_QUIRKS: usize = 8;

/// Tables of pins that a manifest may have: each is an entry of a startup page too.
const MAX_PINS: usize = 12;

/// No budget or DMA quota is larger (1 TiB in KiB): sums of a manifest cannot overflow.
const MAX_KIB: u32 = 1 << 30;

impl Manifest {
    /// Bytes of a name at most: `receive:<name>` must fit in an entry of the startup page.
    pub const NAME_BYTES: usize = startup::NAME_BYTES - "receive:".len();

    /// Refuses a manifest that breaks a rule, and says all that it breaks.
    pub fn check(&self) -> Result<(), Invalid> {
        match self.problems() {
            problems if problems.is_empty() => Ok(()),
            problems => Err(Invalid(problems)),
        }
    }

    /// The rules that this manifest breaks, in the order of the file.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.programs().next().is_none() {
            problems.push(Problem::NoPrograms);
        }
        if self.program(&self.system.main).is_none() {
            problems.push(Problem::UnknownMain { main: self.system.main.clone() });
        }
        let policy = &self.interrupt;
        number(&mut problems, "interrupt", "quota", policy.quota, 1, 1 << 20);
        if policy.storm_events > 0 {
            let window = policy.storm_window_ms;
            number(&mut problems, "interrupt", "storm_window_ms", window, 1, 60_000);
        }
        for program in self.programs() {
            self.check_program(program, &mut problems);
        }
        for server in &self.servers {
            for grant in &server.grants {
                if matches!(grant, Grant::Device(_)) {
                    problems.push(Problem::NotADriver {
                        program: server.name.clone(),
                        grant: grant.clone(),
                    });
                }
            }
        }
        self.check_subsystems(&mut problems);
        self.check_drivers(&mut problems);
        self.check_quirks(&mut problems);
        self.check_pins(&mut problems);
        self.check_pairs(&mut problems);
        problems
    }

    fn check_program(&self, program: &Program, problems: &mut Vec<Problem>) {
        name(problems, "program", &program.name);
        name(problems, "module", &program.module);
        number(problems, &program.name, "budget_kib", program.budget_kib, 1, MAX_KIB);
        let highest = PRIORITIES as u32 - 1;
        number(problems, &program.name, "priority", program.priority.into(), 0, highest);
        if program.args.len() > startup::ARGS_BYTES {
            problems.push(Problem::LongArgs {
                program: program.name.clone(),
                bytes: program.args.len(),
                max: startup::ARGS_BYTES,
            });
        }
        if program.grants.len() > MAX_GRANTS {
            problems.push(Problem::ManyGrants {
                program: program.name.clone(),
                count: program.grants.len(),
                max: MAX_GRANTS,
            });
        }
        for (index, grant) in program.grants.iter().enumerate() {
            self.check_grant(program, grant, problems);
            let earlier = &program.grants[..index];
            if earlier.iter().any(|other| other.overlaps(grant)) {
                problems.push(Problem::RepeatedGrant {
                    program: program.name.clone(),
                    grant: grant.clone(),
                });
            } else if let Some(endpoint) = grant.calls()
                && earlier.iter().any(|other| other.calls() == Some(endpoint))
            {
                problems.push(Problem::AmbiguousCall {
                    program: program.name.clone(),
                    endpoint: endpoint.to_string(),
                });
            }
        }
    }

    fn check_grant(&self, program: &Program, grant: &Grant, problems: &mut Vec<Problem>) {
        match grant {
            Grant::Receive(endpoint) => name(problems, "endpoint", endpoint),
            Grant::Module(module) => name(problems, "module", module),
            Grant::IoPorts { first, last } if first > last => problems
                .push(Problem::BadPorts { program: program.name.clone(), grant: grant.clone() }),
            _ => {}
        }
        if let Some(endpoint) = grant.calls()
            && self.receiver(endpoint).is_none()
        {
            problems.push(Problem::UnknownEndpoint {
                program: program.name.clone(),
                grant: grant.clone(),
            });
        }
    }

    /// Interrupt servers below others.
    fn check_subsystems(&self, problems: &mut Vec<Problem>) {
        let mut wrong = |program: &str, what: &'static str| {
            problems.push(Problem::BadSubsystem { program: program.to_string(), what });
        };
        for program in self.programs() {
            let Some(parent) = program.parent() else {
                if program.quota != 0 || program.restarts != 0 {
                    wrong(&program.name, "quota and restarts are for servers with a parent: grant");
                }
                continue;
            };
            if self.drivers.iter().any(|driver| driver.program.name == program.name) {
                wrong(&program.name, "a driver has no parent: grant");
            }
            if !(1..=u32::from(u16::MAX)).contains(&program.quota) {
                wrong(&program.name, "quota is to be 1 to 65535");
            }
            if program.receives().is_none() {
                wrong(&program.name, "receives on no endpoint, so it can serve nobody");
            }
            // `init` waits for whoever it tells of a subsystem.
            let top = self.receiver(parent).is_some_and(|receiver| {
                receiver.grants.iter().any(|grant| matches!(grant, Grant::MessageControl))
            });
            if !top {
                wrong(&program.name, "parent: names no server with message-control");
            }
        }
        for driver in &self.drivers {
            let Some(name) = &driver.interrupt else { continue };
            let server = self.servers.iter().find(|server| server.name == *name);
            if server.and_then(Program::parent).is_none() {
                wrong(&driver.program.name, "interrupt names no server with a parent: grant");
            }
        }
    }

    fn check_drivers(&self, problems: &mut Vec<Problem>) {
        for (index, driver) in self.drivers.iter().enumerate() {
            let program = &driver.program.name;
            number(problems, program, "dma_kib", driver.dma_kib, 0, MAX_KIB);
            number(problems, program, "quota", driver.quota, 1, 1 << 20);
            if driver.device.vendor == 0xffff {
                problems.push(Problem::NoVendor { program: program.clone() });
            }
            let earlier = &self.drivers[..index];
            if let Some(first) = earlier.iter().find(|other| other.device == driver.device) {
                problems.push(Problem::SharedDevice {
                    first: first.program.name.clone(),
                    second: program.clone(),
                    device: driver.device,
                });
            }
        }
    }

    fn check_quirks(&self, problems: &mut Vec<Problem>) {
        for (index, quirk) in self.quirks.iter().enumerate() {
            let device = quirk.device;
            if device.vendor == 0xffff {
                problems.push(Problem::NoVendor { program: "quirk".to_string() });
            }
            if quirk.reason.trim().is_empty() {
                problems.push(Problem::NoReason { device });
            }
            if self.quirks[..index].iter().any(|other| other.device == device) {
                problems.push(Problem::SharedQuirk { device });
            }
        }
        if self.quirks.len() > MAX_QUIRKS {
            problems.push(Problem::ManyQuirks { count: self.quirks.len(), max: MAX_QUIRKS });
        }
    }

    fn check_pins(&self, problems: &mut Vec<Problem>) {
        for (index, table) in self.pins.iter().enumerate() {
            let (board, slots, line) = (table.board, table.slots, table.line);
            let Slots { first, last } = slots;
            if table.reason.trim().is_empty() {
                problems.push(Problem::NoPinReason { board });
            }
            if first > last || last > 31 || line > u32::MAX - 3 {
                problems.push(Problem::BadPins { board, slots, line });
            }
            let overlaps = |other: &PinTable| {
                (other.board, other.controller) == (board, table.controller)
                    && first <= other.slots.last
                    && other.slots.first <= last
            };
            if self.pins[..index].iter().any(overlaps) {
                problems.push(Problem::SharedSlots { board, slots });
            }
        }
        if self.pins.len() > MAX_PINS {
            problems.push(Problem::ManyPins { count: self.pins.len(), max: MAX_PINS });
        }
    }

    /// What concerns two programs: names, and authority that only one can have.
    fn check_pairs(&self, problems: &mut Vec<Problem>) {
        for (index, second) in self.programs().enumerate() {
            let mut earlier = self.programs().take(index);
            if earlier.any(|first| first.name == second.name) {
                problems.push(Problem::DuplicateName { name: second.name.clone() });
            }
            for first in self.programs().take(index) {
                let exclusive = first.grants.iter().filter(|grant| grant.is_exclusive());
                for held in exclusive {
                    for grant in second.grants.iter().filter(|grant| held.overlaps(grant)) {
                        problems.push(Problem::SharedGrant {
                            first: first.name.clone(),
                            second: second.name.clone(),
                            grant: grant.clone(),
                        });
                    }
                }
            }
        }
    }
}

fn name(problems: &mut Vec<Problem>, what: &'static str, name: &str) {
    let good = name.len() <= Manifest::NAME_BYTES
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if !good {
        problems.push(Problem::BadName { what, name: name.to_string() });
    } else if what != "endpoint" && RESERVED.contains(&name) {
        problems.push(Problem::ReservedName { name: name.to_string() });
    }
}

fn number(
    problems: &mut Vec<Problem>,
    program: &str,
    key: &'static str,
    value: u32,
    min: u32,
    max: u32,
) {
    if !(min..=max).contains(&value) {
        problems.push(Problem::BadNumber {
            program: program.to_string(),
            key,
            value: value.into(),
            min: min.into(),
            max: max.into(),
        });
    }
}
