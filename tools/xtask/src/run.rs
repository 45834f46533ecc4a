//! `cargo xtask run`: boot one guest and show its serial port.

use crate::arch::Arch;
use crate::build::Profile;
use crate::cli::{GuestOptions, RunOptions};
use crate::machine::Loader;
use crate::scenario::config::Scenario;
use crate::scenario::{Config, Variant, expand_on};
use crate::setup::Setup;
use crate::setup::limine::Limine;
use crate::test::guests::Guests;
use crate::ui::say;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};

/// The scenario that is booted when none is named.
const SCENARIO: &str = "boot-demo";

/// Boots what `options` ask for; `true` only if the guest reports success.
pub fn run(workspace: &Workspace, setup: &Setup, options: &RunOptions) -> Result<bool> {
    let config = Config::read(workspace)?;
    let mut variant = chosen(setup, &config, &options.guest, SCENARIO)?;
    if options.stay {
        let scenario = &mut variant.scenario;
        scenario.cmdline = format!("{} stay", scenario.cmdline).trim().into();
    }
    let (arch, machine) = (variant.arch, variant.machine.as_str());
    let mut guests = Guests::new(setup, &config)?;
    guests.prepare(arch, std::slice::from_ref(&variant))?;
    guests.programs(&variant)?;
    if let (Some(_), Some(Ok(limine))) = (options.guest.loader.fixed(), guests.limine(arch)) {
        say(format!("loader: {}, Limine from {}", variant.loader, limine.origin));
    }
    say(format!(
        "booting {} ({arch}: {machine}, {}, {} CPUs, {} MiB)",
        variant.scenario.name, variant.loader, variant.smp, variant.scenario.memory
    ));
    let run = match guests.run(&variant, true)? {
        Ok(run) => run,
        Err(reason) => bail!("--loader limine was asked for: {reason}"),
    };
    let success = run.ending.status == Some(variant.scenario.exit_status());
    if !success {
        for line in run.ending.errors.lines() {
            say(format!("qemu: {line}"));
        }
    }
    say(match (run.ending.timed_out, run.ending.status) {
        (true, _) => format!("killed after {} s", variant.scenario.timeout_s),
        (_, None) => "QEMU was ended by a signal".into(),
        (_, Some(33)) => "the guest reports success (QEMU exit status 33)".into(),
        (_, Some(35)) => "the guest reports failure (QEMU exit status 35)".into(),
        (_, Some(status)) => format!("QEMU ended with status {status}"),
    });
    say(format!("serial log: {}", workspace.shown(&run.log)));
    Ok(success)
}

/// The scenario's first variant on the machine that was asked for, changed as the command line
/// asks. `usual` is the scenario when none is named.
pub fn chosen(
    setup: &Setup,
    config: &Config,
    options: &GuestOptions,
    usual: &str,
) -> Result<Variant> {
    let scenario = config.scenario(options.scenario.as_deref().unwrap_or(usual))?;
    let machine = match &options.machine {
        Some(machine) => machine,
        None => first_machine(config, scenario, options.arch.unwrap_or(Arch::X86_64))?,
    };
    let board = config.board(machine).context("--machine")?;
    if let Some(arch) = options.arch.filter(|&arch| arch != board.arch) {
        bail!("machine {machine} is {}, not {arch}: leave out --arch or --machine", board.arch);
    }
    let mut variants = expand_on(config, scenario, machine)?;
    let at = variants.iter().position(|variant| variant.smp == 2).unwrap_or(0);
    if variants.is_empty() {
        bail!("scenario {} has no variant", scenario.name);
    }
    let mut variant = variants.swap_remove(at);
    variant.profile = if options.debug { Profile::Debug } else { Profile::Release };
    variant.smp = options.smp.unwrap_or(variant.smp);
    let scenario = &mut variant.scenario;
    scenario.memory = options.memory.unwrap_or(scenario.memory);
    // A person ends a guest by Ctrl-C; only the tests need a limit.
    scenario.timeout_s = options.timeout.unwrap_or(0);
    variant.loader = match options.loader.fixed() {
        Some(loader) => loader,
        None => choose_loader(setup, config, &variant)?,
    };
    board.accept(machine, variant.loader, variant.smp)?;
    Ok(variant)
}

/// The first of the scenario's machines that is of `arch`.
fn first_machine<'a>(config: &Config, scenario: &'a Scenario, arch: Arch) -> Result<&'a String> {
    for machine in scenario.machine.as_slice() {
        if config.board(machine)?.arch == arch {
            return Ok(machine);
        }
    }
    let known: Vec<&str> = config.machines_of(arch).collect();
    bail!(
        "scenario {} has no {arch} machine; choose one with --machine: {}",
        scenario.name,
        known.join(", ")
    )
}

/// What `--loader auto` takes, said in one line.
fn choose_loader(setup: &Setup, config: &Config, variant: &Variant) -> Result<Loader> {
    let machine = &variant.machine;
    if !config.board(machine)?.takes(Loader::LimineUefi) {
        say(format!("loader: direct stub (auto): there is no UEFI firmware for {machine}"));
        return Ok(Loader::Direct);
    }
    Ok(match Limine::find(setup, variant.arch)? {
        Ok(limine) => {
            say(format!("loader: Limine on UEFI (auto), from {}", limine.origin));
            Loader::LimineUefi
        }
        Err(reason) => {
            say(format!("loader: direct stub (auto): {reason}"));
            Loader::Direct
        }
    })
}
