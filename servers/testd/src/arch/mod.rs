//! What an attacker can do on a particular CPU, below any language.
//!
//! An architecture supplies [`ATTACKS`]: instructions that no user program may execute to
//! an end, or that must do it no good, each with what has to become of its process; and
//! [`counter`], [`load`], [`store`] and [`jump`], which touch any address at all, with [`PAGE_FAULT`] and
//! the machine code [`RETURN`].

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

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
