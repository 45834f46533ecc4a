//! The first program: reads the manifest, starts the servers and drivers with exactly what
//! it grants them, and ends the run when the program named `main` does.
#![no_std]
#![no_main]

extern crate alloc;

mod authority;
mod drivers;
mod fatal;
mod firmware;
mod grants;
mod hardware;
mod modules;
mod pins;
mod platform;
mod power;
mod probe;
mod programs;
mod subsystems;
mod supervise;
mod wires;

use alloc::format;

use authority::Authority;
use drivers::Devices;
use fatal::{Context, Fatal};
use grants::Grants;
use hardware::Hardware;
use libsys::println;
use libsys::startup::Environment;
use modules::Modules;
use probe::Probe;
use programs::Programs;
use subsystems::Subsystems;
use tocsin_abi::Handle;
use tocsin_abi::startup::Startup;
use tocsin_manifest::Manifest;

libsys::entry!(main);

fn main(env: &'static Startup) -> u64 {
    if probe::is_asked(env) {
        return probe::run(env);
    }
    // Known as soon as there is one, so that the last line can wait for it.
    let mut console = None;
    let code = match run(env, &mut console) {
        Ok(code) => code,
        Err(Fatal(why)) => {
            println!("init: fatal: {why}");
            1
        }
    };
    power::end(env, console, code);
    power::wait_for_ever()
}

/// Everything, up to the exit code of the program named `main`.
fn run(env: &'static Startup, console: &mut Option<Handle>) -> Result<u64, Fatal> {
    let authority = Authority::new(env)?;
    let modules = Modules::new(env);
    let manifest = modules.open("manifest")?;
    let manifest = Manifest::from_bytes(manifest.bytes).map_err(Fatal::new)?;
    let hardware = Hardware::find(&authority, &Probe { env, modules: &modules });
    let grants = Grants::new(&authority, &hardware, &modules, &manifest)?;
    let mut programs = Programs::new(env, &manifest, &modules, &grants)?;
    for server in &manifest.servers {
        programs.start(server, None).context(&server.name)?;
        // From here on somebody prints what the kernel's log holds.
        if manifest.receiver("console").is_some_and(|receiver| receiver.name == server.name) {
            *console = grants.endpoint("console");
        }
        if manifest.receiver("interrupt").is_some_and(|receiver| receiver.name == server.name) {
            wires::tell(&grants, &hardware, &manifest)?;
        }
    }
    let devices =
        if manifest.drivers.is_empty() { None } else { Some(Devices::new(&grants, &manifest)?) };
    for driver in &manifest.drivers {
        let Some(devices) = &devices else { break };
        if let Some(claimed) = devices.claim(driver)? {
            programs.start(&driver.program, Some(claimed)).context(&driver.program.name)?;
        } else {
            grants.tell_absent(&driver.program);
        }
    }
    let main = &manifest.system.main;
    if !programs.started(main) {
        return Err(Fatal(format!("`{main}`, which is to end the run, was not started")));
    }
    let devices = devices.as_ref();
    let mut subsystems = Subsystems::new(&manifest, &grants);
    let code = supervise::until_main_ends(main, &mut programs, devices, &mut subsystems);
    if env.has_arg("stay") {
        println!("init: {main} is done with code {code}; staying");
        supervise::for_ever(&mut programs, devices, &mut subsystems);
    }
    Ok(code)
}
