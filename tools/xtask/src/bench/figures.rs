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
    /// What the median may and should not be above; `None` where the design sets no bar.
    pub bar: Option<Bar>,
}

/// The targets of a figure.
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

const fn figure(
    key: &'static str,
    about: &'static str,
    sel4: &'static str,
    linux: &'static str,
    must_reach: u64,
    aim: u64,
) -> Figure {
    let bar = Some(Bar { must_reach, aim });
    Figure { key, about, unit: "instructions", sel4, linux, bar }
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
    Figure {
        key: "ipc_call_reply_full",
        about: "call and reply, 64 words each way",
        unit: "instructions",
        sel4: "",
        linux: "",
        bar: None,
    },
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
        bar: Some(Bar { must_reach: 512, aim: 192 }),
    },
];
