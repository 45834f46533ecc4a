//! What an architecture provides. The only place with `cfg(target_arch)`.
//!
//! | item | meaning |
//! | --- | --- |
//! | `_start` | where the loader enters; calls `boot::start` on a good stack |
//! | `early_init`, `early_print` | the early console, before there are servers; text to it |
//! | `end(success)` | power off or halt; never returns |
//! | `Firmware` | what the firmware says of CPUs and interrupt controllers; `read` and `devices` |
//! | `FIRST_FRAME`, `START_UP_BYTES` | frames the allocator must not have; how many of them CPUs need to start |
//! | `load_kernel_tables` | leave the loader's page tables for the kernel's own |
//! | `write_back` | make memory hold what the caches hold, for who reads it without them |
//! | `cpu_index`, `cpu_index_or_zero` | this CPU's number; the second also before start-up |
//! | `Frame`, `FRAME_BYTES` | saved registers of a thread, laid out for the entry code |
//! | `init_boot_cpu`, `start_cpus` | bring up this CPU; bring up the others |
//! | `open_cycle_counter` | let user mode count cycles, on CPUs that come up from now on |
//! | `cpu_features` | what the CPU has beyond the least, for the banner |
//! | `enter(frame)` | leave the kernel to a thread whose space is loaded; every way into it ends here |
//! | `idle` | wait for an interrupt with nothing to run |
//! | `load_space`, `leave_space` | switch address space; to the kernel's own |
//! | `set_frame`, `current_frame` | where the next entry saves registers; where this one did |
//! | `paging` | page tables: create, plan, map, unmap, translate |
//! | `now`, `ticks_per_second`, `arm_timer` | the counter and this CPU's timer |
//! | `poke`, `end_of_interrupt(vector)`, `pause` | interrupt controller and spin hint |
//! | `in_register` | a pointer, in the way in which its fields are reached fastest |
//! | `in_service` | whether an interrupt of this vector is being taken |
//! | `take_forged_interrupt` | whether an exception is none, but a device's message |
//! | `exception_name`, `fault_address` | what a user's exception was, and about which address |
//! | `PHYSICAL_BYTES` | physical addresses there can be |
//! | `io_read`, `io_write`, `IO_PORTS` | I/O ports and their number, or `NotSupported` and none |
//! | `vector_space`, `vector_places`, `vector_place`, `hardware_id` | the vectors that devices can have, the size of their table, where one is in it, what remappers call a CPU |
//! | `check_level`, `complete`, `set_private` | vectors that the interrupt controller holds back until they are completed, or none |

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
