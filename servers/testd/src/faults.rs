//! A process that breaks the rules of its CPU dies alone (invariant 1: it learns nothing
//! and raises nothing; kernel: no user action panics it).

use libsys::sys;
use tocsin_abi::startup::{EXIT_FAULT, Startup};

use crate::arch::{ATTACKS, Attack, Fate};
use crate::harness::{Failure, Outcome, check, wrong};
use crate::kit::{Accounts, Ctx};
use crate::role::Role;
use crate::victim::Plan;

crate::tests![fault_kills_only_the_culprit, fault_on_every_cpu, fault_leaves_nothing_behind];

/// The victim of these tests.
pub const ROLES: &[Role] = &[Role { name: "attack", run: attack }];

/// Makes one attack and, where that is survived, exits with zero.
fn attack(_: &'static Startup, name: &str) -> u64 {
    let Some(attack) = ATTACKS.iter().find(|attack| attack.name == name) else { return 99 };
    (attack.run)();
    0
}

/// Starts a victim for one attack and checks what becomes of it and of us.
fn suffers(ctx: &Ctx, attack: &Attack, cpu: u32) -> Result<(), Failure> {
    let role = alloc::format!("attack {}", attack.name);
    let victim = Plan::new(ctx, &role)?.on_cpu(cpu).start()?;
    match attack.fate {
        Fate::Fault(vector) => victim.faults_with(vector, attack.name)?,
        Fate::Survives => victim.exits_with(0, attack.name)?,
        Fate::MayFault(vector) => {
            let code = victim.exit_code()?;
            check(
                code == 0 || code == EXIT_FAULT | vector,
                format_args!("{}: exit code {code:#x}, wanted fault {vector}", attack.name),
            )?;
        }
        Fate::AnyFault => {
            let code = victim.exit_code()?;
            check(
                code & EXIT_FAULT != 0,
                format_args!("{}: exit code {code:#x}, wanted a fault", attack.name),
            )?;
        }
    }
    sys::kernel_nop().map_err(|_| wrong("the kernel does not answer"))?;
    Ok(())
}

fn fault_kills_only_the_culprit(ctx: &Ctx) -> Outcome {
    let bystander = Plan::new(ctx, "wait")?.start()?;
    for attack in ATTACKS {
        suffers(ctx, attack, 0)?;
    }
    check(bystander.runs(), "a bystander died")
}

fn fault_on_every_cpu(ctx: &Ctx) -> Outcome {
    for cpu in 1..ctx.env.cpus {
        for attack in ATTACKS.iter().skip(cpu as usize).step_by(5) {
            suffers(ctx, attack, cpu)?;
        }
    }
    Ok(())
}

fn fault_leaves_nothing_behind(ctx: &Ctx) -> Outcome {
    let attack = ATTACKS.first().ok_or_else(|| wrong("no attacks"))?;
    suffers(ctx, attack, 0)?;
    let before = Accounts::open(ctx)?;
    for attack in ATTACKS.iter().take(10) {
        suffers(ctx, attack, 0)?;
    }
    before.close(ctx, 10, "after ten faults")
}
