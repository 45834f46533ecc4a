//! Lines travel whole where they fit.

use super::*;
use crate::fake;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use proptest::prelude::*;
use std::sync::{Mutex, MutexGuard};
use tocsin_proto::{Frame, Nothing, Reply, TEXT_BYTES};

/// The console is one for the process, and tests run side by side.
static ONE: Mutex<()> = Mutex::new(());

/// A console that keeps what it is sent.
fn console() -> (Rc<RefCell<Vec<String>>>, MutexGuard<'static, ()>) {
    let guard = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    fake::reset();
    let lines = Rc::new(RefCell::new(Vec::new()));
    let sink = lines.clone();
    set_console(fake::endpoint(0, move |call| {
        let frame = match console::Request::decode(call.label, &call.words, call.handles.len()) {
            Ok(console::Request::Write(write)) => {
                sink.borrow_mut().push(String::from(write.text.as_str()));
                Nothing.frame()
            }
            Ok(console::Request::Flush(_)) => Nothing.frame(),
            Ok(console::Request::Listen(_) | console::Request::Read(_)) => {
                Frame::refusal(console::Error::NoInput)
            }
            Err(error) => Frame::refusal(console::Error::from(error)),
        };
        fake::Return { frame, handles: Vec::new() }
    }));
    (lines, guard)
}

#[test]
fn a_line_is_one_message() {
    let (lines, _guard) = console();
    crate::println!("{} and {:#x}", 1, 255);
    crate::println!();
    crate::print!("");
    assert_eq!(*lines.borrow(), ["1 and 0xff\n", "\n"]);
    set_console(Handle::NONE);
}

#[test]
fn printing_without_a_console_harms_nobody() {
    let _guard = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    fake::reset();
    set_console(Handle::NONE);
    crate::println!("into the void");
    assert_eq!(log("x"), Err(Error::BadHandle));
}

proptest! {
    #[test]
    fn long_text_arrives_whole(parts in prop::collection::vec("\\PC{0,400}", 0..6)) {
        let (lines, _guard) = console();
        let mut line = Line { text: Text::default() };
        for part in &parts {
            line.write_str(part).expect("takes any text");
        }
        line.send();
        let all = parts.concat();
        prop_assert_eq!(lines.borrow().concat(), all);
        prop_assert!(lines.borrow().iter().all(|piece| piece.len() <= TEXT_BYTES));
        set_console(Handle::NONE);
    }
}
