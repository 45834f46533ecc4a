//! The console: of a whole machine, or alone, so that what is wrong with the rest can be said on it.

use dtoolkit::fdt::Fdt;

use super::{Console, ConsoleKind, Fault, Range};
use crate::nodes::{Nodes, Place};
use crate::spcr::{self, SerialPort};
use crate::{PhysReader, Root, Signature, Spcr, tree};

const PL011: &[&str] = &["arm,pl011"];
const SBSA_UART: &[&str] = &["arm,sbsa-uart"];

/// Bytes of a PL011's registers, and of the smaller SBSA one (BSA appendix B): one page.
const CONSOLE_BYTES: u64 = 0x1000;

impl Console {
    /// The console that a flattened device tree names, whatever else is in it. Its interrupt is not looked for.
    pub fn from_device_tree(bytes: &[u8]) -> Option<Self> {
        find(tree::open(bytes).ok()?)?.1.ok()
    }

    /// The console that the SPCR names.
    pub fn from_acpi(reader: &impl PhysReader, root: &Root) -> Option<Self> {
        let table = root.find(reader, Signature::SPCR, 0).ok()?;
        let (bytes, there) = table.prefix::<{ spcr::PREFIX }>(reader).ok()?;
        of_spcr(&Spcr::decode(&bytes[..there]).ok()?)?.ok()
    }
}

/// The console of an SPCR, if it is one that is known.
pub(super) fn of_spcr(spcr: &Spcr) -> Option<Result<Console, Fault>> {
    let kind = match spcr.port {
        SerialPort::Pl011 => ConsoleKind::Pl011,
        SerialPort::Sbsa => ConsoleKind::Sbsa,
        SerialPort::Other(_) => return None,
    };
    let range = Range { base: spcr.base, size: CONSOLE_BYTES };
    let is_range = range.base != 0 && range.base.checked_add(range.size).is_some();
    if spcr.is_io || !is_range {
        return Some(Err(Fault::BadValue { what: "the SPCR's address", value: spcr.base }));
    }
    Some(Ok(Console { kind, range, interrupt: spcr.gsiv }))
}

/// The node of the console, and what it says but for its interrupt.
pub(super) fn find(tree: Fdt<'_>) -> Option<(Place<'_>, Result<Console, Fault>)> {
    let place = match stdout(&Place::root(tree)) {
        Some(place) => place,
        // Nobody has chosen: the first one there is.
        None => Nodes::of(tree).find(|place| place.is_enabled() && kind(place).is_some())?,
    };
    let kind = kind(&place)?;
    let console = place.reg(0).map(|range| Console { kind, range, interrupt: None });
    Some((place, console))
}

fn kind(place: &Place<'_>) -> Option<ConsoleKind> {
    if place.is_compatible(PL011) {
        Some(ConsoleKind::Pl011)
    } else {
        place.is_compatible(SBSA_UART).then_some(ConsoleKind::Sbsa)
    }
}

/// The node that `/chosen` says text goes to: a path or an alias, with options behind a colon (DT 3.6).
fn stdout<'a>(root: &Place<'a>) -> Option<Place<'a>> {
    let chosen = root.find("chosen")?;
    // The second name is older than the specification.
    let text = chosen.text("stdout-path").or_else(|| chosen.text("linux,stdout-path"))?;
    let path = text.split(':').next()?;
    if path.starts_with('/') {
        return root.find(path);
    }
    root.find(root.find("aliases")?.text(path)?)
}
