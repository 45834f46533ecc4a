//! The interrupt server.
fn main() {}
