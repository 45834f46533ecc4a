//! A model of the machine for tests on the host: kernel objects, device memory, and the
//! interrupt and PCI servers.
//!
//! The model belongs to the calling thread, so that tests run side by side; [`reset`]
//! starts a new one. What happens is written down ([`take_trace`]), so that a test can say
//! in which order things must happen. Time stands still until somebody waits for it.
//!
//! It covers ports, messages, endpoints with a handler instead of a receiving thread,
//! memory, timers, the clock and handles with their rights. Processes and threads are not
//! modelled: those calls answer `NotSupported`.

mod device;
mod dispatch;
mod interrupt_server;
mod ipc;
mod kernel;
pub(crate) mod machine;
mod objects;
mod pci_server;
mod wires;

pub use device::DeviceMemory;
pub use interrupt_server::{FakeInterrupts, Limits};
pub use kernel::{
    Call, Incoming, Return, device_write, endpoint, handle_count, incoming, reset, take_replies,
    take_trace, trace,
};
pub use pci_server::FakePci;
