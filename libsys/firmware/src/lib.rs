//! ACPI tables as checked views.
#![no_std]
#![forbid(unsafe_code)]
