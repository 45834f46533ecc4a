//! What the demonstration counts and prints, without hardware.
#![no_std]
#![forbid(unsafe_code)]
