//! The figures of the design (section 11), with the peers' on each architecture and the targets.

use crate::arch::Arch;

/// One figure, and where its bar is.
pub struct Figure {
    pub key: &'static str,
    /// What it measures.
    pub about: &'static str,
    pub unit: &'static str,
    x86_64: Peers,
    aarch64: Peers,
    /// What the median may and should not be above; `None` where the design sets no bar.
    pub bar: Option<Bar>,
}

/// What others need on the same machine, as printed; empty where there is no such figure.
#[derive(Clone, Copy)]
pub struct Peers {
    pub sel4: &'static str,
    /// Linux 6.1 (VFIO and eventfd).
    pub linux: &'static str,
}

impl Figure {
    pub fn peers(&self, arch: Arch) -> Peers {
        match arch {
            Arch::X86_64 => self.x86_64,
            Arch::Aarch64 => self.aarch64,
        }
    }
}

/// The targets of a figure: the same on each architecture.
#[derive(Clone, Copy)]
pub struct Bar {
    pub must_reach: u64,
    pub aim: u64,
}

/// The loop that proves what the counter counts: its body is [`CALIBRATION_INSTRUCTIONS`] long.
pub const CALIBRATION: &str = "calibration";
/// How many instructions the calibration loop executes between its two readings of the counter.
pub const CALIBRATION_INSTRUCTIONS: u64 = 10_000;
/// What reading the counter may add to it.
pub const CALIBRATION_SLACK: u64 = 100;
/// Each figure is taken this often at least.
pub const ROUNDS: u64 = 1000;

const fn peers(sel4: &'static str, linux: &'static str) -> Peers {
    Peers { sel4, linux }
}

/// A number of instructions.
const fn figure(
    key: &'static str,
    about: &'static str,
    (x86_64, aarch64): (Peers, Peers),
    (must_reach, aim): (u64, u64),
) -> Figure {
    let bar = Some(Bar { must_reach, aim });
    Figure { key, about, unit: "instructions", x86_64, aarch64, bar }
}

/// Every figure that a bench run has to print.
pub const FIGURES: [Figure; 8] = [
    figure(
        "irq_to_user",
        "device raises -> driver's first instruction",
        (peers("344 to 363", "3484"), peers("333 to 386", "4525")),
        (250, 150),
    ),
    figure(
        "irq_cycle",
        "device raises -> interrupted thread resumes",
        (peers("1182", "6579"), peers("", "8239")),
        (600, 350),
    ),
    figure(
        "ipc_call_reply",
        "call and reply, empty message",
        (peers("414 to 462", "8458"), peers("426 to 531", "10241")),
        (410, 300),
    ),
    Figure {
        key: "ipc_call_reply_full",
        about: "call and reply, 64 words each way",
        unit: "instructions",
        x86_64: peers("", ""),
        aarch64: peers("", ""),
        bar: None,
    },
    figure(
        "port_signal_to_wake",
        "signal a port -> its waiter runs",
        (peers("474 to 493", "4040"), peers("471 to 524", "5027")),
        (350, 200),
    ),
    figure(
        "null_syscall",
        "the cheapest useful call",
        (peers("255", "335"), peers("217", "399")),
        (100, 60),
    ),
    figure(
        "message_alloc_bind",
        "one more message to a running driver",
        (peers("", "56600"), peers("", "43900")),
        (8000, 2500),
    ),
    Figure {
        key: "kernel_bytes_per_message",
        about: "kernel memory of one message",
        unit: "bytes",
        x86_64: peers("", "4608 to 5325"),
        aarch64: peers("", "4608 to 5325"),
        bar: Some(Bar { must_reach: 512, aim: 192 }),
    },
];
