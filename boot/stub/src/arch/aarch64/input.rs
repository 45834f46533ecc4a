//! What the firmware passes: a device tree in x0. Read with the MMU off, until the tree has said
//! where memory is.

use super::{REACH, cache, console, end, mmu};
use crate::input::{CommandLine, Input};
use crate::physical;
use boot_stub_core::PAGE;
use boot_stub_core::fatal::Fatal;
use boot_stub_core::memory::{Kind, Memory};
use boot_stub_core::placement::place_of_bundle;
use boot_stub_core::tree::{self, Conduit, Console};
use core::fmt::Write;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

/// Whether the image was entered at EL2. Its first page has the vectors of that level then.
static LEFT_EL2: AtomicBool = AtomicBool::new(false);

/// Remembers where the image was entered.
pub fn set_left_el2(left: bool) {
    LEFT_EL2.store(left, Ordering::Relaxed);
}

/// Reads the device tree at `address`; returns with the MMU on.
pub fn read_input(address: u64) -> Result<Input, Fatal> {
    let blob = blob(address)?;
    let tree = tree::open(blob)?;
    console::set(Console::from_device_tree(blob).map(|console| console.range.base));
    end::set_conduit(Conduit::from_device_tree(blob));

    let stub = physical::stub();
    let mut mapped = tree::memory(tree, REACH)?;
    forget_console_in(&mapped);
    // The first sign of life on a new board. The console swallows all errors.
    let level = if LEFT_EL2.load(Ordering::Relaxed) { 2 } else { 1 };
    let _ = write!(
        console::console(),
        "tocsin-direct: entered at EL{level} and {:#x}, device tree at {address:#x}\r\n",
        stub.start
    );
    let (base, size) = tree::bundle(tree)?;
    let place = place_of_bundle(&mapped, base, size, &stub)?;
    let ours = Kind::BootloaderReclaimable;
    mapped.assign(stub.start, stub.end, ours)?;

    let borrowed = [place.clone(), address..address + blob.len() as u64];
    let mut memory = mapped.clone();
    tree::add_reservations(&mut memory, tree, &borrowed)?;
    // Again: the stub goes on in the direct map for a moment, whatever is said about its place.
    memory.assign(stub.start, stub.end, ours)?;
    for Range { start, end } in &borrowed {
        memory.change(*start, *end, Kind::Usable, ours)?;
    }
    if LEFT_EL2.load(Ordering::Relaxed) {
        memory.assign(stub.start, stub.start + PAGE, Kind::Reserved)?;
    }
    let text = tree::command_line(tree);
    let command_line = CommandLine::from_slice(text).map_err(|_| Fatal::CommandLineTooLong)?;

    let copy = take(&mut memory, blob.len() as u64)?;
    // SAFETY: just allocated, and nothing else refers to it.
    unsafe { physical::bytes_mut(copy, blob.len() as u64) }.copy_from_slice(blob);
    cache::clean(copy, copy + blob.len() as u64);
    mmu::turn_on(&mut memory, &mapped)?;

    // SAFETY: the bundle is in memory that the map does not hand out any more.
    let bundle = unsafe { physical::bytes(place.start, place.end - place.start)? };
    Ok(Input { memory, borrowed, bundle, command_line, rsdp: None, device_tree: Some(copy) })
}

/// The device tree, as the firmware has left it: checked for its size only.
fn blob(address: u64) -> Result<&'static [u8], Fatal> {
    // The boot protocol wants it aligned so.
    if address == 0 || !address.is_multiple_of(8) {
        return Err(Fatal::NoTree);
    }
    cache::clean(address, address + tree::PREFIX as u64);
    let size = tree::size(&physical::read(address)?)?;
    cache::clean(address, address + size as u64);
    // SAFETY: the memory map hands out its memory only after it has been copied.
    unsafe { physical::bytes(address, size as u64) }
}

/// A console that lies in memory is none: the tree is wrong, and memory cannot be mapped as a device.
fn forget_console_in(memory: &Memory) {
    let inside = |page: Range<u64>| {
        memory.regions().iter().any(|region| region.base < page.end && page.start < region.end)
    };
    if console::page().is_some_and(inside) {
        console::set(None);
    }
}

/// Takes memory that is written with the MMU off: nothing of it may be in a cache.
pub fn take(memory: &mut Memory, size: u64) -> Result<u64, Fatal> {
    let (free, reach) = (memory.allocatable(), memory.reach());
    let base = memory.allocate(size, Kind::BootloaderReclaimable)?;
    let base = base.ok_or(Fatal::TooLittleMemory { needed: size, free, reach })?;
    cache::clean(base, base + size);
    Ok(base)
}
