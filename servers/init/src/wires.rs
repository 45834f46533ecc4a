//! Lines of platform devices: which they are, and that the interrupt server hears whose.

use init_control::{SYSTEM_BADGE, SetOwner, SetWire};
use libsys::object::Endpoint;
use libsys::{ipc, println, sys};
use tocsin_abi::Rights;
use tocsin_firmware::{Line, Polarity, Trigger};
use tocsin_manifest::{Grant, Manifest, Program};
use tocsin_proto::ProgramName;
use tocsin_proto::badge::PLATFORM_CLIENT;
use tocsin_proto::interrupt::{self, LineId, Wiring};

use crate::fatal::{Context, Fatal};
use crate::grants::Grants;
use crate::hardware::Hardware;

/// A line as the interrupt server's protocol has it.
pub struct Wire {
    /// Which.
    pub line: LineId,
    /// How it is wired.
    pub wiring: Wiring,
}

/// The number that a program has as a client of the interrupt server: its place in the manifest.
fn client(number: usize) -> u16 {
    // The startup page has room for far fewer.
    number as u16
}

/// The line that a grant names, if this machine has it.
pub fn line(hardware: &Hardware, name: &str) -> Option<Wire> {
    let Line { number, trigger, polarity } = match name {
        "uart" => hardware.uart_line?,
        _ => return None,
    };
    let trigger = match trigger {
        Trigger::Edge => interrupt::Trigger::Edge,
        Trigger::Level => interrupt::Trigger::Level,
    };
    let polarity = match polarity {
        Polarity::High => interrupt::Polarity::High,
        Polarity::Low => interrupt::Polarity::Low,
    };
    Some(Wire { line: LineId(number), wiring: Wiring { trigger, polarity } })
}

/// Tells the interrupt server, which has been started, who may open which line. What it refuses
/// is one line, and the program hears it too when it asks.
pub fn tell(grants: &Grants<'_>, hardware: &Hardware, manifest: &Manifest) -> Result<(), Fatal> {
    let Some(endpoint) = grants.endpoint("interrupt") else { return Ok(()) };
    let made = sys::handle_duplicate(endpoint, Rights::CALL, SYSTEM_BADGE);
    let interrupt = Endpoint::own(made.context("endpoint `interrupt`")?.handle());
    for (number, program) in manifest.servers.iter().enumerate() {
        for grant in &program.grants {
            let Grant::Wire(name) = grant else { continue };
            let Some(wire) = line(hardware, name) else { continue };
            tell_one(&interrupt, program, PLATFORM_CLIENT | u32::from(client(number)), &wire)?;
        }
    }
    Ok(())
}

fn tell_one(
    interrupt: &Endpoint,
    program: &Program,
    client: u32,
    wire: &Wire,
) -> Result<(), Fatal> {
    // A manifest allows no name that does not fit.
    if let Some(name) = ProgramName::new(&program.name) {
        let owner = SetOwner { client, kind: None, name };
        // For the inspector only.
        let _ = ipc::call(interrupt.handle(), SetOwner::LABEL, &owner.words(), &[]);
    }
    let set = SetWire { client, line: wire.line, wiring: wire.wiring };
    let reply = ipc::call(interrupt.handle(), SetWire::LABEL, &set.words(), &[]);
    let label = reply.context("the interrupt server")?.label;
    if label != 0 {
        let error = <interrupt::Error as tocsin_proto::ErrorCode>::from_code(label);
        let why = error.map_or("no error of its protocol", interrupt::Error::text);
        println!("init: {} can not have {} ({}): {why}", program.name, wire.line, wire.wiring);
    }
    Ok(())
}
