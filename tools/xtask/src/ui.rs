//! Progress: a spinner on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Prints a line for people. It goes to standard error: standard output is for results.
pub fn say(text: impl AsRef<str>) {
    eprintln!("xtask: {}", text.as_ref());
}

/// A step that takes a while. On a terminal it spins until it ends; elsewhere it is one line at
/// the start and one at the end.
pub struct Step {
    what: String,
    bar: Option<ProgressBar>,
    start: Instant,
}

impl Step {
    pub fn start(what: impl Into<String>) -> Self {
        let what = what.into();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("xtask: {spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.set_message(what.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            say(format!("{what} ..."));
        }
        Self { what, bar, start: Instant::now() }
    }

    /// Ends the step and says how long it took.
    pub fn done(self) {
        self.end("done");
    }

    /// Ends the step with another word than "done".
    pub fn end(self, how: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        say(format!("{}: {how} ({:.1} s)", self.what, self.start.elapsed().as_secs_f64()));
    }
}
