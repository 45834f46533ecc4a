//! The direct boot stub.
fn main() {}
