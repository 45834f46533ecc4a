//! The init server.
fn main() {}
