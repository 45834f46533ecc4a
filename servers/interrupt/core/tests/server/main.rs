//! The server over models of the machine.
//!
//! | file | what |
//! | --- | --- |
//! | `life`, `blocks`, `trouble` | operations one by one, over each back end with a remapper |
//! | `survey` | the domain tree in pieces |
//! | `crash` | a driver of queue memory that dies between any two steps |
//! | `invariants`, `world`, `habits` | random lives of many messages, over the same |
//! | `vectors` | what is particular to x86 |
//! | `faults` | whose faults are whose, and how they hear |
//! | `direct` | a device whose writes go past the remapper |
//! | `amdvi` | what is particular to an AMD IOMMU |
//! | `events` | what is particular to an ITS |
//! | `unisolated` | what is particular to MBI and to LPIs without an ITS |

mod amdvi;
mod blocks;
mod common;
mod crash;
mod direct;
mod events;
mod faults;
mod habits;
mod invariants;
mod life;
mod survey;
mod trouble;
mod unisolated;
mod vectors;
mod world;
