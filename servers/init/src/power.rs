//! The end of the run.

use libsys::object::Port;
use libsys::startup::Environment;
use libsys::{ipc, println, sys};
use tocsin_abi::Handle;
use tocsin_abi::startup::Startup;
use tocsin_proto::console;

/// Prints the last line, waits until the serial port has it, and ends the machine's run.
/// Returns where nothing takes the order: such a machine goes on.
pub fn end(env: &Startup, console: Option<Handle>, code: u64) {
    println!("@exit {code}");
    if let Some(console) = console {
        // The console reads the kernel's log, where the line is, before it answers.
        let _ = ipc::ask(console, &console::Flush);
    }
    if let Some(machine) = env.handle("machine") {
        let _ = sys::machine_end(machine, code);
    }
}

/// Waits for ever: the kernel halts the CPUs when nobody has anything to do.
pub fn wait_for_ever() -> ! {
    let port = Port::new();
    loop {
        if let Ok(port) = &port {
            let _ = port.wait_one();
        }
    }
}
