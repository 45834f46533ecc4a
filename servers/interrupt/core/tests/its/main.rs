//! The ITS back end over the register-level model.

mod acts;
mod late;
mod lives;
mod rig;
mod unit;
