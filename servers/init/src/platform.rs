//! Servers with a device of the platform's own: their badge at the interrupt server, what it is
//! told of them, and how such a device becomes silent when its server has died.

use alloc::format;

use hpet_core::{HpetRegisters, Silenced};
use init_control::{ClientGone, SYSTEM_BADGE, SetOwner, SetSource, Source};
use libsys::map::Mapping;
use libsys::object::Endpoint;
use libsys::{ipc, println, sys};
use tocsin_abi::{Error, Rights};
use tocsin_manifest::{Grant, Program};
use tocsin_proto::{ProgramName, badge};

use crate::fatal::{Context, Fatal};
use crate::grants::Grants;
use crate::hardware::Hpet;

/// The number of a platform client: that of its program in the manifest.
fn client(number: usize) -> Result<u16, Fatal> {
    u16::try_from(number).map_err(|_| Fatal::new("more programs than clients can be numbered"))
}

/// Whether a program is a client of the interrupt server with a device of the platform's own.
pub fn is_client(program: &Program) -> bool {
    program.grants.contains(&Grant::Hpet)
}

/// The badge of such a program at the interrupt server.
pub fn badge_of(number: usize) -> Result<u64, Fatal> {
    client(number).map(badge::of_platform)
}

impl Grants<'_> {
    /// Tells the interrupt server whose client this is, and what its messages arrive with.
    pub fn introduce(&self, program: &Program, number: usize) -> Result<(), Fatal> {
        if !self.is_received("interrupt") {
            return Err(Fatal::new("comes before the program that receives on `interrupt`"));
        }
        let id = badge::PLATFORM_CLIENT | u32::from(client(number)?);
        if let Some(name) = ProgramName::new(&program.name) {
            self.tell(SetOwner::LABEL, &SetOwner { client: id, kind: None, name }.words())?;
        }
        let Some(hpet) = self.hpet() else { return Ok(()) };
        let source = match hpet.source {
            Some(source) => Source::Function(source),
            None if self.hpet_goes_past() => Source::Past,
            // Nobody can tell whose its messages are: the interrupt server refuses them.
            None => return Ok(()),
        };
        self.tell(SetSource::LABEL, &SetSource { client: id, source }.words())
    }

    /// A program has died. What a device of the platform's could still raise ends at its source
    /// first; then the interrupt server hears of it, and may use the numbers again.
    pub fn gone(&self, program: &Program, number: usize) {
        if !is_client(program) {
            return;
        }
        match self.hpet().map(silence) {
            None => {}
            Some(Ok(Silenced { running: 0, stuck: 0 })) => {}
            Some(Ok(Silenced { running, stuck: 0 })) => println!(
                "init: {} left {running} comparators running; they are silent now",
                program.name
            ),
            Some(Ok(Silenced { stuck, .. })) => {
                println!("init: {stuck} comparators of {} are not silent", program.name);
                // Their vectors stay out of use for ever.
                return;
            }
            Some(Err(error)) => {
                println!("init: the comparators of {} can not be silenced: {error}", program.name);
                return;
            }
        }
        let id = client(number).map(|number| badge::PLATFORM_CLIENT | u32::from(number));
        if let Err(Fatal(why)) =
            id.and_then(|client| self.tell(ClientGone::LABEL, &ClientGone { client }.words()))
        {
            println!("init: the interrupt server did not hear that {} died: {why}", program.name);
        }
    }

    /// A request of init's own to the interrupt server.
    fn tell(&self, label: u32, words: &[u64]) -> Result<(), Fatal> {
        let endpoint = self.endpoint("interrupt");
        let endpoint = endpoint.ok_or(Fatal::new("no program receives on `interrupt`"))?;
        let made = sys::handle_duplicate(endpoint, Rights::CALL, SYSTEM_BADGE);
        let system = Endpoint::own(made.context("endpoint `interrupt`")?.handle());
        match ipc::call(system.handle(), label, words, &[]).context("interrupt server")?.label {
            0 => Ok(()),
            code => Err(Fatal(format!("request {label:#x} refused with {code}"))),
        }
    }
}

/// The registers, through init's own authority.
struct Registers {
    page: Mapping,
    offset: u64,
}

impl HpetRegisters for Registers {
    fn read(&self, offset: u64) -> u32 {
        self.page.read32(self.offset + offset)
    }
    fn write(&self, offset: u64, value: u32) {
        self.page.write32(self.offset + offset, value);
    }
}

fn silence(hpet: &Hpet) -> Result<Silenced, Error> {
    let bytes = hpet.page.range.length();
    let page = Mapping::new(hpet.page.handle, 0, bytes, Rights::READ | Rights::WRITE)?;
    let registers = Registers { page, offset: hpet.offset };
    // A table without a block behind it: there is nothing that could be loud.
    Ok(hpet_core::silence(&registers).unwrap_or_default())
}
