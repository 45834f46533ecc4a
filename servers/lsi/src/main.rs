//! The lsi server.
fn main() {}
