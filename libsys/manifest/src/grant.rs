//! One capability that a program gets, and how the manifest writes it.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
};
use core::{fmt, ops::RangeInclusive, str::FromStr};

use serde::{Deserialize, Serialize};

/// I/O ports of a PC's first serial port: what `uart` is there.
pub const COM1: RangeInclusive<u16> = 0x3f8..=0x3ff;

/// A capability, as named in a manifest. [`fmt::Display`] and [`FromStr`] are its spelling there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Grant {
    /// `ioport:0x60-0x64`: these x86 I/O ports. No two programs get the same port.
    IoPorts {
        /// First port.
        first: u16,
        /// Last port, included.
        last: u16,
    },
    /// `uart`: the serial port that is the machine's console: the I/O ports of COM1 on a PC, a page of registers on Arm
    /// machines. One program only.
    Uart,
    /// `firmware`: what firmware says of the machine, read only: the ACPI tables as one blob, the device tree.
    Firmware,
    /// `vtd`: the register pages of the VT-d units that the DMAR names. One program only.
    Vtd,
    /// `amdvi`: the registers of the AMD IOMMUs that the IVRS names. One program only.
    AmdVi,
    /// `ioapic`: the registers of the IO APICs that the MADT names: where a PC's wires end. One program only.
    IoApic,
    /// `hpet`: the register page of a PC's HPET, and messages for its comparators: the interrupt server's endpoint comes with
    /// it. One program only.
    Hpet,
    /// `gic`: of an Arm machine's interrupt controller the parts that route messages: the distributor, the control frames of
    /// the redistributors and of the interrupt translation services. One program only.
    Gic,
    /// `gic-private`: of each CPU the frame of its private interrupts, the kernel's own timer among them: whoever has it can
    /// silence the kernel. For the tests that play a device there. One program only.
    GicPrivate,
    /// `ecam`: all of PCI configuration space. One program only.
    Ecam,
    /// `pci-window`: the physical ranges where BARs lie. One program only.
    PciWindow,
    /// `message-control`: authority over the vector space. One program only.
    MessageControl,
    /// `debug-log`: takes over and reads the kernel's log. One program only.
    DebugLog,
    /// `debug-write`: may add lines to the kernel's log, for programs that run before the console does.
    DebugWrite,
    /// `debug-stats`: may read the kernel's counts (free memory, live objects).
    DebugStats,
    /// `receive:<name>`: receives the calls on the endpoint with this name, which exists because of this grant. One
    /// program only.
    Receive(String),
    /// `endpoint:<name>`: may call this endpoint. The badge is zero.
    Endpoint(String),
    /// `device:<name>`: may call this endpoint as the device that the driver is for: the badge is its requester id. For
    /// drivers only.
    Device(String),
    /// `mint:<name>`: may call this endpoint and make copies with any badge: may speak in the name of any device.
    Mint(String),
    /// `inspect:<name>`: may read from this endpoint, an interrupt server's, what it has given to everybody, and ask for
    /// nothing else.
    Inspect(String),
    /// `wire:<name>`: the interrupt line of a platform device, and the right to open it at `interrupt`, as a client of its
    /// own. `uart`: the serial port's. One program only.
    Wire(String),
    /// `parent:<name>`: may call this endpoint, an interrupt server's, as a subsystem: is an interrupt server itself, with
    /// the other one as its remapper. For servers only; `quota` says how many messages it may have.
    Parent(String),
    /// `module:<name>`: the boot module with this name, read only, to start processes from.
    Module(String),
}

impl Grant {
    /// At most one program may have this grant.
    pub fn is_exclusive(&self) -> bool {
        match self {
            Grant::IoPorts { .. }
            | Grant::Uart
            | Grant::Vtd
            | Grant::AmdVi
            | Grant::IoApic
            | Grant::Hpet
            | Grant::Gic
            | Grant::GicPrivate
            | Grant::Ecam
            | Grant::PciWindow
            | Grant::MessageControl
            | Grant::DebugLog
            | Grant::Wire(_)
            | Grant::Receive(_) => true,
            Grant::Firmware
            | Grant::DebugWrite
            | Grant::DebugStats
            | Grant::Endpoint(_)
            | Grant::Device(_)
            | Grant::Mint(_)
            | Grant::Inspect(_)
            | Grant::Parent(_)
            | Grant::Module(_) => false,
        }
    }

    /// Whether two grants give authority over the same thing.
    pub fn overlaps(&self, other: &Grant) -> bool {
        match (self, other) {
            (
                Grant::IoPorts { first, last },
                Grant::IoPorts { first: other_first, last: other_last },
            ) => first <= other_last && other_first <= last,
            (Grant::Uart, Grant::IoPorts { first, last })
            | (Grant::IoPorts { first, last }, Grant::Uart) => {
                first <= COM1.end() && COM1.start() <= last
            }
            (a, b) => a == b,
        }
    }

    /// The endpoint that this grant lets its holder call.
    pub fn calls(&self) -> Option<&str> {
        match self {
            Grant::Endpoint(name)
            | Grant::Device(name)
            | Grant::Mint(name)
            | Grant::Inspect(name)
            | Grant::Parent(name) => Some(name),
            // Which all messages and lines are of.
            Grant::Hpet | Grant::Wire(_) => Some("interrupt"),
            _ => None,
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Grant::IoPorts { first, last } => write!(f, "ioport:{first:#x}-{last:#x}"),
            Grant::Uart => f.write_str("uart"),
            Grant::Firmware => f.write_str("firmware"),
            Grant::Vtd => f.write_str("vtd"),
            Grant::AmdVi => f.write_str("amdvi"),
            Grant::IoApic => f.write_str("ioapic"),
            Grant::Hpet => f.write_str("hpet"),
            Grant::Gic => f.write_str("gic"),
            Grant::GicPrivate => f.write_str("gic-private"),
            Grant::Ecam => f.write_str("ecam"),
            Grant::PciWindow => f.write_str("pci-window"),
            Grant::MessageControl => f.write_str("message-control"),
            Grant::DebugLog => f.write_str("debug-log"),
            Grant::DebugWrite => f.write_str("debug-write"),
            Grant::DebugStats => f.write_str("debug-stats"),
            Grant::Receive(name) => write!(f, "receive:{name}"),
            Grant::Endpoint(name) => write!(f, "endpoint:{name}"),
            Grant::Device(name) => write!(f, "device:{name}"),
            Grant::Mint(name) => write!(f, "mint:{name}"),
            Grant::Inspect(name) => write!(f, "inspect:{name}"),
            Grant::Wire(name) => write!(f, "wire:{name}"),
            Grant::Parent(name) => write!(f, "parent:{name}"),
            Grant::Module(name) => write!(f, "module:{name}"),
        }
    }
}

/// Text that is no grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadGrant {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for BadGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "grant \"{}\": {}", self.text, self.reason)
    }
}

impl core::error::Error for BadGrant {}

/// A number as TOML writes it: decimal, or hexadecimal with `0x`.
fn port(text: &str) -> Option<u16> {
    match text.strip_prefix("0x") {
        // `from_str_radix` would take a sign.
        Some(digits) if digits.starts_with('+') => None,
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None if text.starts_with('+') => None,
        None => text.parse().ok(),
    }
}

impl FromStr for Grant {
    type Err = BadGrant;

    fn from_str(text: &str) -> Result<Self, BadGrant> {
        let bad = |reason: String| BadGrant { text: text.to_owned(), reason };
        let Some((kind, name)) = text.split_once(':') else {
            return Ok(match text {
                "uart" => Grant::Uart,
                "firmware" => Grant::Firmware,
                "vtd" => Grant::Vtd,
                "amdvi" => Grant::AmdVi,
                "ioapic" => Grant::IoApic,
                "hpet" => Grant::Hpet,
                "gic" => Grant::Gic,
                "gic-private" => Grant::GicPrivate,
                "ecam" => Grant::Ecam,
                "pci-window" => Grant::PciWindow,
                "message-control" => Grant::MessageControl,
                "debug-log" => Grant::DebugLog,
                "debug-write" => Grant::DebugWrite,
                "debug-stats" => Grant::DebugStats,
                "ioport" | "receive" | "endpoint" | "device" | "mint" | "inspect" | "wire"
                | "parent" | "module" => {
                    return Err(bad(format!("needs a name, as in {text}:<name>")));
                }
                _ => return Err(bad("no such grant".to_string())),
            });
        };
        let owned = name.to_owned();
        Ok(match kind {
            "ioport" => {
                let (first, last) = name.split_once('-').unwrap_or((name, name));
                match (port(first), port(last)) {
                    (Some(first), Some(last)) if first <= last => Grant::IoPorts { first, last },
                    (Some(_), Some(_)) => {
                        return Err(bad("the last port is below the first".to_string()));
                    }
                    _ => {
                        return Err(bad(
                            "ports are numbers up to 0xffff, as in ioport:0x60-0x64".to_string()
                        ));
                    }
                }
            }
            "receive" => Grant::Receive(owned),
            "endpoint" => Grant::Endpoint(owned),
            "device" => Grant::Device(owned),
            "mint" => Grant::Mint(owned),
            "inspect" => Grant::Inspect(owned),
            "wire" if name == "uart" => Grant::Wire(owned),
            "wire" => return Err(bad("the only such line is wire:uart".to_string())),
            "parent" => Grant::Parent(owned),
            "module" => Grant::Module(owned),
            _ => return Err(bad("no such grant".to_string())),
        })
    }
}
