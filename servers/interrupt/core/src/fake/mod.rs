//! Models of the machine, for this crate's tests and for its users' tests.
//!
//! [`VtdModel`] is a VT-d unit at register level: it caches entries as long as it may,
//! checks the source of every message, and notes each step of its driver that the
//! specification does not allow. [`FakeKernel`] is the kernel's side: a vector table, events
//! that stay pending in a CPU until they are taken, and failures on demand. [`FakeMachine`]
//! joins the two: a device writes a pair, and packets come out, or not. [`AmdViModel`] is an AMD
//! IOMMU, which caches device table entries too, and entries that are off. [`ItsModel`] is the
//! same for aarch64: a GICv3 ITS that executes its command queue out of memory, the LPI side
//! of its redistributors, and CPUs that acknowledge what is pending; its redistributors also
//! take LPIs directly, without it. [`GicdModel`] is a GICv3 distributor, with wires and messages. [`IoApicModel`] is a chip
//! that turns edges and levels of its pins into messages.
//!
//! Written from the specification, not from the driver: formats are decoded with this
//! crate's own strict decoders, whose constants are checked by hand elsewhere.

mod amdvi;
mod amdvi_memory;
mod amdvi_registers;
mod direct_lpi;
mod gicd;
mod gicd_registers;
mod ioapic;
mod its;
mod its_bring_up;
mod its_commands;
mod its_memory;
mod its_registers;
mod kernel;
mod lines;
mod machine;
mod memory;
mod parent;
mod vtd;
mod vtd_registers;

pub use amdvi::{AmdViModel, AmdViOptions};
pub use amdvi_memory::AmdViRegion;
pub use amdvi_registers::AmdViModelRegisters;
pub use direct_lpi::FakeDirectLpiUnit;
pub use gicd::{GicdModel, GicdOptions};
pub use gicd_registers::GicdFrame;
pub use ioapic::{ChipOptions, IoApicModel, ModelChip, Sent};
pub use its::{ItsDrop, ItsModel, ItsOptions, ItsOutcome};
pub use its_bring_up::{FakeItsUnit, ItsSetup};
pub use its_memory::ItsRegion;
pub use its_registers::{ItsFrame, RedistributorFrame};
pub use kernel::{FakeError, FakeHandle, FakeKernel, FakeState, KernelCall};
pub use lines::{FakeLines, FakeWay, LINE_CHIP, LineStep};
pub use machine::{
    AmdViServer, DirectLpiServer, FakeAmdViUnit, FakeConfig, FakeMachine, FakeMbiUnit, FakeUnit,
    ItsServer, Landed, MbiServer, PlainServer, VtdServer, fake_config, fake_device_id,
};
pub use memory::ModelRegion;
pub use parent::{ModelParent, refusal};
pub use vtd::{MessageOutcome, VtdModel, VtdOptions};
pub use vtd_registers::ModelRegisters;
