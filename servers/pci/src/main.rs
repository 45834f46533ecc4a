//! The pci server.
fn main() {}
