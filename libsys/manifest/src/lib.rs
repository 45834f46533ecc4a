//! The system manifest.
#![no_std]
#![forbid(unsafe_code)]
