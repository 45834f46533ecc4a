//! Calling endpoints.
//!
//! [`ask`] sends a request of a protocol and gives its reply back, typed. [`call`] sends
//! plain words. Serving is in [`crate::server`].

mod buffer;

pub use crate::server::{Answer, Event, Request, Server, Service, serve};

use crate::object::Capability;
use crate::sys;
use buffer::Buffer;
use tocsin_abi::ipc::Tag;
use tocsin_abi::limits::{IPC_HANDLES, IPC_REGISTER_WORDS, IPC_WORDS};
use tocsin_abi::{Error, Handle, Rights};
use tocsin_proto::{DecodeError, Operation, Refusal};

/// Handles that came with a message; those that nobody takes are closed.
pub type Handles = heapless::Vec<Capability, IPC_HANDLES>;
/// Words of a message.
pub type Words = heapless::Vec<u64, IPC_WORDS>;

/// What came back from [`call`].
#[derive(Debug)]
pub struct Reply {
    /// Zero for success, else the protocol's error.
    pub label: u32,
    /// Words.
    pub words: Words,
    /// Handles.
    pub handles: Handles,
}

/// Why [`ask`] has no reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AskError<E> {
    /// The kernel did not carry the message.
    Kernel(Error),
    /// The server said no.
    Refused(E),
    /// The server's reply is not what the protocol says.
    Malformed(DecodeError),
}

impl<E> From<Error> for AskError<E> {
    fn from(error: Error) -> Self {
        AskError::Kernel(error)
    }
}

impl<E> From<Refusal<E>> for AskError<E> {
    fn from(refusal: Refusal<E>) -> Self {
        match refusal {
            Refusal::Refused(error) => AskError::Refused(error),
            Refusal::Malformed(error) => AskError::Malformed(error),
        }
    }
}

impl<E: core::fmt::Display> core::fmt::Display for AskError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            AskError::Kernel(error) => write!(f, "the call failed: {error}"),
            AskError::Refused(error) => error.fmt(f),
            AskError::Malformed(error) => write!(f, "the server's reply makes no sense: {error:?}"),
        }
    }
}

/// Puts words and handles where the kernel takes them; returns the tag and the words that
/// go in registers.
#[inline]
pub(crate) fn load(
    label: u32,
    words: &[u64],
    handles: &[(Handle, Rights)],
) -> Result<(Tag, [u64; IPC_REGISTER_WORDS]), Error> {
    if words.len() > IPC_WORDS || handles.len() > IPC_HANDLES {
        return Err(Error::BadArgument);
    }
    // Written out: a loop over so few costs more than what it does.
    let word = |n: usize| words.get(n).copied().unwrap_or(0);
    let registers = [word(0), word(1), word(2), word(3)];
    if words.len() > IPC_REGISTER_WORDS {
        Buffer::here().put_words(words);
    }
    for (n, &(handle, rights)) in handles.iter().enumerate() {
        Buffer::here().put_handle(n, handle, rights);
    }
    Ok((Tag::new(label, words.len(), handles.len()), registers))
}

/// Takes the handles that came with a message.
#[inline]
pub(crate) fn unload_handles(tag: Tag) -> Handles {
    let mut handles = Handles::new();
    for n in 0..tag.handles().min(IPC_HANDLES) {
        let capability = Capability::own(Buffer::here().handle(n));
        // Can not fail: the count is within the capacity.
        let _ = handles.push(capability);
    }
    handles
}

/// Copies the words that came with a message and returns how many there are.
#[inline]
pub(crate) fn unload_words(tag: Tag, registers: [u64; 4], words: &mut [u64; IPC_WORDS]) -> usize {
    let count = tag.words().min(IPC_WORDS);
    words[..IPC_REGISTER_WORDS].copy_from_slice(&registers);
    if count > IPC_REGISTER_WORDS {
        Buffer::here().take_words(&mut words[..count]);
    }
    count
}

/// Calls an endpoint with plain words and handles (each with the rights it keeps).
///
/// # Errors
/// As `ipc_call`.
pub fn call(
    endpoint: Handle,
    label: u32,
    words: &[u64],
    handles: &[(Handle, Rights)],
) -> Result<Reply, Error> {
    let (tag, [a, b, c, d]) = load(label, words, handles)?;
    let [_, tag, a, b, c, d] = sys::ipc_call(endpoint, tag, a, b, c, d)?.values;
    let tag = Tag(tag);
    let mut all = [0; IPC_WORDS];
    let count = unload_words(tag, [a, b, c, d], &mut all);
    let mut words = Words::new();
    // Can not fail: the count is within the capacity.
    let _ = words.extend_from_slice(&all[..count]);
    Ok(Reply { label: tag.label(), words, handles: unload_handles(tag) })
}

/// Sends a request that brings no handles and gets none back.
///
/// # Errors
/// The kernel's, the server's, or a reply that makes no sense.
#[inline]
pub fn ask<O: Operation>(endpoint: Handle, request: &O) -> Result<O::Reply, AskError<O::Error>> {
    let (tag, registers) = send(endpoint, request, &[])?;
    let count = tag.handles().min(IPC_HANDLES);
    if count > 0 {
        // What nobody wants is closed, whatever else the reply says.
        drop(unload_handles(tag));
    }
    decode_reply::<O>(tag, registers, count)
}

/// Sends a request with handles (each with the rights it keeps) and returns the reply and
/// the handles that came with it.
///
/// # Errors
/// The kernel's, the server's, or a reply that makes no sense.
#[inline]
pub fn ask_with<O: Operation>(
    endpoint: Handle,
    request: &O,
    handles: &[(Handle, Rights)],
) -> Result<(O::Reply, Handles), AskError<O::Error>> {
    let (tag, registers) = send(endpoint, request, handles)?;
    // Owned before anything can fail, so that a bad reply's handles are closed too.
    let handles = unload_handles(tag);
    let reply = decode_reply::<O>(tag, registers, handles.len())?;
    Ok((reply, handles))
}

#[inline]
fn send<O: Operation>(
    endpoint: Handle,
    request: &O,
    handles: &[(Handle, Rights)],
) -> Result<(Tag, [u64; IPC_REGISTER_WORDS]), Error> {
    let frame = request.frame();
    let (tag, [a, b, c, d]) = load(frame.label, &frame.words, handles)?;
    let [_, tag, a, b, c, d] = sys::ipc_call(endpoint, tag, a, b, c, d)?.values;
    Ok((Tag(tag), [a, b, c, d]))
}

#[inline]
fn decode_reply<O: Operation>(
    tag: Tag,
    registers: [u64; IPC_REGISTER_WORDS],
    handles: usize,
) -> Result<O::Reply, AskError<O::Error>> {
    let count = tag.words();
    if count <= IPC_REGISTER_WORDS {
        return Ok(O::decode_reply(tag.label(), &registers[..count], handles)?);
    }
    let mut words = [0; IPC_WORDS];
    let count = unload_words(tag, registers, &mut words);
    Ok(O::decode_reply(tag.label(), &words[..count], handles)?)
}
