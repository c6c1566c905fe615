//! Whole exchanges and simulations through the public API and the harness only.
#[cfg(test)]
mod bad_input;
