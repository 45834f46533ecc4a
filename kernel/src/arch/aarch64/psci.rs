//! Firmware's Power State Coordination Interface (Arm DEN 0022).

use core::sync::atomic::{AtomicU8, Ordering};

use smccc::psci::{self, Error};
use smccc::{Hvc, Smc};
use tocsin_firmware::arm::{Affinity, Conduit};

const NO_CONDUIT: u8 = 0;
const HVC: u8 = 1;
const SMC: u8 = 2;

static CONDUIT: AtomicU8 = AtomicU8::new(NO_CONDUIT);

/// Notes how firmware is called.
pub fn init(conduit: Option<Conduit>) {
    let value = match conduit {
        None => NO_CONDUIT,
        Some(Conduit::Hvc) => HVC,
        Some(Conduit::Smc) => SMC,
    };
    CONDUIT.store(value, Ordering::Relaxed);
}

/// Starts a CPU at a physical address, with the MMU off, in the exception level that firmware
/// has for it. `None`: there is no PSCI.
pub fn cpu_on(cpu: Affinity, entry: u64, context: u64) -> Option<Result<(), Error>> {
    match CONDUIT.load(Ordering::Relaxed) {
        HVC => Some(psci::cpu_on::<Hvc>(cpu.mpidr(), entry, context)),
        SMC => Some(psci::cpu_on::<Smc>(cpu.mpidr(), entry, context)),
        _ => None,
    }
}

/// Powers the machine off. Returns where that can not be done.
pub fn system_off() {
    // What firmware answers does not matter any more.
    let _ = match CONDUIT.load(Ordering::Relaxed) {
        HVC => psci::system_off::<Hvc>(),
        SMC => psci::system_off::<Smc>(),
        _ => return,
    };
}
