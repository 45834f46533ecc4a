//! The command line. Every option's meaning is its doc comment, which `--help` prints.

use crate::arch::Arch;
use crate::machine::Loader;
use crate::setup::Setup;
use crate::workspace::Workspace;
use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Tocsin's commands: set up what is missing, build, boot, test, measure.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything, boot it in QEMU and show its serial port.
    ///
    /// Succeeds only when the guest reports success. What is missing (QEMU, UEFI firmware, the
    /// bare-metal compiler target) is installed first, unless --no-install is given.
    Run(RunOptions),
    /// Boot a machine and show what its interrupt server has given out: remapper, devices, stores,
    /// messages, vectors, ports.
    ///
    /// The drivers of the demonstration hold all the messages they can meanwhile. Without --json
    /// and --svg the tree is printed as text.
    Inspect(InspectOptions),
    /// Name the machines of ci/scenarios.toml, which `run`, `test` and `inspect` take as --machine.
    Machines,
    /// Write a disk image that boots on UEFI machines, and for x86_64 also on BIOS machines.
    Image(ImageOptions),
    /// Run the host tests, then the QEMU scenarios of ci/scenarios.toml.
    ///
    /// The last line is `N passed, N failed, N skipped`. Serial logs are kept below
    /// target/scenarios.
    Test(TestOptions),
    /// Measure the figures of the design in instructions, and compare them with its targets.
    Bench(BenchOptions),
    /// Check the rules that the compiler cannot: architecture leaks, named tests, file sizes,
    /// reasons for `allow`, approved dependencies.
    Check,
    /// Run clippy, with warnings denied, on the crates that only build for bare metal.
    Clippy(ClippyOptions),
    /// Draw the authority that a manifest grants, as Graphviz text.
    Graph(GraphOptions),
    /// Print the reference page of system calls from the table that declares them.
    Syscalls,
}

/// What every command that may install something accepts.
#[derive(Args, Clone, Copy)]
pub struct SetupOptions {
    /// Install and download nothing; name what is missing and stop.
    #[arg(long)]
    pub no_install: bool,
}

/// Which loader `run` boots through.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LoaderChoice {
    /// Limine on UEFI when its files can be had, otherwise the direct stub.
    Auto,
    /// The direct boot stub (`qemu -kernel`).
    Direct,
    /// Limine, on UEFI firmware.
    Limine,
    /// Limine, on BIOS firmware.
    LimineBios,
}

impl LoaderChoice {
    /// The loader that was asked for; `None` for `auto`.
    pub fn fixed(self) -> Option<Loader> {
        match self {
            Self::Auto => None,
            Self::Direct => Some(Loader::Direct),
            Self::Limine => Some(Loader::LimineUefi),
            Self::LimineBios => Some(Loader::LimineBios),
        }
    }
}

/// Which guest `run` and `inspect` boot.
#[derive(Args)]
pub struct GuestOptions {
    /// Boot loader.
    #[arg(long, value_enum, default_value = "auto")]
    pub loader: LoaderChoice,
    /// Number of CPUs [default: 2, or the scenario's].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub smp: Option<u32>,
    /// Memory in MiB [default: 128, or the scenario's].
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=65536))]
    pub memory: Option<u32>,
    /// Build without optimisation and with overflow checks [default: release].
    #[arg(long, conflicts_with = "release")]
    pub debug: bool,
    /// Build optimised (the default, accepted for clarity).
    #[arg(long)]
    pub release: bool,
    /// Boot this scenario of ci/scenarios.toml: its machine, manifest and inputs [default:
    /// boot-demo for run, inspect for inspect].
    #[arg(long)]
    pub scenario: Option<String>,
    /// Architecture [default: the machine's, or x86_64].
    #[arg(long, value_enum)]
    pub arch: Option<Arch>,
    /// Machine of ci/scenarios.toml [default: the scenario's first of the architecture].
    #[arg(long)]
    pub machine: Option<String>,
    /// Kill the guest after this many seconds.
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
}

#[derive(Args)]
pub struct RunOptions {
    #[command(flatten)]
    pub guest: GuestOptions,
    /// Keep the system running when its main program has ended (until Ctrl-C).
    #[arg(long)]
    pub stay: bool,
    #[command(flatten)]
    pub setup: SetupOptions,
}

#[derive(Args)]
pub struct InspectOptions {
    #[command(flatten)]
    pub guest: GuestOptions,
    /// Manifest: `default`, or a name below boot/manifests [default: the scenario's].
    #[arg(long)]
    pub manifest: Option<String>,
    /// Read the rows of this serial log, and boot nothing.
    #[arg(long, value_name = "LOG", conflicts_with_all = ["scenario", "machine", "manifest", "arch"])]
    pub from: Option<PathBuf>,
    /// Show the messages of this device one by one, in text and drawing: a requester id
    /// (00:04.0), a driver's name, or `all`. Can be given more than once.
    #[arg(long, value_name = "DEVICE")]
    pub expand: Vec<String>,
    /// Print the tree as text, also beside --json and --svg.
    #[arg(long)]
    pub text: bool,
    /// Write the tree to this file as JSON; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draw the tree into this file.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    #[command(flatten)]
    pub setup: SetupOptions,
}

#[derive(Args)]
pub struct ImageOptions {
    /// Architecture of the machine that will boot it.
    #[arg(long, value_enum, default_value = "x86_64")]
    pub arch: Arch,
    /// Where to write the image [default: target/tocsin.img, or target/tocsin-aarch64.img].
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Instead of a disk image, write the two files that `qemu -kernel` or U-Boot's `booti` takes, the
    /// stub and the bundle, into a directory [default: target/direct-x86_64, target/direct-aarch64].
    #[arg(long, conflicts_with = "cmdline")]
    pub direct: bool,
    /// Build without optimisation.
    #[arg(long)]
    pub debug: bool,
    /// Kernel command line.
    #[arg(long, default_value = "")]
    pub cmdline: String,
    #[command(flatten)]
    pub setup: SetupOptions,
}

/// Half of the test command.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TestKind {
    /// Tests that run on this machine, under `cargo test`.
    Host,
    /// Scenarios that boot in QEMU.
    Qemu,
}

#[derive(Args)]
pub struct TestOptions {
    /// Run only tests and scenario variants whose name contains this text.
    pub filter: Option<String>,
    /// Run only the scenarios on machines of one architecture [default: of each].
    #[arg(long, value_enum)]
    pub arch: Option<Arch>,
    /// Run only the scenarios on this machine of ci/scenarios.toml.
    #[arg(long)]
    pub machine: Option<String>,
    /// Run only one half.
    #[arg(long, value_enum)]
    pub only: Option<TestKind>,
    /// Name the scenario variants, and run nothing.
    #[arg(long)]
    pub list: bool,
    /// How many guests to run side by side.
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub jobs: u32,
    #[command(flatten)]
    pub setup: SetupOptions,
}

#[derive(Args)]
pub struct BenchOptions {
    /// Architecture to measure on.
    #[arg(long, value_enum, default_value = "x86_64")]
    pub arch: Arch,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    pub setup: SetupOptions,
}

#[derive(Args)]
pub struct ClippyOptions {
    /// Check for one architecture only [default: for each].
    #[arg(long, value_enum)]
    pub arch: Option<Arch>,
    #[command(flatten)]
    pub setup: SetupOptions,
}

#[derive(Args)]
pub struct GraphOptions {
    /// Manifest: `default`, or a name below boot/manifests.
    #[arg(default_value = "default")]
    pub manifest: String,
    /// Write SVG to this file (needs Graphviz' `dot`) instead of dot text to standard output.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    #[command(flatten)]
    pub setup: SetupOptions,
}

/// Runs the command; `false` is a failure that has already been explained.
pub fn dispatch() -> Result<bool> {
    let cli = Cli::parse();
    let workspace = Workspace::find()?;
    let setup = |options: SetupOptions| Setup::new(&workspace, !options.no_install);
    match cli.command {
        Command::Run(options) => crate::run::run(&workspace, &setup(options.setup), &options),
        Command::Inspect(options) => {
            crate::inspect::run(&workspace, &setup(options.setup), &options)
        }
        Command::Machines => crate::scenario::machines(&workspace),
        Command::Image(options) => crate::image::write(&workspace, &setup(options.setup), &options),
        Command::Test(options) => crate::test::run(&workspace, &setup(options.setup), &options),
        Command::Bench(options) => crate::bench::run(&workspace, &setup(options.setup), &options),
        Command::Check => crate::check::run(&workspace),
        Command::Clippy(options) => crate::clippy::run(&setup(options.setup), &options),
        Command::Graph(options) => crate::graph::run(&workspace, &setup(options.setup), &options),
        Command::Syscalls => crate::syscalls::write(&workspace),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn smp_is_limited_to_what_the_kernel_supports() {
        assert!(Cli::try_parse_from(["xtask", "run", "--smp", "8"]).is_ok());
        assert!(Cli::try_parse_from(["xtask", "run", "--smp", "9"]).is_err());
        assert!(Cli::try_parse_from(["xtask", "run", "--smp", "0"]).is_err());
        assert!(Cli::try_parse_from(["xtask", "inspect", "--smp", "8"]).is_ok());
    }
}
