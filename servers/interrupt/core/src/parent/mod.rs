//! A remapper that is another interrupt server: what a guest's virtual remapper is to it.
//!
//! The server here (the *child*) speaks the protocol of `tocsin_proto::interrupt` to another
//! one (its *parent*), as its clients speak to it, and hands on what it gets. Its own clients
//! see no difference. It has no message control and no hardware: quotas, devices and clients
//! are its own, and everything behind a pair is the parent's.
//!
//! | here | what it is |
//! | --- | --- |
//! | entry | one of the parent's messages: its id, its pair, and its handle until it is handed on |
//! | CPU event | what the parent's last answer said |
//! | activate, deactivate, affinity, block, unblock, free | the parent's, at once: its reply is the proof |
//! | flush of a dead message | `Free` up there, tried again until the parent agrees or knows it no more |
//! | every refusal | the parent's own, unchanged ([`Refusal`]) |
//!
//! The parent may be a child itself.
//!
//! # Decision: how a child learns that a message has ended above
//!
//! The kernel tells the server with the message control when the last handle without
//! `CONTROL` is gone. If the child kept its handle, that would be the last one, and the death
//! of a driver below would never be heard of up there. So:
//!
//! * **The child keeps none.** It hands the handle on and closes its own; what the driver holds
//!   is then derived from the parent's, and counts there as any driver's does. A driver's
//!   death, the child's death with a handle still in its hands, a reply that nobody took: each
//!   is an *orphaned* packet at the top, and the hardware is safe without the child's help.
//! * **The child is told when it matters, and otherwise asks.** When a driver of its has died,
//!   `init` signals the port that it gave the child (a signal waits for nobody), and the child
//!   asks about its messages ([`Step::Look`] at each). A driver that lives and closes a handle
//!   without a `Free` is known above only. The child finds out when it forwards the next step of
//!   that message (`BadId`, and the record goes), and before it tells that client that it has no
//!   room: until then a record too many hurts nobody.
//!
//! Not chosen: a handle without rights that does not count (the kernel would count two kinds of
//! handles, for this alone); a packet from the parent for each end (a queue of them in the
//! parent, which a child could fail to empty, and a port of a stranger's in its hands); `init`
//! alone (it knows of deaths, not of closed handles).
//!
//! The same for storms: the parent blocks the message and says so when it is looked at; an
//! `Unblock` is forwarded without a look at what was known here.

mod connection;
mod entries;
mod handles;

pub use connection::{Above, Connection, FaultsAbove, Given, Refusal, Seen, Step};
pub use entries::{Parent, ParentBlock, ParentEntry, ParentEvent, ParentSetup};
pub use handles::ParentHandles;
