//! The kernel's one state, and who may touch it.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

use kernel_core::Kernel;

use crate::arch;
use crate::machine::Machine;

/// The kernel as this crate runs it.
pub type System = Kernel<Machine>;

struct Shared(UnsafeCell<MaybeUninit<System>>);

// SAFETY: `get` is called by the boot CPU before others run, and after that only between
// `sync::enter` and `sync::leave`: a local context touches only what is homed on its own
// CPU, an exclusive one runs alone.
unsafe impl Sync for Shared {}

static KERNEL: Shared = Shared(UnsafeCell::new(MaybeUninit::uninit()));

/// Sets the state. Once, by the boot CPU, before anything uses it.
pub fn install(system: System) {
    // SAFETY: nobody uses the state yet.
    unsafe { (*KERNEL.0.get()).write(system) };
}

/// The state. Its fields are cells; see `Shared` for who may be here.
#[inline(always)]
pub fn get() -> &'static System {
    let system = arch::in_register(KERNEL.0.get().cast::<System>());
    // SAFETY: 1. `install` comes first in `boot`. 2. only shared references exist.
    unsafe { &*system }
}
