//! Ports: one packet per source, nothing lost, nothing twice (invariants 2 and 3).

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use libsys::sys;
use tocsin_abi::limits::{FOREVER, PAGE_BYTES, USER_END, WAIT_PACKETS};
use tocsin_abi::packet::PacketKind;
use tocsin_abi::{Error, Handle, Packet, Rights};

use crate::arch;
use crate::harness::{Failure, Outcome, check, refused, same, wrong};
use crate::kit::{self, Ctx, Own, RW};
use crate::worker::Worker;

crate::tests![
    port_signal_coalesces_into_one_packet,
    port_signal_keeps_every_bit_across_cpus,
    port_signal_of_nothing_is_refused,
    port_wait_takes_many_sources_in_order,
    port_wait_capacity_has_limits,
    port_wait_refuses_bad_buffers_and_keeps_the_packets,
    port_wait_keeps_its_deadline,
    port_wait_wakes_at_once,
    port_second_waiter_is_told_busy,
    port_waiter_hears_that_the_port_is_gone,
    port_first_ticks_is_the_first_event,
];

fn port_signal_coalesces_into_one_packet(_: &Ctx) -> Outcome {
    let port = kit::port()?;
    refused(kit::poll(&port), Error::TimedOut, "a new port is empty")?;
    for bit in 0..40 {
        sys::port_signal(port.h(), 1 << bit)?;
    }
    let packet = kit::poll(&port)?;
    same(packet.kind, PacketKind::Signal as u32, "kind")?;
    same((packet.key, packet.value), (0, (1 << 40) - 1), "key and bits")?;
    same(packet.count, 40, "events")?;
    refused(kit::poll(&port), Error::TimedOut, "one packet only")?;
    sys::port_signal(port.h(), 1 << 63)?;
    let packet = kit::poll(&port)?;
    same((packet.count, packet.value), (1, 1 << 63), "counted afresh")
}

fn port_signal_keeps_every_bit_across_cpus(ctx: &Ctx) -> Outcome {
    const EACH: u64 = 2000;
    let port = kit::port()?;
    let mut workers = alloc::vec::Vec::new();
    for cpu in 0..ctx.env.cpus {
        let handle = port.h();
        workers.push(Worker::start(ctx, cpu, 2, move || {
            for n in 0..EACH {
                let _ = sys::port_signal(handle, 1 << (n % 64));
            }
        })?);
    }
    let wanted = EACH * u64::from(ctx.env.cpus);
    let (mut events, mut bits) = (0, 0);
    while events < wanted {
        let packet = kit::next(&port).map_err(|_| wrong(events))?;
        events += u64::from(packet.count);
        bits |= packet.value;
    }
    same((events, bits), (wanted, u64::MAX), "signals seen, bits seen")?;
    for worker in workers {
        worker.join()?;
    }
    refused(kit::poll(&port), Error::TimedOut, "and no more")
}

fn port_signal_of_nothing_is_refused(_: &Ctx) -> Outcome {
    let port = kit::port()?;
    refused(sys::port_signal(port.h(), 0), Error::BadArgument, "no bits")?;
    refused(kit::poll(&port), Error::TimedOut, "and no packet")
}

/// A page for packets at a known place.
struct Page {
    _memory: Own,
    address: u64,
}

impl Page {
    fn new(address: u64, how: Rights) -> Result<Page, Error> {
        let memory = kit::memory(PAGE_BYTES)?;
        sys::memory_map(Handle::NONE, memory.h(), address, 0, PAGE_BYTES, how)?;
        Ok(Page { _memory: memory, address })
    }

    fn packet(&self, index: u64) -> Packet {
        let at = self.address + index * Packet::BYTES as u64;
        let second = arch::load(at + 8);
        Packet {
            key: arch::load(at),
            count: second as u32,
            kind: (second >> 32) as u32,
            first_ticks: arch::load(at + 16),
            value: arch::load(at + 24),
        }
    }
}

/// A port with `count` timers that have fired, under keys 0, 1, 2...
fn fired(count: u64) -> Result<(Own, alloc::vec::Vec<Own>), Error> {
    let port = kit::port()?;
    let mut timers = alloc::vec::Vec::new();
    for key in 0..count {
        let timer = kit::timer(&port, key)?;
        sys::timer_set(timer.h(), 1)?;
        timers.push(timer);
    }
    kit::sleep(3_000_000);
    Ok((port, timers))
}

fn port_wait_takes_many_sources_in_order(_: &Ctx) -> Outcome {
    const COUNT: u64 = 100;
    let (port, timers) = fired(COUNT)?;
    let page = Page::new(0x5300_0000_0000, RW)?;
    let (mut seen, mut next) = (0u128, 0);
    for (capacity, wanted) in [(1, 1), (10, 10), (WAIT_PACKETS as u64, 64), (64, 25)] {
        let got = sys::port_wait(port.h(), page.address, capacity, 0)?;
        same(got.result, wanted, format_args!("packets for a capacity of {capacity}"))?;
        let v = got.values;
        let first = Packet::from_values([v[0], v[1], v[2], v[3]]);
        let rest = (0..wanted - 1).map(|index| page.packet(index));
        for packet in core::iter::once(first).chain(rest) {
            same((packet.kind, packet.count), (PacketKind::Timer as u32, 1), packet.key)?;
            check(packet.key < COUNT && seen >> packet.key & 1 == 0, "each source once")?;
            seen |= 1 << packet.key;
            next += 1;
        }
    }
    same(next, COUNT, "packets in all")?;
    refused(kit::poll(&port), Error::TimedOut, "and no more")?;
    drop(timers);
    Ok(())
}

fn port_wait_capacity_has_limits(_: &Ctx) -> Outcome {
    let port = kit::port()?;
    sys::port_signal(port.h(), 1)?;
    let page = Page::new(0x5300_0000_0000, RW)?;
    refused(sys::port_wait(port.h(), page.address, 0, 0), Error::BadSize, "capacity 0")?;
    for capacity in [u64::MAX, 1 << 32, 1 << 59] {
        match sys::port_wait(port.h(), page.address, capacity, 0) {
            Ok(got) => {
                same(got.result, 1, "takes at most 64")?;
                sys::port_signal(port.h(), 1)?;
            }
            Err(error) => same(error, Error::BadSize, format_args!("capacity {capacity:#x}"))?,
        }
    }
    same(kit::poll(&port)?.value, 1, "the packet is still there")
}

fn port_wait_refuses_bad_buffers_and_keeps_the_packets(_: &Ctx) -> Outcome {
    let (port, timers) = fired(4)?;
    let page = Page::new(0x5300_0000_0000, RW)?;
    let read_only = Page::new(0x5300_0010_0000, Rights::READ)?;
    let last = page.address + PAGE_BYTES - Packet::BYTES as u64;
    for (buffer, error, what) in [
        (page.address + 1, Error::Misaligned, "odd"),
        (page.address + 4, Error::Misaligned, "half a word"),
        (0, Error::BadAddress, "null"),
        (0x5300_0020_0000, Error::BadAddress, "not mapped"),
        (read_only.address, Error::BadAddress, "read only"),
        (last, Error::BadAddress, "over the end of the mapping"),
        (USER_END - 32, Error::BadAddress, "over the end of user space"),
        (USER_END, Error::BadAddress, "above user space"),
        (0x8000_0000_0000, Error::BadAddress, "not canonical"),
        (0xffff_8000_0000_0000, Error::BadAddress, "kernel half"),
        (0xffff_ffff_8000_0000, Error::BadAddress, "kernel image"),
        (u64::MAX - 31, Error::BadAddress, "wraps around"),
        (fired as *const () as u64 & !7, Error::BadAddress, "our code"),
    ] {
        refused(sys::port_wait(port.h(), buffer, 4, 0), error, what)?;
        refused(sys::port_wait(port.h(), buffer, 64, FOREVER), error, what)?;
    }
    // With a capacity of one the buffer is not used, whatever it is.
    sys::port_wait(port.h(), 0xffff_8000_0000_0001, 1, 0)?;
    let got = sys::port_wait(port.h(), page.address, 64, 0)?;
    same(got.result, 3, "the refused waits took no packet")?;
    drop(timers);
    Ok(())
}

fn port_wait_keeps_its_deadline(_: &Ctx) -> Outcome {
    let port = kit::port()?;
    for wait_ns in [0, 100_000, 3_000_000, 20_000_000] {
        let start = kit::now();
        let waited = sys::port_wait(port.h(), 0, 1, start + wait_ns);
        refused(waited, Error::TimedOut, wait_ns)?;
        let took = kit::now() - start;
        check(took >= wait_ns, format_args!("{took} ns, asked for {wait_ns}"))?;
        let late = took < wait_ns + 2_000_000_000;
        check(late, format_args!("{took} ns, asked for {wait_ns}"))?;
    }
    // A deadline long past is a poll: it takes what is there.
    sys::port_signal(port.h(), 2)?;
    let got = sys::port_wait(port.h(), 0, 1, 1)?;
    same(got.values[3], 2, "a packet beats a deadline")
}

fn port_wait_wakes_at_once(ctx: &Ctx) -> Outcome {
    // A ping-pong over two ports that nothing but the signals themselves can finish.
    const ROUNDS: u64 = 300;
    for cpu in 0..ctx.env.cpus {
        let (ping, pong) = (kit::port()?, kit::port()?);
        let (ping_handle, pong_handle) = (ping.h(), pong.h());
        let worker = Worker::start(ctx, cpu, 2, move || {
            for _ in 0..ROUNDS {
                if sys::port_wait(ping_handle, 0, 1, FOREVER).is_ok() {
                    let _ = sys::port_signal(pong_handle, 1);
                }
            }
        })?;
        for round in 0..ROUNDS {
            sys::port_signal(ping.h(), 1)?;
            let answer = kit::next(&pong);
            check(answer.is_ok(), format_args!("CPU {cpu} round {round}: no answer"))?;
        }
        worker.join()?;
    }
    Ok(())
}

fn port_second_waiter_is_told_busy(ctx: &Ctx) -> Outcome {
    let port = kit::port()?;
    let got = Arc::new(AtomicU64::new(0));
    let (handle, seen) = (port.h(), got.clone());
    let worker = Worker::start(ctx, 0, 2, move || {
        if let Ok(values) = sys::port_wait(handle, 0, 1, FOREVER) {
            seen.store(values.values[3], SeqCst);
        }
    })?;
    // Until the worker waits, a poll finds nothing and comes back.
    let deadline = kit::now() + kit::PATIENCE_NS;
    while sys::port_wait(port.h(), 0, 1, 0) != Err(Error::Busy) {
        check(kit::now() < deadline, "nobody is told that the port is busy")?;
        kit::sleep(1_000_000);
    }
    refused(sys::port_wait(port.h(), 0, 1, FOREVER), Error::Busy, "a second waiter")?;
    sys::port_signal(port.h(), 9)?;
    worker.join()?;
    same(got.load(SeqCst), 9, "the first waiter got the packet")
}

fn port_waiter_hears_that_the_port_is_gone(ctx: &Ctx) -> Outcome {
    for cpu in 0..ctx.env.cpus {
        // A worker that comes too late finds no port at all: then once more.
        let (mut answer, mut tries) = (Error::BadHandle as u64, 0);
        while answer == Error::BadHandle as u64 && tries < 50 {
            answer = gone_while_waiting(ctx, cpu)?;
            tries += 1;
        }
        same(answer, Error::PeerDied as u64, format_args!("answer on CPU {cpu}"))?;
    }
    Ok(())
}

/// Closes a port at which a worker waits; what the worker hears.
fn gone_while_waiting(ctx: &Ctx, cpu: u32) -> Result<u64, Failure> {
    let root = kit::port()?;
    let waiting = kit::duplicate(root.h(), Rights::WAIT)?;
    let answer = Arc::new(AtomicU64::new(0));
    let (handle, seen) = (waiting.h(), answer.clone());
    let worker = Worker::start(ctx, cpu, 2, move || {
        let result = sys::port_wait(handle, 0, 1, FOREVER);
        seen.store(result.err().map_or(0, |error| error as u64), SeqCst);
    })?;
    kit::sleep(5_000_000);
    drop((root, waiting));
    worker.join()?;
    Ok(answer.load(SeqCst))
}

fn port_first_ticks_is_the_first_event(_: &Ctx) -> Outcome {
    let port = kit::port()?;
    let before = arch::counter();
    sys::port_signal(port.h(), 1)?;
    let after = arch::counter();
    kit::sleep(1_000_000);
    sys::port_signal(port.h(), 1)?;
    let packet = kit::poll(&port)?;
    let first = packet.first_ticks;
    check(
        (before..=after).contains(&first),
        format_args!("ticks {first}, signalled between {before} and {after}"),
    )
}
