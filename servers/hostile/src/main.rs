//! The hostile server.
fn main() {}
