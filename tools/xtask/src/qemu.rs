//! Running a guest: its serial port is read line by line, and a hard time limit ends it.

use crate::command;
use crate::plain::Plain;
use crate::scenario::input::{Input, Typist};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// How a guest is run.
pub struct Options<'a> {
    /// Show the serial port while it runs.
    pub show: bool,
    /// Kill the guest after this long.
    pub limit: Option<Duration>,
    /// Where the serial port is kept.
    pub log: &'a Path,
    /// What is typed at the serial port. Without any, a terminal is the guest's if it is shown.
    pub input: &'a [Input],
}

/// How a guest ended.
pub struct Ending {
    /// QEMU's exit status; `None` when it was killed by us or by a signal.
    pub status: Option<i32>,
    pub timed_out: bool,
    /// All of its input was typed.
    pub all_typed: bool,
    /// Everything the guest printed, as plain text.
    pub serial: String,
    /// What QEMU itself had to say.
    pub errors: String,
    pub elapsed: Duration,
}

/// Runs QEMU (`program`) with `arguments`.
pub fn run(program: &Path, arguments: &[OsString], options: &Options) -> Result<Ending> {
    let start = Instant::now();
    let errors_file = options.log.with_extension("stderr");
    let errors = File::create(&errors_file)
        .with_context(|| format!("cannot write {}", errors_file.display()))?;
    let mut log = File::create(options.log)
        .with_context(|| format!("cannot write {}", options.log.display()))?;
    let mut child = dies_with_us(program)
        .args(arguments)
        .stdin(stdin(options))
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .context("cannot start QEMU")?;
    let output = child.stdout.take().context("QEMU has no standard output")?;
    let keyboard = child.stdin.take().map(keyboard);
    let typist = Typist::new(options.input)?;
    let show = options.show;
    let reader = thread::spawn(move || read_serial(output, &mut log, show, typist, keyboard));
    let status = command::wait(&mut child, options.limit)?;
    let read = reader.join().map_err(|_| anyhow::anyhow!("the serial reader died"))?;
    let (serial, all_typed) = read;
    let errors = fs::read_to_string(&errors_file).unwrap_or_default();
    if errors.is_empty() {
        fs::remove_file(&errors_file)?;
    }
    Ok(Ending {
        status: status.and_then(|status| status.code()),
        timed_out: status.is_none(),
        all_typed,
        serial: String::from_utf8_lossy(&serial).into_owned(),
        errors,
        elapsed: start.elapsed(),
    })
}

/// A command for `program` that the system kills when this program dies, also when it is killed
/// itself: a QEMU under `-icount sleep=off` would otherwise burn a CPU for ever.
fn dies_with_us(program: &Path) -> Command {
    match command::find("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL"]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

fn stdin(options: &Options) -> Stdio {
    if !options.input.is_empty() {
        Stdio::piped()
    } else if options.show && io::stdin().is_terminal() {
        Stdio::inherit()
    } else {
        Stdio::null()
    }
}

/// Types from a thread of its own: a guest that does not take its input must not keep anybody
/// from reading its output. It ends with the sender, or with QEMU.
fn keyboard(mut stdin: ChildStdin) -> Sender<Vec<u8>> {
    let (sender, receiver) = mpsc::channel::<Vec<u8>>();
    thread::spawn(move || {
        receiver.iter().take_while(|text| stdin.write_all(text).is_ok()).for_each(drop);
    });
    sender
}

/// Reads the serial port to its end, as plain text; the log and the screen follow as it comes, and
/// so does what is typed. Says whether all of that was.
fn read_serial(
    mut output: ChildStdout,
    log: &mut File,
    show: bool,
    mut typist: Typist,
    keyboard: Option<Sender<Vec<u8>>>,
) -> (Vec<u8>, bool) {
    let mut serial = Vec::new();
    let mut filter = Plain::default();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = output.read(&mut buffer) {
        let piece = filter.push(&buffer[..count]);
        // A full disk or a closed terminal must not end the guest; the text is still judged.
        let _ = log.write_all(&piece);
        if show {
            let _ = io::stdout().write_all(&piece).and_then(|()| io::stdout().flush());
        }
        let typed = typist.heard(&piece);
        if let Some(keyboard) = keyboard.as_ref().filter(|_| !typed.is_empty()) {
            // When QEMU has ended nobody takes it, and the output's end says so.
            let _ = keyboard.send(typed);
        }
        serial.extend(piece);
    }
    (serial, typist.is_done())
}
