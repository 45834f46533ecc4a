//! The interrupt server's core.
#![no_std]
#![forbid(unsafe_code)]
