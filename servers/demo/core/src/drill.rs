//! What a driver has its device do, and what must come of it.
//!
//! Generic over the [`Rig`], so that the drill itself is tested against rigs that lose,
//! double, invent and misdirect interrupts. Every wait is bounded: what does not come is
//! a mismatch, not a hang.

use core::fmt;

use crate::ledger::{Ledger, Mismatch};

const MILLISECOND: u64 = 1_000_000;
/// How long a packet may take after its write. An emulator on a busy host lets a CPU wait for
/// more than a second; what is lost does not come later either.
pub const ANSWER_NS: u64 = 10_000 * MILLISECOND;
/// How long nothing must come before a port counts as quiet.
pub const QUIET_NS: u64 = 5 * MILLISECOND;
/// The same where silence is what is to be shown.
pub const SILENCE_NS: u64 = 20 * MILLISECOND;
/// Writes of a burst.
pub const BURST: u32 = 3;

/// A packet of the driver's port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Key of the slot.
    pub key: u64,
    /// Events that it stands for.
    pub events: u64,
}

/// What the device did when it was told to raise a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Raised {
    /// It wrote the message.
    Written,
    /// The slot is masked: it wrote nothing.
    Masked,
}

/// A device and its driver's port.
pub trait Rig {
    /// What can go wrong with the device or the port themselves.
    type Error;

    /// Has the device raise the message with this key once; returns when it has.
    ///
    /// # Errors
    /// The device did something else, or did not answer.
    fn fire(&mut self, key: u64) -> Result<Raised, Self::Error>;

    /// The next packet, or `None` after `patience_ns`; zero polls.
    ///
    /// # Errors
    /// The port can not be waited on.
    fn next(&mut self, patience_ns: u64) -> Result<Option<Arrival>, Self::Error>;
}

/// Why a drill stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure<E> {
    /// Delivery is not what it must be.
    Mismatch(Mismatch),
    /// The device was to write and did not, or the other way round.
    Mask {
        /// Key of the slot.
        key: u64,
        /// What the device did.
        did: Raised,
    },
    /// A packet came although everything was masked or blocked.
    Noise(Arrival),
    /// The rig failed.
    Rig(E),
}

impl<E> From<Mismatch> for Failure<E> {
    fn from(mismatch: Mismatch) -> Self {
        Failure::Mismatch(mismatch)
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Mismatch(mismatch) => write!(f, "mismatch: {mismatch}"),
            Failure::Mask { key, did: Raised::Written } => {
                write!(f, "key {key}: masked, and the device wrote the message")
            }
            Failure::Mask { key, did: Raised::Masked } => {
                write!(f, "key {key}: not masked, and the device wrote nothing")
            }
            Failure::Noise(packet) => {
                write!(f, "key {}: a packet came where silence was due", packet.key)
            }
            Failure::Rig(error) => error.fmt(f),
        }
    }
}

fn fire<R: Rig>(rig: &mut R, key: u64, wanted: Raised) -> Result<(), Failure<R::Error>> {
    let did = rig.fire(key).map_err(Failure::Rig)?;
    if did == wanted { Ok(()) } else { Err(Failure::Mask { key, did }) }
}

fn write<R: Rig>(rig: &mut R, ledger: &mut Ledger, key: u64) -> Result<(), Failure<R::Error>> {
    // Booked first: the packet may be here before the device has answered.
    ledger.fire(key)?;
    fire(rig, key, Raised::Written)
}

/// Books what comes until nothing has come for [`QUIET_NS`].
///
/// # Errors
/// A packet that no write explains, or the rig's.
pub fn settle<R: Rig>(rig: &mut R, ledger: &mut Ledger) -> Result<(), Failure<R::Error>> {
    while let Some(packet) = rig.next(QUIET_NS).map_err(Failure::Rig)? {
        ledger.packet(packet.key, packet.events)?;
    }
    Ok(())
}

/// Fires each slot alone: exactly one packet of one event, under its own key, each time.
///
/// # Errors
/// The first slot where it is not so.
pub fn singles<R: Rig>(
    rig: &mut R,
    ledger: &mut Ledger,
    keys: impl Iterator<Item = u64>,
) -> Result<(), Failure<R::Error>> {
    for key in keys {
        write(rig, ledger, key)?;
        answer(rig, ledger, key)?;
    }
    // Everything is closed: whatever still comes is one too many.
    settle(rig, ledger)
}

/// Takes the one packet that must come for `key`.
fn answer<R: Rig>(rig: &mut R, ledger: &mut Ledger, key: u64) -> Result<(), Failure<R::Error>> {
    if let Some(packet) = rig.next(ANSWER_NS).map_err(Failure::Rig)? {
        ledger.packet_for(key, packet.key, packet.events)?;
    }
    Ok(ledger.close_single(key)?)
}

/// Fires each slot [`BURST`] times before it waits: a packet must come after the last
/// write. At every other slot the port is emptied just before that write, so that no
/// earlier packet can stand in for it. Leaves the books open; see [`close`].
///
/// # Errors
/// The first slot where nothing came, or a packet that no write explains.
pub fn bursts<R: Rig>(
    rig: &mut R,
    ledger: &mut Ledger,
    keys: impl Iterator<Item = u64>,
) -> Result<(), Failure<R::Error>> {
    for (n, key) in keys.enumerate() {
        for _ in 1..BURST {
            write(rig, ledger, key)?;
        }
        if n % 2 == 1 {
            while let Some(packet) = rig.next(0).map_err(Failure::Rig)? {
                ledger.packet(packet.key, packet.events)?;
            }
        }
        let before = ledger.account(key).delivered();
        write(rig, ledger, key)?;
        while ledger.account(key).delivered() == before {
            let Some(packet) = rig.next(ANSWER_NS).map_err(Failure::Rig)? else {
                return Err(ledger.lost(key).into());
            };
            ledger.packet(packet.key, packet.events)?;
        }
    }
    settle(rig, ledger)
}

/// Closes bursts, once nothing can be in flight any more.
///
/// # Errors
/// A slot that was fired and brought nothing.
pub fn close(ledger: &mut Ledger, mut keys: impl Iterator<Item = u64>) -> Result<(), Mismatch> {
    keys.try_for_each(|key| ledger.close_burst(key))
}

/// Fires masked slots: the device must write nothing and nothing may come.
///
/// # Errors
/// A slot that wrote, or a packet.
pub fn masked<R: Rig>(
    rig: &mut R,
    keys: impl Iterator<Item = u64>,
) -> Result<(), Failure<R::Error>> {
    for key in keys {
        fire(rig, key, Raised::Masked)?;
    }
    silence(rig)
}

/// Fires slots whose messages the remapper blocks: the device writes, nothing may come.
///
/// # Errors
/// A packet.
pub fn blocked<R: Rig>(
    rig: &mut R,
    ledger: &mut Ledger,
    keys: impl Iterator<Item = u64>,
) -> Result<(), Failure<R::Error>> {
    for key in keys {
        ledger.stop(key)?;
        fire(rig, key, Raised::Written)?;
    }
    silence(rig)
}

/// Takes the one packet that stands for all that was stopped while `key` was blocked:
/// nothing is lost across a block (DESIGN §4, invariant 2).
///
/// # Errors
/// No packet, more than one, or another slot's.
pub fn resumed<R: Rig>(
    rig: &mut R,
    ledger: &mut Ledger,
    key: u64,
) -> Result<(), Failure<R::Error>> {
    ledger.resume(key)?;
    answer(rig, ledger, key)
}

fn silence<R: Rig>(rig: &mut R) -> Result<(), Failure<R::Error>> {
    match rig.next(SILENCE_NS).map_err(Failure::Rig)? {
        None => Ok(()),
        Some(packet) => Err(Failure::Noise(packet)),
    }
}

#[cfg(test)]
#[path = "drill_tests.rs"]
mod tests;
