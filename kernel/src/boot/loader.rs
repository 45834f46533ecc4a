//! What the kernel asks its loader for (the Limine boot protocol).

use limine::BaseRevision;
use limine::memory_map::Entry;
use limine::request::{
    BootloaderInfoRequest, DeviceTreeBlobRequest, ExecutableAddressRequest,
    ExecutableCmdlineRequest, ExecutableFileRequest, HhdmRequest, MemoryMapRequest, ModuleRequest,
    RequestsEndMarker, RequestsStartMarker, RsdpRequest, StackSizeRequest,
};

use crate::fatal::fatal;
use crate::mm;

/// Stack for start-up; the per-CPU stacks come after.
const STACK_BYTES: u64 = 128 * 1024;
/// First word of a device tree, and its second at most: Linux' boot protocol for arm64 allows
/// no more than 2 MiB either.
const TREE_MAGIC: u32 = 0xd00d_feed;
const MOST_TREE_BYTES: u32 = 2 << 20;

macro_rules! requests {
    ($($(#[$attr:meta])* $name:ident: $type:ty = $value:expr;)*) => {
        $(
            // SAFETY: the section is where the loader looks for requests; it is writable
            // data, as the loader's answers need.
            #[used]
            #[unsafe(link_section = ".requests")]
            static $name: $type = $value;
        )*
    };
}

// SAFETY: as for the requests; this marks where they begin.
#[used]
#[unsafe(link_section = ".requests_start_marker")]
static START: RequestsStartMarker = RequestsStartMarker::new();
// SAFETY: as for the requests; this marks where they end.
#[used]
#[unsafe(link_section = ".requests_end_marker")]
static END: RequestsEndMarker = RequestsEndMarker::new();

requests! {
    // Limine 8.2 knows revisions up to 2.
    REVISION: BaseRevision = BaseRevision::with_revision(2);
    NAME: BootloaderInfoRequest = BootloaderInfoRequest::new();
    STACK: StackSizeRequest = StackSizeRequest::new().with_size(STACK_BYTES);
    HHDM: HhdmRequest = HhdmRequest::new();
    MEMORY: MemoryMapRequest = MemoryMapRequest::new();
    MODULES: ModuleRequest = ModuleRequest::new();
    RSDP: RsdpRequest = RsdpRequest::new();
    DEVICE_TREE: DeviceTreeBlobRequest = DeviceTreeBlobRequest::new();
    ADDRESS: ExecutableAddressRequest = ExecutableAddressRequest::new();
    CMDLINE: ExecutableCmdlineRequest = ExecutableCmdlineRequest::new();
    // Limine 8.2 gives the command line only with the kernel's own file.
    FILE: ExecutableFileRequest = ExecutableFileRequest::new();
}

/// Checks that the loader speaks a revision we know.
pub fn check() {
    if !REVISION.is_supported() {
        fatal(format_args!(
            "the loader does not know base revision 2 of the Limine protocol: \
             use Limine 8 or newer, or the direct boot stub"
        ));
    }
}

/// The loader's name.
pub fn name() -> &'static str {
    NAME.get_response().map_or("unknown", |info| info.name())
}

/// Offset of the loader's direct map, which is ours too.
pub fn direct_offset() -> u64 {
    match HHDM.get_response() {
        Some(hhdm) => hhdm.offset(),
        None => fatal(format_args!("the loader gave no direct map")),
    }
}

/// The memory map, in ascending order.
pub fn memory_map() -> &'static [&'static Entry] {
    MEMORY.get_response().map_or(&[], |map| map.entries())
}

/// Physical and virtual address of the kernel's image.
pub fn image() -> (u64, u64) {
    match ADDRESS.get_response() {
        Some(address) => (address.physical_base(), address.virtual_base()),
        None => fatal(format_args!("the loader does not say where the kernel is")),
    }
}

/// An address in an answer: physical, or (before revision 3) in the direct map.
fn physical(address: u64) -> u64 {
    let offset = direct_offset();
    if address >= offset { address - offset } else { address }
}

/// Physical address of the ACPI root pointer.
pub fn rsdp() -> Option<u64> {
    Some(physical(RSDP.get_response()?.address() as u64))
}

/// The flattened device tree, in the loader's memory: whole, but nothing else about it has
/// been checked.
pub fn device_tree() -> Option<&'static [u8]> {
    let start = mm::direct(physical(DEVICE_TREE.get_response()?.dtb_ptr() as u64));
    // SAFETY: the loader says that a device tree is here, in memory that is mapped. Its header
    // begins with two words (Devicetree Specification 0.4, 5.2), in alignment of 8.
    let [magic, size] = unsafe { start.cast::<[u32; 2]>().read_volatile() }.map(u32::from_be);
    if magic != TREE_MAGIC || size > MOST_TREE_BYTES {
        return None;
    }
    // SAFETY: as above; the header says how many bytes there are, and nobody writes to it.
    Some(unsafe { core::slice::from_raw_parts(start, size as usize) })
}

/// The command line.
pub fn cmdline() -> &'static str {
    let text = match (CMDLINE.get_response(), FILE.get_response()) {
        (Some(cmdline), _) => cmdline.cmdline(),
        (None, Some(file)) => file.file().string(),
        (None, None) => return "",
    };
    text.to_str().unwrap_or("")
}

/// One boot module.
#[derive(Clone, Copy)]
pub struct Module {
    /// Its command line: name and checksum.
    pub cmdline: &'static str,
    /// Physical address; page aligned.
    pub address: u64,
    /// Contents.
    pub bytes: &'static [u8],
}

/// The boot modules.
pub fn modules() -> impl Iterator<Item = Module> {
    let files = MODULES.get_response().map_or(&[][..], |modules| modules.modules());
    files.iter().map(|file| {
        // SAFETY: the loader placed the module at this address, in memory of its own kind
        // that nobody reuses, and mapped it.
        let bytes = unsafe { core::slice::from_raw_parts(file.addr(), file.size() as usize) };
        let virt = file.addr() as u64;
        Module {
            cmdline: file.string().to_str().unwrap_or(""),
            address: virt.wrapping_sub(direct_offset()),
            bytes,
        }
    })
}
