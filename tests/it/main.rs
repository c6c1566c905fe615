//! Whole exchanges and simulations through the public API and the harness only.
mod bad_input;
