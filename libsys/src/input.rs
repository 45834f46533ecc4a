//! What people type at the machine's serial port, in lines.

use crate::ipc::{AskError, ask, ask_with};
use crate::object::Port;
use tocsin_abi::limits::FOREVER;
use tocsin_abi::{Handle, Rights};
use tocsin_proto::Text;
use tocsin_proto::console::{self, Listen, Read};

/// Why there is no line.
pub type InputError = AskError<console::Error>;

/// The keyboard, until another program takes it.
#[derive(Debug)]
pub struct Input {
    console: Handle,
    port: Port,
}

impl Input {
    /// Takes it over: lines that nobody has read, and those to come. `console` is the endpoint
    /// with that name on the startup page.
    ///
    /// # Errors
    /// `NoInput` where nothing can be typed.
    pub fn listen(console: Handle) -> Result<Input, InputError> {
        let port = Port::new()?;
        ask_with(console, &Listen, &[(port.handle(), Rights::SIGNAL)])?;
        Ok(Input { console, port })
    }

    /// Waits for a line, for ever.
    ///
    /// # Errors
    /// `NotListening` when another program has taken over; `NoInput` when nothing can be typed any
    /// more.
    pub fn line(&self) -> Result<Text, InputError> {
        self.line_until(FOREVER)
    }

    /// Waits for a line until `deadline_ns` on the kernel's clock.
    ///
    /// # Errors
    /// As `line`; `TimedOut` when none came.
    pub fn line_until(&self, deadline_ns: u64) -> Result<Text, InputError> {
        loop {
            if let Some(line) = ask(self.console, &Read)?.line {
                return Ok(line);
            }
            // One packet for any number of lines. The console sends one as well when there will
            // be none.
            self.port.wait_until(deadline_ns)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use alloc::vec::Vec;
    use tocsin_abi::Error;
    use tocsin_proto::console::{Request, Typed};
    use tocsin_proto::{Frame, Nothing, Reply};

    /// A console at which these lines are typed; then somebody else listens.
    fn console(lines: &[&'static str]) -> Handle {
        fake::reset();
        let mut rest: Vec<&str> = lines.iter().rev().copied().collect();
        fake::endpoint(0, move |call| {
            let frame = match Request::decode(call.label, &call.words, call.handles.len()) {
                Ok(Request::Listen(_)) => Nothing.frame(),
                Ok(Request::Read(_)) => match rest.pop() {
                    Some(line) => Typed { line: Some(Text::split(line).0) }.frame(),
                    None => Frame::refusal(console::Error::NotListening),
                },
                other => panic!("{other:?}"),
            };
            fake::Return { frame, handles: Vec::new() }
        })
    }

    #[test]
    fn lines_come_until_another_listens() {
        let input = Input::listen(console(&["one", ""])).expect("there is one");
        assert_eq!(input.line().map(|line| line.as_str().len()), Ok(3));
        assert_eq!(input.line().map(|line| line.as_str().len()), Ok(0));
        assert_eq!(input.line(), Err(AskError::Refused(console::Error::NotListening)));
    }

    #[test]
    fn a_wait_has_an_end() {
        fake::reset();
        let silent = fake::endpoint(0, |call| {
            let frame = match Request::decode(call.label, &call.words, call.handles.len()) {
                Ok(Request::Read(_)) => Typed { line: None }.frame(),
                _ => Nothing.frame(),
            };
            fake::Return { frame, handles: Vec::new() }
        });
        let input = Input::listen(silent).expect("there is one");
        assert_eq!(input.line_until(0), Err(AskError::Kernel(Error::TimedOut)));
    }
}
