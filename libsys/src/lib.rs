//! What a driver or server author sees.
#![no_std]
#![forbid(unsafe_code)]
