//! The testd server.
fn main() {}
