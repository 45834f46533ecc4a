//! Host tests.
#![allow(dead_code)]

mod dice;
mod dispatch;
mod hostile;
mod invariants;
mod platform;
mod queues;
mod snapshot;
mod world;
