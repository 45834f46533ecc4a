//! Servers over servers.
//!
//! | file | what |
//! | --- | --- |
//! | `levels` | a machine, the server over its remapper, a child of that, and a child of the child |
//! | `steps` | one thing after the other, over each remapper |
//! | `errors` | a parent that refuses every step with every error |
//! | `subsystems` | sets of devices: who belongs, quotas, the end of all |
//! | `lives` | random lives on two levels, over VT-d and an ITS |

mod errors;
mod levels;
mod lives;
mod steps;
mod subsystems;
