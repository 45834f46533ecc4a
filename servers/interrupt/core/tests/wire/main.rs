//! Lines over models of the machine, in both ways a line can go.
//!
//! | file | what |
//! | --- | --- |
//! | `exclusive` | one owner: authority, edges and levels, the end, reuse |
//! | `shared` | several owners: who is told, who is waited for, who dies |
//! | `late` | owners that do not answer |
//! | `trouble` | storms, chips that are late, a kernel that refuses |
//! | `private` | lines that each CPU has for itself |
//! | `lives` | random lives of many owners, against what their devices want |

mod exclusive;
mod late;
mod lives;
mod private;
mod rig;
mod shared;
mod trouble;
