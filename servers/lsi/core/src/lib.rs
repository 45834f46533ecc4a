//! What the `lsi` driver knows about its chip, without touching one.
//!
//! The LSI53C895A is a SCSI controller whose SCRIPTS processor fetches instructions by
//! DMA. A four-byte *memory move* whose destination is a message address raises that
//! message, so every short script is a slot of an interrupt message store: the pair
//! is the move's destination and the word that it moves. Section titles in the comments
//! are those of the *LSI53C895A PCI to Ultra2 SCSI Controller Technical Manual*.
//!
//! * [`instruction`]: the two instructions that we use, encoded and strictly decoded
//! * [`slot`]: the 32 bytes of a slot and the code with which its script ends
//! * [`registers`]: the registers that start a script and show how it ended
//! * [`plan`]: keys of the slots, and the order in which they take turns
//! * [`model`]: a processor that runs such scripts over plain memory, for tests
#![no_std]
#![forbid(unsafe_code)]

pub mod address;
pub mod instruction;
pub mod model;
pub mod plan;
pub mod registers;
pub mod slot;

pub use address::{AddressError, BusAddress};
pub use instruction::{DecodeError, Instruction, When};
pub use model::{Memory, Stop};
pub use plan::Plan;
pub use registers::{DmaStatus, Register};
pub use slot::{Ending, SlotId, Store};
