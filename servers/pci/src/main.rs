//! The PCI server: finds all functions, and gives each driver what it may have of its own.
#![no_std]
#![no_main]

extern crate alloc;

mod claim;
mod driver;
mod ecam;
mod firmware;
mod machine;
mod messages;
mod pin;
mod quirks;
mod reply;
mod serve;
mod windows;
mod wires;

use ecam::Ecam;
use firmware::Description;
use libsys::object::Port;
use libsys::println;
use libsys::startup::{Environment, endpoint};
use machine::Machine;
use messages::Messages;
use serve::Pci;
use tocsin_abi::Error;
use tocsin_abi::startup::Startup;
use windows::Windows;
use wires::Wires;

libsys::entry!(main);

const EXIT_NOT_GIVEN: u64 = 2;

fn main(env: &'static Startup) -> u64 {
    let granted = (env.handle("receive:pci"), env.handle("interrupt"));
    let (Some(own), Some(interrupt)) = granted else {
        println!("pci: needs the grants `receive:pci` and `mint:interrupt`");
        return EXIT_NOT_GIVEN;
    };
    // Without configuration space there are no devices, which is an answer, not a failure:
    // whoever asks for one hears `NoSuchDevice`.
    let description = Description::read(env).unwrap_or_else(|why| {
        println!("pci: no configuration space: {why}");
        Description::default()
    });
    let config = Ecam::new(env, &description.segments);
    let windows = Windows::new(env);
    let machine = Machine::enumerate(config, description.host, &windows);
    let wires = Wires::new(env, description.pinning, &machine.config);
    machine.print(&wires);
    let messages = Messages::new(env, interrupt, description.ids);
    let mut pci = Pci::new(machine, windows, wires, own, messages);
    // Lives as long as the endpoint is served.
    let port = listen(env);
    match &port {
        Ok(port) => pci.watch_lines(port),
        Err(error) => println!("pci: can hear of nothing but calls: {error}"),
    }
    let error = reply::serve(own, &mut pci);
    println!("pci: can not serve: {error}");
    1
}

/// A port beside the calls.
fn listen(env: &Startup) -> Result<Port, Error> {
    let port = Port::new()?;
    endpoint(env, "receive:pci").ok_or(Error::BadHandle)?.bind(&port)?;
    Ok(port)
}
