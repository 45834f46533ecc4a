//! Lines: interrupts that come by a wire and not by a write.
//!
//! A line is known by a number of the machine's: a global system interrupt on a PC (ACPI
//! §5.2.13), an INTID on Arm. Nobody has one who was not told to have it ([`Wires::grant`]), and
//! then in one of two modes:
//!
//! | | exclusive | shared |
//! | --- | --- | --- |
//! | what its owner holds | the line's own message | a message of its own, made by software |
//! | who hears of the line | the owner, and nobody is in between | this server, which signals every owner |
//! | a level is let go when | the owner says so | all owners that were told have said so |
//!
//! A line reaches a CPU in one of three ways, which its hardware says ([`Way`]): it *is* a CPU event
//! (an SPI of a GIC), or one that a CPU has for itself (a PPI: it stays there), or a chip turns it into a message like any other (a pin of an IOAPIC), with
//! an entry of the remapper behind it.
//!
//! ```text
//!        grant                    last owner gone: masked, then the kernel's object ends
//! ─────▶ granted ── open ──▶ open ─────────────────────────────────▶ closing ── drained ──▶ granted
//!                            │ ▲
//!                      storm ▼ │ back-off over
//!                          held off: masked at the source
//! ```
//!
//! Who implements [`LineHardware`] writes registers, and nothing else: whose a line is, when it is
//! let go, in which order it ends, and what is tried again are decided here.
//!
//! | file | idea |
//! | --- | --- |
//! | `types` | names, requests, answers, errors |
//! | `hardware` | what a line's chip has to do |
//! | `kernel` | what the kernel has to do beyond what messages need |
//! | `table` | records of lines and of owners, by number and generation |
//! | `open`, `close` | having a line, and giving it back |
//! | `message` | a line's own message, in all ways |
//! | `late` | owners that do not answer |
//! | `events` | what the kernel's packets and time mean for lines |

mod close;
mod events;
mod hardware;
mod kernel;
mod late;
mod message;
mod open;
mod survey;
mod table;
mod types;

pub use crate::ioapic::Polarity;
pub use crate::vtd::Trigger;
pub use events::Storm;
pub use hardware::{LineError, LineHardware, LineTarget, NoLines, Way};
pub use kernel::KernelLines;
pub use late::Standing;
pub use survey::{WireNode, WireStep};
pub use types::{
    Acknowledge, LineId, Mode, OpenRequest, OpenedWire, WireError, WireId, WireInfo, WireState,
    Wiring,
};

use crate::{BackEnd, ClientId, Core, KernelMessages};
use alloc::vec::Vec;
use table::{Grant, Lines, Owners};

/// Lines that can be had at most, open and closing ones together.
const LINES: usize = 256;
/// Owners of lines.
const OWNERS: usize = 1024;
/// Who may have which line.
const GRANTS: usize = 1024;

/// How long a shared line waits for an owner's answer. Who is later than that is told as before,
/// and not waited for until it answers: it must not take the line away from the others.
pub const PATIENCE_NS: u64 = 500_000_000;
/// How long a line is held off after a storm.
pub const BACK_OFF_NS: u64 = 100_000_000;

/// An operation's result.
type Outcome<T, K> = Result<T, WireError<<K as KernelMessages>::Error>>;

/// All lines of a machine, over its hardware.
///
/// Beside [`Core`], whose messages it uses where lines are messages: what comes from outside (a
/// request, a packet, time) goes to this first, with the core.
pub struct Wires<L: LineHardware, K: KernelMessages> {
    hardware: L,
    grants: Vec<Grant>,
    lines: Lines<K::Handle>,
    owners: Owners<K::Handle>,
    /// Calls that the kernel refused although they only undo or tell something.
    refused: u64,
}

impl<L: LineHardware, K: KernelLines> Wires<L, K> {
    /// Over the machine's line hardware. Takes memory only as lines are granted and opened.
    pub const fn new(hardware: L) -> Self {
        Self {
            hardware,
            grants: Vec::new(),
            lines: Lines::new(),
            owners: Owners::new(),
            refused: 0,
        }
    }

    /// The hardware, for what is its own.
    pub fn hardware_mut(&mut self) -> &mut L {
        &mut self.hardware
    }

    /// A client may have a line from now on, which is wired like that. Said again, it replaces
    /// what was said before; who has the line open keeps it.
    ///
    /// # Errors
    /// That there is no such line, or that it can not be had in this way: whoever says so is told,
    /// and not the client later.
    pub fn grant(&mut self, client: ClientId, line: LineId, wiring: Wiring) -> Outcome<(), K> {
        self.hardware.check(line, wiring).map_err(WireError::Line)?;
        let is_it = |grant: &&mut Grant| grant.client == client && grant.line == line;
        if let Some(grant) = self.grants.iter_mut().find(is_it) {
            grant.wiring = wiring;
            return Ok(());
        }
        if self.grants.len() == GRANTS || self.grants.try_reserve(1).is_err() {
            return Err(WireError::NoMemory);
        }
        self.grants.push(Grant { client, line, wiring });
        Ok(())
    }

    /// What went unusually: calls that the kernel refused although they only undo or tell
    /// something.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether something waits for [`Wires::tick`].
    pub fn needs_tick(&self) -> bool {
        self.lines.iter().any(|(_, line)| line.needs_tick())
    }

    /// Moves an open line to a CPU of this set, for all of its owners.
    pub fn set_affinity<B: BackEnd>(
        &mut self,
        core: &mut Core<B, K>,
        client: ClientId,
        id: WireId,
        cpus: crate::CpuSet,
    ) -> Outcome<WireInfo, K> {
        let owner = self.own(client, id)?;
        let slot = self.owners.get(owner).line;
        self.relocate(core, slot, cpus)?;
        self.info(core, owner).ok_or(WireError::BadId)
    }

    /// Wire number `place` of all, or of one client's own, in the order of their records.
    pub fn describe<B: BackEnd>(
        &self,
        core: &Core<B, K>,
        client: Option<ClientId>,
        place: usize,
    ) -> Option<WireInfo> {
        let mut owners = self
            .owners
            .iter()
            .filter(|(_, owner)| client.is_none_or(|client| client == owner.client));
        let (number, _) = owners.nth(place)?;
        self.info(core, number)
    }

    /// The line whose message this is.
    pub fn line_of(&self, message: crate::MessageId) -> Option<LineId> {
        self.line_of_message(message).map(|slot| self.lines.get(slot).id)
    }

    /// The owner's record that a client means, if it is its own.
    fn own(&self, client: ClientId, id: WireId) -> Outcome<u32, K> {
        let owner = self.owners.find(id).ok_or(WireError::BadId)?;
        if self.owners.get(owner).client == client { Ok(owner) } else { Err(WireError::NotYours) }
    }
}
