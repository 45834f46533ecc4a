//! Endpoints: what is said arrives, from whom it says, and no death leaves anybody waiting
//! (invariant 1: a badge can not be forged, rights only narrow on their way).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use libsys::ipc::call;
use libsys::sys::{self, Values};
use tocsin_abi::ipc::{RECEIVED_MESSAGE, RECEIVED_PACKET};
use tocsin_abi::limits::{FOREVER, IPC_HANDLES, IPC_WORDS};
use tocsin_abi::packet::PacketKind;
use tocsin_abi::startup::Startup;
use tocsin_abi::{Error, Handle, Rights, Tag};

use crate::answer::answers;
use crate::harness::{Failure, Outcome, check, refused, same};
use crate::kit::{self, Ctx, Own};
use crate::role::{self, Role, granted};
use crate::victim::Plan;
use crate::worker::Worker;

crate::tests![
    ipc_words_0_to_64_arrive,
    ipc_badge_and_label_arrive,
    ipc_handles_arrive_with_the_rights_that_were_sent,
    ipc_handles_that_may_not_travel_are_refused,
    ipc_handles_for_a_full_receiver_are_refused,
    ipc_bad_tags_are_refused,
    ipc_reply_without_caller,
    ipc_refused_reply_keeps_the_caller,
    ipc_packets_and_calls_at_one_place,
    ipc_many_callers_get_their_own_replies,
];

/// Victims of these tests.
pub const ROLES: &[Role] = &[
    Role { name: "echo", run: |env, _| role::code(echo(env)) },
    Role { name: "full_echo", run: |env, _| role::code(full_echo(env)) },
];

/// What a label means to [`serve`], beyond an echo of the words.
pub const ECHO: u32 = 1;
/// Answer with the badge.
const BADGE: u32 = 2;
/// Answer with the rights of each handle that came.
const RIGHTS: u32 = 3;
/// Answer and stop.
const STOP: u32 = 4;

/// A message as `ipc_receive` returned it: badge, tag and first words.
fn message(got: &Values) -> (u64, Tag, [u64; 4]) {
    let v = got.values;
    (v[0], Tag(v[1]), [v[2], v[3], v[4], v[5]])
}

/// Answers calls until told to stop. An echo needs no copy: words from the fifth are in
/// this thread's buffer, from where the reply takes them.
fn serve(endpoint: Handle) -> Result<u64, Error> {
    let mut got = sys::ipc_receive(endpoint)?;
    loop {
        let (badge, tag, [a, b, c, d]) = message(&got);
        got = match tag.label() {
            BADGE => sys::ipc_reply_receive(endpoint, Tag::new(0, 1, 0), badge, 0, 0, 0)?,
            RIGHTS => {
                // Up to four fit the registers; the test sends the others in a second call.
                let mut words = [0; 4];
                for (place, word) in words.iter_mut().enumerate().take(tag.handles()) {
                    *word = received_rights(place)?;
                }
                for place in words.len()..tag.handles() {
                    words[place % 4] |= received_rights(place)? << 32;
                }
                let [a, b, c, d] = words;
                sys::ipc_reply_receive(endpoint, Tag::new(0, 4, 0), a, b, c, d)?
            }
            STOP => {
                sys::ipc_reply(Tag::new(0, 0, 0), 0, 0, 0, 0)?;
                return Ok(0);
            }
            _ => sys::ipc_reply_receive(endpoint, Tag::new(0, tag.words(), 0), a, b, c, d)?,
        };
    }
}

/// Rights of the handle that came in `place`, which is closed.
fn received_rights(place: usize) -> Result<u64, Error> {
    let handle = Own::of(Handle(buffer::handle(place)));
    Ok(sys::handle_info(handle.h())?.values[0] | 1 << 31)
}

/// The IPC buffer of the calling thread, as anybody can find it.
mod buffer {
    use core::mem::offset_of;
    use tocsin_abi::ipc::IpcBuffer;
    use tocsin_abi::limits::STACK_BLOCK_BYTES;

    use crate::arch;

    fn here() -> u64 {
        let local = 0u8;
        core::ptr::from_ref(&local) as u64 & !(STACK_BLOCK_BYTES - 1)
    }

    /// The handle in `place`.
    pub fn handle(place: usize) -> u32 {
        let at = here() + offset_of!(IpcBuffer, handles) as u64 + place as u64 / 2 * 8;
        (arch::load(at) >> (32 * (place % 2))) as u32
    }

    /// Puts one handle with these rights into place 0.
    pub fn put(handle: u32, rights: u16) {
        arch::store(here() + offset_of!(IpcBuffer, handles) as u64, u64::from(handle));
        arch::store(here() + offset_of!(IpcBuffer, rights) as u64, u64::from(rights));
    }
}

/// An endpoint with a server thread behind it.
struct Service {
    endpoint: Own,
    worker: Worker,
}

impl Service {
    fn start(ctx: &Ctx, cpu: u32) -> Result<Service, Failure> {
        let endpoint = kit::endpoint()?;
        let handle = endpoint.h();
        let worker = Worker::start(ctx, cpu, 3, move || {
            let _ = serve(handle);
        })?;
        Ok(Service { endpoint, worker })
    }

    fn stop(self) -> Outcome {
        call(self.endpoint.h(), STOP, &[], &[])?;
        self.worker.join()
    }
}

fn ipc_words_0_to_64_arrive(ctx: &Ctx) -> Outcome {
    let pattern = |round: u64, n: u64| (round << 32 | n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for cpu in 0..ctx.env.cpus {
        let service = Service::start(ctx, cpu)?;
        for count in 0..=IPC_WORDS {
            let words: Vec<u64> = (0..count as u64).map(|n| pattern(count as u64, n)).collect();
            let reply = call(service.endpoint.h(), ECHO, &words, &[])?;
            same(reply.label, 0, "label of the reply")?;
            same(reply.words.as_slice(), words.as_slice(), format_args!("{count} words"))?;
        }
        service.stop()?;
    }
    // The same between two address spaces.
    for cpu in 0..ctx.env.cpus {
        let endpoint = kit::endpoint()?;
        let plan = Plan::new(ctx, "echo")?.grant("there", endpoint.h(), Rights::RECEIVE)?;
        let victim = plan.on_cpu(cpu).start()?;
        for count in [0, 1, 4, 5, 63, 64] {
            let words: Vec<u64> = (0..count).map(|n| pattern(count, n)).collect();
            let reply = call(endpoint.h(), ECHO, &words, &[])?;
            same(reply.words.as_slice(), words.as_slice(), format_args!("{count} words"))?;
        }
        call(endpoint.h(), STOP, &[], &[])?;
        victim.exits_with(0, "the server")?;
    }
    Ok(())
}

fn ipc_badge_and_label_arrive(ctx: &Ctx) -> Outcome {
    let service = Service::start(ctx, ctx.env.cpus - 1)?;
    for badge in [0, 1, 0x1_0000_0001, u64::MAX] {
        let client = kit::badged(service.endpoint.h(), Rights::CALL, badge)?;
        let reply = call(client.h(), BADGE, &[!badge], &[])?;
        same(reply.words.as_slice(), &[badge][..], "the badge that the server saw")?;
    }
    service.stop()
}

fn ipc_handles_arrive_with_the_rights_that_were_sent(ctx: &Ctx) -> Outcome {
    let port = kit::port()?;
    let all = kit::rights_of(port.h())?;
    for cpu in 0..ctx.env.cpus {
        let service = Service::start(ctx, cpu)?;
        for count in 0..=IPC_HANDLES {
            let sent: Vec<(Handle, Rights)> = (0..count)
                .map(|n| (port.h(), if n % 2 == 0 { Rights::SIGNAL } else { all }))
                .collect();
            let words = call(service.endpoint.h(), RIGHTS, &[], &sent)?.words;
            for (n, (_, rights)) in sent.iter().enumerate() {
                let found = words[n % 4] >> (32 * (n / 4)) & 0xffff_ffff;
                let wanted = u64::from(rights.bits()) | 1 << 31;
                same(found, wanted, format_args!("handle {n} of {count}"))?;
            }
        }
        service.stop()?;
    }
    sys::port_signal(port.h(), 1)?;
    same(kit::poll(&port)?.value, 1, "our own handle is what it was")
}

fn ipc_handles_that_may_not_travel_are_refused(ctx: &Ctx) -> Outcome {
    let port = kit::port()?;
    let fixed = kit::duplicate(port.h(), Rights::SIGNAL | Rights::DUPLICATE)?;
    let signal = kit::duplicate(port.h(), Rights::SIGNAL | Rights::TRANSFER)?;
    let dead = kit::port()?.close();
    let service = Service::start(ctx, ctx.env.cpus - 1)?;
    let count = kit::handle_count();
    for (bad, error) in [
        ((fixed.h(), Rights::SIGNAL), Error::MissingRight),
        ((signal.h(), Rights::WAIT), Error::Widening),
        ((dead, Rights::empty()), Error::BadHandle),
        ((Handle::NONE, Rights::empty()), Error::BadHandle),
        ((Handle(u32::MAX), Rights::empty()), Error::BadHandle),
    ] {
        for place in [0, 3, IPC_HANDLES - 1] {
            let mut sent = [(signal.h(), Rights::SIGNAL); IPC_HANDLES];
            sent[place] = bad;
            let result = call(service.endpoint.h(), RIGHTS, &[], &sent);
            refused(result, error, format_args!("bad handle in place {place}"))?;
        }
    }
    same(kit::handle_count(), count, "no handle of a refused message arrived")?;
    service.stop()
}

/// Fills its handle table as far as its budget goes, then answers.
fn full_echo(env: &'static Startup) -> Result<u64, Error> {
    let port = kit::port()?;
    loop {
        match sys::handle_duplicate(port.h(), Rights::SIGNAL, 0) {
            Ok(_) => {}
            Err(Error::NoMemory | Error::NoHandles) => break,
            Err(error) => return Err(error),
        }
    }
    role::ready(env)?;
    serve(granted(env, "there"))
}

fn ipc_handles_for_a_full_receiver_are_refused(ctx: &Ctx) -> Outcome {
    let (endpoint, up) = (kit::endpoint()?, kit::port()?);
    let victim = Plan::with_budget(ctx, "full_echo", 512 << 10)?
        .grant("there", endpoint.h(), Rights::RECEIVE)?
        .grant("up", up.h(), Rights::SIGNAL)?
        .start()?;
    kit::next(&up)?;
    let sent = [(up.h(), Rights::SIGNAL); IPC_HANDLES];
    let answer = call(endpoint.h(), ECHO, &[1], &sent).err();
    let expected = matches!(answer, Some(Error::NoMemory | Error::NoHandles));
    check(expected, format_args!("a full receiver: {answer:?}"))?;
    let reply = call(endpoint.h(), ECHO, &[7], &[])?;
    same(reply.words.as_slice(), &[7][..], "the server serves on")?;
    call(endpoint.h(), STOP, &[], &[])?;
    victim.exits_with(0, "the server")
}

fn ipc_bad_tags_are_refused(_: &Ctx) -> Outcome {
    let endpoint = kit::endpoint()?;
    for tag in [
        Tag::new(0, IPC_WORDS + 1, 0),
        Tag::new(0, 255, 0),
        Tag::new(0, 0, IPC_HANDLES + 1),
        Tag::new(0, 0, 15),
        Tag(1 << 44),
        Tag(1 << 63),
        Tag(u64::MAX),
    ] {
        let called = sys::ipc_call(endpoint.h(), tag, 0, 0, 0, 0);
        refused(called, Error::BadArgument, format_args!("call with tag {:#x}", tag.0))?;
        let replied = sys::ipc_reply(tag, 0, 0, 0, 0);
        refused(replied, Error::BadArgument, format_args!("reply with tag {:#x}", tag.0))?;
        let both = sys::ipc_reply_receive(endpoint.h(), tag, 0, 0, 0, 0);
        refused(both, Error::BadArgument, format_args!("both with tag {:#x}", tag.0))?;
    }
    Ok(())
}

/// Serves the endpoint that it was given.
fn echo(env: &'static Startup) -> Result<u64, Error> {
    serve(granted(env, "there"))
}

fn ipc_reply_without_caller(ctx: &Ctx) -> Outcome {
    let none = Tag::new(0, 0, 0);
    refused(sys::ipc_reply(none, 0, 0, 0, 0), Error::NoCaller, "nobody called")?;
    let endpoint = kit::endpoint()?;
    let handle = endpoint.h();
    let answer = answers(ctx, 0, move || call(handle, ECHO, &[3], &[]).err())?;
    let got = sys::ipc_reply_receive(endpoint.h(), none, 0, 0, 0, 0)?;
    same((got.result, got.values[2]), (RECEIVED_MESSAGE, 3), "the reply is dropped, a call comes")?;
    sys::ipc_reply(none, 0, 0, 0, 0)?;
    refused(sys::ipc_reply(none, 0, 0, 0, 0), Error::NoCaller, "replied already")?;
    answer.is(None, "the caller")
}

fn ipc_refused_reply_keeps_the_caller(ctx: &Ctx) -> Outcome {
    let endpoint = kit::endpoint()?;
    let fixed = kit::duplicate(endpoint.h(), Rights::CALL)?;
    let handle = endpoint.h();
    let answer = answers(ctx, ctx.env.cpus - 1, move || call(handle, ECHO, &[1], &[]).err())?;
    sys::ipc_receive(endpoint.h())?;
    let one = Tag::new(0, 0, 1);
    buffer::put(fixed.h().0, 0);
    refused(sys::ipc_reply(one, 0, 0, 0, 0), Error::MissingRight, "a handle that may not travel")?;
    let both = sys::ipc_reply_receive(endpoint.h(), one, 0, 0, 0, 0);
    refused(both, Error::MissingRight, "the same, and no receive")?;
    buffer::put(u32::MAX, 0);
    refused(sys::ipc_reply(one, 0, 0, 0, 0), Error::BadHandle, "no handle")?;
    sys::ipc_reply(Tag::new(0, 0, 0), 0, 0, 0, 0)?;
    answer.is(None, "the caller")
}

fn ipc_packets_and_calls_at_one_place(ctx: &Ctx) -> Outcome {
    let (endpoint, port, other) = (kit::endpoint()?, kit::port()?, kit::port()?);
    sys::endpoint_bind(endpoint.h(), port.h())?;
    let again = sys::endpoint_bind(endpoint.h(), other.h());
    refused(again, Error::AlreadyBound, "a second port")?;
    let elsewhere = kit::endpoint()?;
    let again = sys::endpoint_bind(elsewhere.h(), port.h());
    refused(again, Error::AlreadyBound, "a second endpoint")?;
    sys::port_signal(port.h(), 0x55)?;
    let got = sys::ipc_receive(endpoint.h())?;
    same(got.result, RECEIVED_PACKET, "a packet that was there")?;
    same(got.values[1], (PacketKind::Signal as u64) << 32 | 1, "kind and count")?;
    same(got.values[3], 0x55, "value")?;
    for cpu in 0..ctx.env.cpus {
        // One that comes while the receiver waits, and a call between two of them.
        let (endpoint_there, port_there) = (endpoint.h(), port.h());
        let worker = Worker::start(ctx, cpu, 3, move || {
            for n in 1..=20 {
                let _ = sys::port_signal(port_there, n);
                let _ = call(endpoint_there, ECHO, &[n], &[]);
            }
        })?;
        let (mut calls, mut signals) = (0, 0);
        while calls < 20 {
            let got = sys::ipc_receive(endpoint.h())?;
            if got.result == RECEIVED_PACKET {
                signals += got.values[1] & 0xffff_ffff;
            } else {
                calls += 1;
                same(got.values[2], calls, "calls in order")?;
                sys::ipc_reply(Tag::new(0, 0, 0), 0, 0, 0, 0)?;
            }
        }
        worker.join()?;
        while kit::poll(&port).is_ok_and(|packet| {
            signals += u64::from(packet.count);
            true
        }) {}
        same(signals, 20, format_args!("signals from CPU {cpu}"))?;
    }
    // Nobody may sit at the port while it belongs to the endpoint and wait for ever.
    let port_there = port.h();
    let late = answers(ctx, 0, move || sys::port_wait(port_there, 0, 1, FOREVER).err())?;
    kit::sleep(2_000_000);
    sys::port_signal(port.h(), 1)?;
    late.code().map(drop)
}

fn ipc_many_callers_get_their_own_replies(ctx: &Ctx) -> Outcome {
    const EACH: u64 = 100;
    let service = Service::start(ctx, 0)?;
    let wrong = Arc::new(AtomicU64::new(0));
    let mut workers = Vec::new();
    for n in 0..u64::from(ctx.env.cpus) * 3 {
        let (handle, wrong) = (service.endpoint.h(), wrong.clone());
        workers.push(Worker::start(ctx, n as u32 % ctx.env.cpus, 2, move || {
            for round in 0..EACH {
                let words = [n << 32 | round; 6];
                let good = call(handle, ECHO, &words, &[]).is_ok_and(|r| r.words[..] == words[..]);
                wrong.fetch_add(u64::from(!good), SeqCst);
            }
        })?);
    }
    for worker in workers {
        worker.join()?;
    }
    same(wrong.load(SeqCst), 0, "replies that were somebody else's")?;
    service.stop()
}
