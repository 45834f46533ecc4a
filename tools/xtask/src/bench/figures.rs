//! The figures of the design (section 11), with the peers' and the targets for x86.

/// One figure, and where its bar is.
pub struct Figure {
    pub key: &'static str,
    /// What it measures.
    pub about: &'static str,
    pub unit: &'static str,
    /// seL4 on the same machine, as printed.
    pub sel4: &'static str,
    /// Linux 6.1 (VFIO and eventfd) on the same machine, as printed.
    pub linux: &'static str,
    /// The median may not be above this.
    pub must_reach: u64,
    /// The median should not be above this.
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

const fn figure(
    key: &'static str,
    about: &'static str,
    sel4: &'static str,
    linux: &'static str,
    must_reach: u64,
    aim: u64,
) -> Figure {
    Figure { key, about, unit: "instructions", sel4, linux, must_reach, aim }
}

/// Every figure that a bench run has to print.
pub const FIGURES: [Figure; 8] = [
    figure(
        "irq_to_user",
        "device raises -> driver's first instruction",
        "344 to 363",
        "3484",
        250,
        150,
    ),
    figure("irq_cycle", "device raises -> interrupted thread resumes", "1182", "6579", 600, 350),
    figure("ipc_call_reply", "call and reply, empty message", "414 to 462", "8458", 410, 300),
    // Nobody set a bar for the full message: it is held to the one for the empty message plus
    // two copies of its 64 words, one instruction a word.
    figure("ipc_call_reply_full", "call and reply, full message", "", "", 410 + 128, 300 + 128),
    figure(
        "port_signal_to_wake",
        "signal a port -> its waiter runs",
        "474 to 493",
        "4040",
        350,
        200,
    ),
    figure("null_syscall", "the cheapest useful call", "255", "335", 100, 60),
    figure("message_alloc_bind", "one more message to a running driver", "", "56600", 8000, 2500),
    Figure {
        key: "kernel_bytes_per_message",
        about: "kernel memory of one message",
        unit: "bytes",
        sel4: "",
        linux: "4608 to 5325",
        must_reach: 512,
        aim: 192,
    },
];
