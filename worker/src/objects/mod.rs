//! The Durable Objects: each loads rows, calls core, stores rows in one transaction, answers.
//!
//! Decides nothing: what a message means is core's (`control`, `limit::limiter`, `ledger`). Stage: shell.

mod ledger;
mod limiter;
mod registry;
mod rows;

pub use ledger::Ledger;
pub use limiter::Limiter;
pub use registry::Registry;
