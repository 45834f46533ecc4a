//! What only a PC has: the PVH start info, the ACPI root pointer in low memory, the direct map of
//! whole gibibytes.

pub mod rsdp;
pub mod start_info;
pub mod tables;
