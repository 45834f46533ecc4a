//! The end of the run.

use libsys::object::Port;
use libsys::{ipc, println, startup};
use tocsin_abi::Handle;
use tocsin_abi::startup::Startup;
use tocsin_proto::console;

/// QEMU's `isa-debug-exit` (its `iobase`): the value written, doubled and plus one, is
/// QEMU's exit status.
const DEBUG_EXIT_PORT: u16 = 0xf4;
const SUCCESS: u8 = 0x10;
const FAILURE: u8 = 0x11;

/// Prints the last line, waits until the serial port has it, and ends the machine's run.
/// Returns where nothing takes the write: a machine without that device goes on.
pub fn end(env: &Startup, console: Option<Handle>, code: u64) {
    println!("@exit {code}");
    if let Some(console) = console {
        // The console reads the kernel's log, where the line is, before it answers.
        let _ = ipc::ask(console, &console::Flush);
    }
    if let Some(ports) = startup::io_ports(env, "ioports") {
        let value = if code == 0 { SUCCESS } else { FAILURE };
        let _ = ports.write8(DEBUG_EXIT_PORT, value);
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
