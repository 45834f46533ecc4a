//! Interrupt servers below others: what follows when one of them dies.
//!
//! Its drivers can do nothing without it, and what it gave them is known above as the
//! subsystem's. So all of it ends together: the server above ends the messages and takes the
//! devices out of the set, the drivers are killed, and their devices are silenced and given back
//! as any dead driver's are. Then, if the manifest says so, all of it starts again.

use alloc::vec::Vec;

use init_control::SubsystemGone;
use libsys::println;
use tocsin_manifest::{Driver, Manifest, Program};

use crate::drivers::Devices;
use crate::fatal::{Context, Fatal};
use crate::grants::Grants;
use crate::programs::Programs;

/// Those of the manifest.
pub struct Subsystems<'a> {
    manifest: &'a Manifest,
    grants: &'a Grants<'a>,
    /// How often each server may still be started again, by its number.
    left: Vec<u32>,
    /// Servers whose drivers are still dying.
    ending: Vec<usize>,
}

impl<'a> Subsystems<'a> {
    /// None has died.
    pub fn new(manifest: &'a Manifest, grants: &'a Grants<'a>) -> Self {
        let left = manifest.servers.iter().map(|server| server.restarts).collect();
        Self { manifest, grants, left, ending: Vec::new() }
    }

    /// Hears of a death; ends the subsystem whose server it was, and starts one again whose
    /// drivers are all gone.
    pub fn died(&mut self, name: &str, programs: &mut Programs<'_>, devices: Option<&Devices<'_>>) {
        let mut servers = self.manifest.servers.iter().enumerate();
        if let Some((number, server)) = servers.find(|(_, server)| server.name == name)
            && let Some(parent) = server.parent()
        {
            self.end(number, server, parent, programs);
        }
        let over = |number: &usize| {
            let server = &self.manifest.servers[*number];
            !self.drivers_of(server).any(|driver| programs.runs(&driver.program.name))
        };
        if let Some(at) = self.ending.iter().position(over) {
            let number = self.ending.swap_remove(at);
            let server = &self.manifest.servers[number];
            if let Err(Fatal(why)) = self.start_again(number, server, programs, devices) {
                println!("init: {} and its drivers are not started again: {why}", server.name);
            }
        }
    }

    fn drivers_of(&self, server: &'a Program) -> impl Iterator<Item = &'a Driver> + use<'a> {
        let is_below = |driver: &&Driver| driver.interrupt.as_ref() == Some(&server.name);
        self.manifest.drivers.iter().filter(is_below)
    }

    fn end(&mut self, number: usize, server: &Program, parent: &str, programs: &Programs<'_>) {
        // Servers have numbers that fit: this one was started with it.
        let gone = SubsystemGone { subsystem: number as u16 };
        if let Err(Fatal(why)) =
            self.grants.tell_server(parent, SubsystemGone::LABEL, &gone.words())
        {
            println!("init: what {} held was not taken back: {why}", server.name);
        }
        println!("init: {} is dead, its drivers end with it", server.name);
        let below = self.manifest.drivers.iter();
        for driver in below.filter(|driver| driver.interrupt.as_ref() == Some(&server.name)) {
            programs.kill(&driver.program.name);
        }
        self.ending.push(number);
    }

    fn start_again(
        &mut self,
        number: usize,
        server: &'a Program,
        programs: &mut Programs<'_>,
        devices: Option<&Devices<'_>>,
    ) -> Result<(), Fatal> {
        if self.left[number] == 0 {
            return Ok(());
        }
        self.left[number] -= 1;
        println!("init: {} is started again, with its drivers", server.name);
        if let Some(name) = server.receives() {
            self.grants.renew(name)?;
        }
        programs.start(server, None).context(&server.name)?;
        for driver in self.drivers_of(server) {
            let Some(devices) = devices else { break };
            if let Some(claimed) = devices.claim(driver)? {
                let name = &driver.program.name;
                programs.start(&driver.program, Some(claimed)).context(name)?;
            }
        }
        Ok(())
    }
}
