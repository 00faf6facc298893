//! The `diffidence` program.
fn main() {}
