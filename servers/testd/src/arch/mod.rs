//! What an attacker can do on a particular CPU, below any language.
//!
//! An architecture supplies [`ATTACKS`]: instructions that no user program may execute to
//! an end, or that must do it no good, each with what has to become of its process; and
//! [`counter`], the clock's ticks; [`load`], [`store`], [`store32`] and [`jump`], which touch
//! any address at all, with the codes [`DATA_FAULT`] and [`FETCH_FAULT`] of what becomes of
//! that, and the machine code [`RETURN`].

#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
mod machine;

pub use machine::*;

/// What has to become of a process that makes an attack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The kernel kills it for this exception.
    Fault(u64),
    /// The kernel kills it for some exception; which one depends on the model of CPU.
    AnyFault,
    /// It survives, no wiser, and exits with zero.
    Survives,
}

/// One attack of a single process on its CPU.
pub struct Attack {
    /// Name, unique among them.
    pub name: &'static str,
    /// What has to become of it.
    pub fate: Fate,
    /// The attack.
    pub run: fn(),
}
