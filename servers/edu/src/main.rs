//! The edu server.
fn main() {}
