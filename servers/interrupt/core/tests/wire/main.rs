//! Lines over models of the machine, in both ways a line can go.
//!
//! | file | what |
//! | --- | --- |
//! | `exclusive` | one owner: authority, edges and levels, the end, reuse |
//! | `shared` | several owners: who is told, who is waited for, who dies |
//! | `trouble` | storms, chips that are late, a kernel that refuses |
//! | `lives` | random lives of many owners, against what their devices want |

mod exclusive;
mod lives;
mod rig;
mod shared;
mod trouble;
