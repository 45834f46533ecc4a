//! Running other programs: found in PATH, with a time limit, their failure told in one line.

use anyhow::{Context, Result, bail};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Where `program` is in PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// What a captured program printed, both streams in one text.
pub struct Captured {
    pub status: Option<ExitStatus>,
    pub text: String,
}

impl Captured {
    /// Whether the program ended in time and well.
    pub fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// Why it did not, in a few words: the first line that is marked as an error, or the last.
    pub fn reason(&self) -> String {
        let Some(status) = self.status else { return "no answer in time".into() };
        let mut lines = self.text.lines().map(str::trim).filter(|line| !line.is_empty());
        let marked =
            |line: &&str| ["error:", "E:", "Error:"].iter().any(|mark| line.starts_with(mark));
        match lines.clone().find(marked).or_else(|| lines.next_back()) {
            Some(line) => line.to_string(),
            None => status.to_string(),
        }
    }
}

/// Waits for `child` at most `limit`, then kills it. `None` means that it was killed.
pub fn wait(child: &mut Child, limit: Option<Duration>) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if limit.is_some_and(|limit| start.elapsed() >= limit) {
            // SIGKILL: under `-icount sleep=off` an idle QEMU may ignore SIGTERM.
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs `command` with its output captured, for at most `limit`.
pub fn capture(command: &mut Command, limit: Duration) -> Result<Captured> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", name(command)))?;
    let readers = [
        child.stdout.take().map(|stream| read_all(Box::new(stream))),
        child.stderr.take().map(|stream| read_all(Box::new(stream))),
    ];
    let status = wait(&mut child, Some(limit))?;
    let text = readers.into_iter().flatten().filter_map(|reader| reader.join().ok()).collect();
    Ok(Captured { status, text })
}

fn read_all(mut stream: Box<dyn Read + Send>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A read error ends the text early; the exit status still tells how the program ended.
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Runs `command`, which shows its own progress, and fails when it fails.
pub fn run(command: &mut Command, what: &str) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {}", name(command)))?;
    if !status.success() {
        bail!("{what} failed ({})", name(command));
    }
    Ok(())
}

fn name(command: &Command) -> String {
    Path::new(command.get_program())
        .file_name()
        .map_or_else(|| "a program".into(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_both_streams_and_the_status() {
        let captured = capture(
            Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]),
            Duration::from_secs(10),
        )
        .expect("sh runs");
        assert!(captured.text.contains("out") && captured.text.contains("err"));
        assert_eq!(captured.status.and_then(|status| status.code()), Some(3));
        assert!(!captured.success());
    }

    #[test]
    fn kills_what_takes_too_long() {
        let start = Instant::now();
        let captured = capture(Command::new("sleep").arg("30"), Duration::from_millis(100))
            .expect("sleep runs");
        assert!(captured.status.is_none());
        assert_eq!(captured.reason(), "no answer in time");
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn reason_is_the_error_rather_than_what_follows_it() {
        let script = "echo start; echo 'error: no server'; echo 16: backtrace; exit 1";
        let captured = capture(Command::new("sh").args(["-c", script]), Duration::from_secs(10));
        assert_eq!(captured.expect("sh runs").reason(), "error: no server");
        let captured = capture(
            Command::new("sh").args(["-c", "echo a; echo b; exit 1"]),
            Duration::from_secs(10),
        );
        assert_eq!(captured.expect("sh runs").reason(), "b");
    }

    #[test]
    fn finds_only_programs() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-of-ours").is_none());
    }
}
