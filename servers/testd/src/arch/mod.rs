//! What an attacker can do on a particular CPU, below any language.
//!
//! An architecture supplies [`KERNEL_TESTS`] and [`SERVER_TESTS`] of what others do not have; [`ATTACKS`]: instructions that no user program may execute to
//! an end, or that must do it no good, each with what has to become of its process; and
//! [`counter`], the clock's ticks; [`load`], [`store`], [`store32`] and [`jump`], which touch
//! any address at all, with the codes [`DATA_FAULT`] and [`FETCH_FAULT`] of what becomes of
//! that, and the machine code [`RETURN`]; of the vector space [`VECTORS_ARE_SHARED`],
//! [`LAST_VECTOR`], [`NO_VECTORS`] that no device can have although they may lie within,
//! [`first_quiet_vector`] of a long row that no device of ours raises, [`vectors`], all or
//! very many, and [`can_be_level`]; and [`UNUSED_LINE`], an interrupt line that no device of ours has; and [`forged_pairs`], that nobody was given, made after one that somebody was.

#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64/mod.rs")]
mod machine;

pub use machine::*;

/// What has to become of a process that makes an attack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The kernel kills it for this exception.
    Fault(u64),
    /// The kernel kills it for some exception; which one depends on the model of CPU.
    AnyFault,
    /// The kernel kills it for this exception, or it survives, where the model of CPU does not
    /// check.
    #[allow(dead_code, reason = "not every architecture has such")]
    MayFault(u64),
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
