//! The servers' IPC protocols.
#![no_std]
#![forbid(unsafe_code)]
