//! Waiting on a port, `async`: several things of one driver at once, on one thread.
//!
//! A [`Reactor`] owns the waiting on one port. Futures wait for packets of one key or for a
//! time; [`Reactor::block_on`] runs one future, [`Reactor::run`] several. For a plain loop
//! there is [`Port::wait`](crate::object::Port::wait).
//!
//! A packet that nobody waits for is kept, folded with later ones of its kind and key just
//! as the port does, so that none is lost between two waits and memory stays bounded by
//! the number of sources.

use crate::object::{Port, now_ns};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::Future;
use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use tocsin_abi::limits::FOREVER;
use tocsin_abi::{Error, Packet, PacketKind};

/// Packets taken from the port at once.
const BATCH: usize = 16;

/// What a packet is about.
type Source = (u32, u64);

/// Hands the packets of one port to the futures that wait for them.
#[derive(Debug)]
pub struct Reactor {
    port: Port,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    packets: BTreeMap<Source, Packet>,
    waiting: BTreeMap<Source, Waker>,
    sleepers: Vec<(u64, Waker)>,
}

impl State {
    /// Takes a packet in, and wakes who waits for it.
    fn arrive(&mut self, packet: Packet) {
        let source = (packet.kind, packet.key);
        let all = self.packets.entry(source).or_insert(Packet { count: 0, value: 0, ..packet });
        all.count = all.count.saturating_add(packet.count);
        all.value |= packet.value;
        if let Some(waker) = self.waiting.remove(&source) {
            waker.wake();
        }
    }

    /// Wakes who slept until now, and returns the next one's time.
    fn tick(&mut self, now: u64) -> u64 {
        self.sleepers.retain(|(deadline, waker)| {
            let over = *deadline <= now;
            if over {
                waker.wake_by_ref();
            }
            !over
        });
        self.sleepers.iter().map(|(deadline, _)| *deadline).min().unwrap_or(FOREVER)
    }
}

impl Reactor {
    /// A reactor over a port that nobody else waits on.
    #[must_use]
    pub fn new(port: Port) -> Reactor {
        Reactor { port, state: RefCell::default() }
    }

    /// The port, to bind things to.
    pub const fn port(&self) -> &Port {
        &self.port
    }

    /// Waits for the next packet of a message bound under `key`.
    pub fn message(&self, key: u64) -> PacketFuture<'_> {
        self.packet(PacketKind::Message, key)
    }

    /// Waits for the next packet of this kind and key. One future at a time per kind and
    /// key: a second one takes the first one's place.
    pub fn packet(&self, kind: PacketKind, key: u64) -> PacketFuture<'_> {
        PacketFuture { reactor: self, source: (kind as u32, key) }
    }

    /// Waits until `deadline_ns` on the kernel's clock.
    pub fn sleep_until(&self, deadline_ns: u64) -> SleepFuture<'_> {
        SleepFuture { reactor: self, deadline_ns }
    }

    /// Runs a future to its end.
    ///
    /// # Errors
    /// As `port_wait`, when the port is gone.
    pub fn block_on<F: Future>(&self, future: F) -> Result<F::Output, Error> {
        let mut future = pin!(future);
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        loop {
            while woken.take() {
                if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                    return Ok(output);
                }
            }
            self.wait()?;
        }
    }

    /// Runs several futures until all have ended.
    ///
    /// # Errors
    /// As `port_wait`, when the port is gone.
    pub fn run(&self, tasks: Vec<Pin<Box<dyn Future<Output = ()> + '_>>>) -> Result<(), Error> {
        let mut tasks: Vec<_> =
            tasks.into_iter().map(|task| (task, Arc::new(Flag(AtomicBool::new(true))))).collect();
        loop {
            let mut is_quiet = true;
            tasks.retain_mut(|(task, woken)| {
                if !woken.take() {
                    return true;
                }
                is_quiet = false;
                let waker = Waker::from(woken.clone());
                task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
            });
            if tasks.is_empty() {
                return Ok(());
            }
            // A task may have woken one before it: sleep only after a round without work.
            if is_quiet {
                self.wait()?;
            }
        }
    }

    /// Waits for packets or the next sleeper.
    fn wait(&self) -> Result<(), Error> {
        let deadline = self.state.borrow_mut().tick(now_ns());
        let mut packets = [Packet::default(); BATCH];
        match self.port.wait(&mut packets, deadline) {
            Ok(count) => {
                let mut state = self.state.borrow_mut();
                packets[..count].iter().for_each(|&packet| state.arrive(packet));
            }
            Err(Error::TimedOut) => {
                self.state.borrow_mut().tick(now_ns());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// See [`Reactor::packet`].
#[must_use = "futures do nothing unless awaited"]
#[derive(Debug)]
pub struct PacketFuture<'a> {
    reactor: &'a Reactor,
    source: Source,
}

impl Future for PacketFuture<'_> {
    type Output = Packet;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Packet> {
        let mut state = self.reactor.state.borrow_mut();
        if let Some(packet) = state.packets.remove(&self.source) {
            return Poll::Ready(packet);
        }
        state.waiting.insert(self.source, context.waker().clone());
        Poll::Pending
    }
}

/// See [`Reactor::sleep_until`].
#[must_use = "futures do nothing unless awaited"]
#[derive(Debug)]
pub struct SleepFuture<'a> {
    reactor: &'a Reactor,
    deadline_ns: u64,
}

impl Future for SleepFuture<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if now_ns() >= self.deadline_ns {
            return Poll::Ready(());
        }
        let sleeper = (self.deadline_ns, context.waker().clone());
        let mut state = self.reactor.state.borrow_mut();
        // Polled again before its time: the same sleeper, not one more.
        if !state.sleepers.iter().any(|(at, waker)| *at == sleeper.0 && waker.will_wake(&sleeper.1))
        {
            state.sleepers.push(sleeper);
        }
        Poll::Pending
    }
}

/// A waker that leaves a flag for the one thread there is.
struct Flag(AtomicBool);

impl Flag {
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
