//! Which guests are running: spinners on a terminal, nothing elsewhere; one line as each ends.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub struct Progress {
    // It draws on standard error, and only when that is a terminal.
    bars: MultiProgress,
    total: usize,
    ended: AtomicUsize,
    start: Instant,
}

impl Progress {
    /// For `total` guests.
    pub fn new(total: usize) -> Self {
        Self {
            bars: MultiProgress::new(),
            total,
            ended: AtomicUsize::new(0),
            start: Instant::now(),
        }
    }

    /// A guest starts.
    pub fn start(&self, name: &str) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("      {spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(name.to_string());
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    /// A guest has ended: `text` says how.
    pub fn end(&self, bar: ProgressBar, text: &str) {
        bar.finish_and_clear();
        self.bars.remove(&bar);
        let number = self.ended.fetch_add(1, Ordering::Relaxed) + 1;
        let width = self.total.to_string().len();
        self.bars.suspend(|| println!("[{number:width$}/{}] {text}", self.total));
    }

    /// All have ended.
    pub fn finish(&self) {
        println!("{} scenario variants in {:.0} s", self.total, self.start.elapsed().as_secs_f64());
    }
}
