//! What only an Arm machine has: the header of a Linux `Image`, and translation tables in the format
//! of VMSAv8-64. *Arm ARM* is the Arm Architecture Reference Manual, DDI 0487.

pub mod image;
pub mod registers;
pub mod tables;
