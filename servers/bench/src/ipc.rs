//! A system call, and a round trip to another process.

use libsys::{Startup, sys};
use tocsin_abi::limits::IPC_WORDS;
use tocsin_abi::{Handle, Rights, Tag};

use crate::arch::counter;
use crate::calibrate::overhead;
use crate::peer::{Bench, HIGH, granted};
use crate::samples::Samples;
use crate::{Outcome, ROUNDS, WARM_UP};

/// The cheapest call.
pub fn null_syscall(_: &Bench) -> Outcome {
    let mut samples = Samples::new();
    for _ in 0..ROUNDS + WARM_UP {
        let before = counter();
        let done = sys::kernel_nop();
        samples.add(counter() - before);
        done.map_err(|_| "kernel_nop failed")?;
    }
    samples.print("null_syscall", overhead());
    Ok(())
}

/// Answers every call with as many words, which are in this thread's buffer already.
pub fn serve(env: &'static Startup) -> Outcome {
    let endpoint = granted(env, "endpoint")?;
    let mut tag = Tag::new(0, 0, 0);
    loop {
        let got = sys::ipc_reply_receive(endpoint, tag, 1, 2, 3, 4).map_err(|_| "receive")?;
        tag = Tag::new(0, Tag(got.values[1]).words(), 0);
    }
}

/// Round trips with an empty and with a full message.
pub fn call_reply(bench: &Bench) -> Outcome {
    let endpoint = sys::endpoint_create().map_err(|_| "no endpoint")?.handle();
    let server = bench.peer("server", HIGH, &[("endpoint", endpoint, Rights::RECEIVE)])?;
    round_trips(endpoint, 0, "ipc_call_reply")?;
    round_trips(endpoint, IPC_WORDS, "ipc_call_reply_full")?;
    drop(server);
    let _ = sys::handle_close(endpoint);
    Ok(())
}

fn round_trips(endpoint: Handle, words: usize, key: &str) -> Outcome {
    let tag = Tag::new(1, words, 0);
    let mut samples = Samples::new();
    for _ in 0..ROUNDS + WARM_UP {
        let before = counter();
        let reply = sys::ipc_call(endpoint, tag, 1, 2, 3, 4);
        samples.add(counter() - before);
        let reply = reply.map_err(|_| "the call failed")?;
        if Tag(reply.values[1]).words() != words {
            return Err("the reply is not as long as the call");
        }
    }
    samples.print(key, overhead());
    Ok(())
}
