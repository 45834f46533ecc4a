//! A PC's IOAPICs: found in the MADT, silenced, each with the id that its messages arrive with. Or
//! why its lines can not be had; everything else works without them.

use alloc::format;
use alloc::string::{String, ToString};
use core::mem::ManuallyDrop;

use interrupt_core::RequesterId;
use interrupt_core::ioapic::{Chip, EntryForm, GsiOverlap, IoApic, IoApicRegisters, IoApics};
use libsys::map::Mapping;
use libsys::object::Physical;
use libsys::println;
use tocsin_abi::startup::Startup;
use tocsin_firmware::madt::IoApic as Described;
use tocsin_firmware::{Blob, Dmar, Ivrs, Madt, Signature, wiring};

use super::{amdvi, firmware, vtd};

/// Looks at a pin whose message has not been accepted, before it is left: some milliseconds.
const WAIT_BUDGET: u32 = 10_000;

/// A chip's registers, somewhere in a mapped page.
pub struct ChipPage {
    page: Mapping,
    start: u64,
}

impl IoApicRegisters for ChipPage {
    fn read(&mut self, offset: u16) -> u32 {
        self.page.read32(self.start + u64::from(offset))
    }

    fn write(&mut self, offset: u16, value: u32) {
        self.page.write32(self.start + u64::from(offset), value);
    }
}

/// Takes all IOAPICs over. `form` says what is behind them.
pub fn io_apics(env: &Startup, form: EntryForm) -> IoApics<ChipPage> {
    // The kernel lets its CPUs broadcast the end of a level interrupt, so none is silent.
    let mut all = IoApics::new(form, false);
    let bytes = match firmware(env) {
        Ok(Some(bytes)) => bytes,
        // The line about the missing remapper has said it.
        Ok(None) | Err(_) => return all,
    };
    let Ok(blob) = Blob::parse(&bytes) else { return all };
    let table = match blob.find(Signature::MADT, 0).and_then(Madt::parse) {
        Ok(table) => table,
        Err(error) => {
            println!("interrupt: no IOAPIC: {error}; wires are not supported");
            return all;
        }
    };
    // Those with faults of their own have had their line from init.
    for described in wiring::IoApics::of(&table).good() {
        if let Err(why) = take_over(env, &blob, form, &described, &mut all) {
            println!(
                "interrupt: IOAPIC {} at {:#x}: {why}; its wires are not supported",
                described.id, described.address
            );
        }
    }
    all
}

fn take_over(
    env: &Startup,
    blob: &Blob<'_>,
    form: EntryForm,
    described: &Described,
    all: &mut IoApics<ChipPage>,
) -> Result<(), String> {
    let page = page(env, described)?;
    let unit = IoApic::new(page, WAIT_BUDGET).map_err(|error| error.to_string())?;
    let (version, left_open) = (unit.version(), unit.left_open());
    let source = source(blob, form, described.id);
    let first = described.gsi_base;
    let chip = Chip { unit, first, source };
    let last = chip.last();
    all.add(chip).map_err(|GsiOverlap(_)| {
        format!("its GSIs {first} to {last} are another IOAPIC's, or past the last number")
    })?;
    if form != EntryForm::Compatibility && source.is_none() {
        return Err("firmware gives it no device scope, so the remapper would block it".into());
    }
    let arrive = match source {
        Some(id) if form != EntryForm::Compatibility => format!("messages arrive as {id}"),
        _ => "compatibility format, edges only".into(),
    };
    let levels = if version.has_end_of_interrupt() { "" } else { ", edges only (no EOI register)" };
    let open = match left_open {
        0 => String::new(),
        pins => format!(", {pins} pins were left open"),
    };
    println!(
        "interrupt: IOAPIC {} at {:#x}: GSIs {first} to {last}, {arrive}{levels}{open}",
        described.id, described.address
    );
    Ok(())
}

/// The grant `ioapic<n>` with the chip's page.
fn page(env: &Startup, described: &Described) -> Result<ChipPage, String> {
    let address = u64::from(described.address);
    let (base, start) = (address & !0xfff, address & 0xfff);
    let is_chip = |name: &str| {
        name.strip_prefix("ioapic").is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    let mut entries = env.entries().iter();
    let entry = entries.find(|entry| is_chip(entry.name()) && entry.value2 == base);
    let entry = entry.ok_or("no grant for it")?;
    // Lent from the startup page: not this function's to close.
    let range = ManuallyDrop::new(Physical::own(entry.handle));
    let page = Mapping::of_physical(&range).map_err(|error| format!("its registers: {error}"))?;
    Ok(ChipPage { page, start })
}

/// The id that the remapper in service sees of a chip: in the scopes of that unit and no other.
fn source(blob: &Blob<'_>, form: EntryForm, id: u8) -> Option<RequesterId> {
    let found = match form {
        EntryForm::VtD => {
            let table = blob.find(Signature::DMAR, 0).and_then(Dmar::parse).ok()?;
            // Nobody has given out bus numbers yet, so a path through bridges leads nowhere.
            vtd::choose(&table)?.io_apic_source(id, |_| None)
        }
        EntryForm::AmdVi => {
            let table = blob.find(Signature::IVRS, 0).and_then(Ivrs::parse).ok()?;
            amdvi::choose(&table)?.io_apic_source(id)
        }
        EntryForm::Compatibility => None,
    };
    found.map(|id| RequesterId::from_bits(id.bits()))
}
