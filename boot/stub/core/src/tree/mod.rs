//! What the stub reads from a device tree: memory and what is reserved in it, the bundle, the command
//! line, and how to speak ([`Console`]) and to end ([`Conduit`]). *DT* is the Devicetree Specification 0.4; *bindings* are the
//! documents of dt-schema and of Linux, Documentation/devicetree/bindings.

mod memory;

pub use memory::{add_reservations, memory};

use crate::fatal::Fatal;
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node, Property};

pub use tocsin_firmware::arm::{Conduit, Console};
pub use tocsin_firmware::tree::{PREFIX, TreeDamage};

/// The longest tree that the boot protocol of Linux allows.
pub const MAX_SIZE: usize = 2 << 20;

/// The size of the tree that starts with these bytes.
pub fn size(prefix: &[u8; PREFIX]) -> Result<usize, Fatal> {
    let size = tocsin_firmware::tree::total_size(prefix).map_err(|_| Fatal::NoTree)?;
    if size > MAX_SIZE { Err(Fatal::TreeTooLong) } else { Ok(size) }
}

/// Checks a tree and opens it.
pub fn open(bytes: &[u8]) -> Result<Fdt<'_>, Fatal> {
    tocsin_firmware::tree::open(bytes).map_err(Fatal::Tree)
}

/// Where the bundle is, and its size: the initial ramdisk of `/chosen` (bindings: chosen.yaml). Each
/// of the two numbers has one or two cells.
pub fn bundle(tree: Fdt<'_>) -> Result<(u64, u64), Fatal> {
    let chosen = tree.find_node("/chosen").ok_or(Fatal::NoModules)?;
    let number = |name| {
        let property = chosen.property(name).ok_or(Fatal::NoModules)?;
        cells(property.value()).ok_or(Fatal::BadProperty("/chosen/linux,initrd-start or -end"))
    };
    let (start, end) = (number("linux,initrd-start")?, number("linux,initrd-end")?);
    match end.checked_sub(start) {
        Some(size) if size > 0 => Ok((start, size)),
        _ => Err(Fatal::NoModules),
    }
}

/// The kernel's command line, without its NUL.
pub fn command_line<'a>(tree: Fdt<'a>) -> &'a [u8] {
    let property = tree.find_node("/chosen").and_then(|chosen| chosen.property("bootargs"));
    let value = property.and_then(|property| property.value_as::<&[u8]>().ok());
    value.and_then(|value| value.split(|&byte| byte == 0).next()).unwrap_or(&[])
}

/// A number of one or two cells.
fn cells(value: &[u8]) -> Option<u64> {
    match *value {
        [a, b, c, d] => Some(u64::from(u32::from_be_bytes([a, b, c, d]))),
        _ => value.try_into().ok().map(u64::from_be_bytes),
    }
}

/// True if the node may be used: it has no status, or a good one (DT 2.3.4).
fn is_enabled(node: &FdtNode<'_>) -> bool {
    node.property("status").is_none_or(|status| matches!(status.value(), b"okay\0" | b"ok\0"))
}
