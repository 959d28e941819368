//! metalsim binary.
fn main() {}
