//! metalsim.
