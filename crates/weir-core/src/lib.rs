//! Weir's pure core: everything the gateway decides, and nothing that it performs.
//!
//! Data flows one way: **wire → auth → route → limit → policy → attempt → translate → account**. A stage uses the
//! types of earlier stages and of the base files (`time`, `id`, `units`, `snapshot`, `object`), never of later
//! ones. [`exchange`] sits above all stages and alone knows their order; [`control`], [`limit::limiter`] and
//! [`ledger`] are the logic of the three Durable Objects.
//!
//! **Purity contract.** Given the same configuration, state, time, random word and event, core returns the
//! same answer on every machine. It reads no clock, no randomness, no environment, and performs no I/O: time
//! and randomness arrive with each event, and what shall be done leaves as plain data.
#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm
)]
#![cfg_attr(
    test,
    expect(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::float_arithmetic,
        reason = "tests compute expected values freely; a wrong one fails the test"
    )
)]

extern crate alloc;

// Base: words that every stage speaks.
pub mod id;
pub mod json;
pub mod object;
pub mod snapshot;
pub mod sorted;
pub mod time;
pub mod units;

// The stages, in the order data flows.
pub mod account;
pub mod attempt;
pub mod auth;
pub mod limit;
pub mod policy;
pub mod route;
pub mod simulate;
pub mod surface;
pub mod translate;
pub mod wire;

// Errors, and the only place where they become HTTP.
pub mod error;
pub mod reply;

// Above the stages.
pub mod exchange;

// The logic of the Durable Objects (the limiter's is in `limit`).
pub mod control;
pub mod ledger;
pub mod seal;
pub mod sigv4;
