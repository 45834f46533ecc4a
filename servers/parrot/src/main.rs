//! Says what it hears: reads the lines that are typed at the console and answers each.
//!
//! For tests of input. `late` among its arguments: it lets what is typed pile up for a while
//! first, and goes on printing meanwhile.
#![no_std]
#![no_main]

extern crate alloc;

use libsys::Startup;
use libsys::input::{Input, InputError};
use libsys::log;
use libsys::object::now_ns;
use libsys::startup::Environment;

libsys::entry!(main);

/// Its last word.
const END: &str = "bye";
/// A longer line is only counted.
const SHORT: usize = 40;
/// How often it prints before it listens, if it is late, and how far apart.
const LINES_WHILE_LATE: u32 = 20;
const PAUSE_NS: u64 = 100_000_000;

const EXIT_NOT_GIVEN: u64 = 2;
const EXIT_DEAF: u64 = 3;

/// What was heard so far.
#[derive(Default)]
struct Heard {
    lines: u64,
    bytes: u64,
    /// Fletcher's sum of all bytes: sees what is lost, doubled or out of order.
    sum: (u32, u32),
}

fn main(env: &'static Startup) -> u64 {
    let Some(console) = env.handle("console") else { return EXIT_NOT_GIVEN };
    let input = match Input::listen(console) {
        Ok(input) => input,
        Err(error) => return deaf(error),
    };
    log!("say something");
    if env.args().contains("late") {
        for count in 1..=LINES_WHILE_LATE {
            pause();
            log!("not listening yet ({count})");
        }
    }
    let mut heard = Heard::default();
    loop {
        let line = match input.line() {
            Ok(line) => line,
            Err(error) => return deaf(error),
        };
        let line = line.as_str();
        if line == END {
            break;
        }
        heard.take(line);
        if line.len() <= SHORT {
            log!("heard \"{line}\"");
        }
    }
    let Heard { lines, bytes, sum: (low, high) } = heard;
    log!("{lines} lines, {bytes} bytes, sum {:#x}", high << 16 | low);
    0
}

impl Heard {
    fn take(&mut self, line: &str) {
        self.lines += 1;
        self.bytes += line.len() as u64;
        for byte in line.bytes() {
            self.sum.0 = (self.sum.0 + u32::from(byte)) % 0xffff;
            self.sum.1 = (self.sum.1 + self.sum.0) % 0xffff;
        }
    }
}

fn deaf(error: InputError) -> u64 {
    log!("hears nothing: {error}");
    EXIT_DEAF
}

fn pause() {
    if let Ok(port) = libsys::object::Port::new() {
        // Nothing ever comes to it.
        let _ = port.wait_until(now_ns().saturating_add(PAUSE_NS));
    }
}
