//! Whole exchanges and simulations through the public API and the harness only.
#![cfg_attr(
    test,
    expect(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "a test stops at what it does not expect"
    )
)]

mod agree;
mod bad_input;
mod classifier;
mod contract;
mod contract_databricks;
mod exchanges;
mod faults;
mod filtered;
mod fleet;
mod fuzz;
mod guardrails;
mod hedging;
mod messages;
mod own_words;
mod parts;
mod peers;
mod replay;
mod responding;
mod responses;
mod simulation;
mod tables;
mod told;
mod translate;
