//! Host tests.

mod asids;
mod authority;
mod budget;
mod caps;
mod dice;
mod dispatch;
mod escalate;
mod fast;
mod hostile;
mod invariants;
mod ipc;
mod memory;
mod message;
mod message_model;
mod message_ops;
mod platform;
mod port;
mod queues;
mod sched;
mod shared;
mod snapshot;
mod stage1;
mod teardown;
mod timers;
mod world;
mod world_events;
