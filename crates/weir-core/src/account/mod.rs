//! Stage 7: what an exchange used and what it cost.
//!
//! Decides token counts, cost and the batches in which records travel; not how the ledger sums them (`ledger`).

pub mod batch;
pub mod chars;
pub mod observe;
pub mod price;
pub mod record;
pub mod usage;
