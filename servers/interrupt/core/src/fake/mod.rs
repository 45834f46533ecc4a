//! Models of the machine, for this crate's tests and for its users' tests.
//!
//! [`VtdModel`] is a VT-d unit at register level: it caches entries as long as it may,
//! checks the source of every message, and notes each step of its driver that the
//! specification does not allow. [`FakeKernel`] is the kernel's side: a vector table, events
//! that stay pending in a CPU until they are taken, and failures on demand. [`FakeMachine`]
//! joins the two: a device writes a pair, and packets come out, or not. [`ItsModel`] is the
//! same for aarch64: a GICv3 ITS that executes its command queue out of memory, the LPI side
//! of its redistributors, and CPUs that acknowledge what is pending.
//!
//! Written from the specification, not from the driver: formats are decoded with this
//! crate's own strict decoders, whose constants are checked by hand elsewhere.

mod its;
mod its_bring_up;
mod its_commands;
mod its_memory;
mod its_registers;
mod kernel;
mod machine;
mod memory;
mod vtd;
mod vtd_registers;

pub use its::{ItsDrop, ItsModel, ItsOptions, ItsOutcome};
pub use its_bring_up::{FakeItsUnit, ItsSetup};
pub use its_memory::ItsRegion;
pub use its_registers::{ItsFrame, RedistributorFrame};
pub use kernel::{FakeError, FakeHandle, FakeKernel, FakeState, KernelCall};
pub use machine::{
    FakeConfig, FakeMachine, FakeUnit, ItsServer, Landed, PlainServer, VtdServer, fake_config,
    fake_device_id,
};
pub use memory::ModelRegion;
pub use vtd::{MessageOutcome, VtdModel, VtdOptions};
pub use vtd_registers::ModelRegisters;
