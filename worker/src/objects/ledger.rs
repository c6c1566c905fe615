//! The Ledger: the usage records of one shard of an account, and their sums.
//!
//! Keeps nothing in memory: for each message it reads the rows that core wants, calls `weir_core::ledger`, and
//! stores what it decided. Stage: shell.
#![expect(missing_docs, reason = "the macro of Durable Objects makes items without documentation")]

use super::rows::Rows;
use crate::host;
use weir_core::ledger::{Plan, TABLES};
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

/// The Durable Object.
#[durable_object]
pub struct Ledger {
    rows: Rows,
}

impl DurableObject for Ledger {
    fn new(state: State, _env: Env) -> Self {
        Self { rows: Rows::open(&state, &TABLES) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let message = request.bytes().await?;
        let plan = Plan::new(host::now(), &message);
        let mut rows = Vec::with_capacity(plan.reads().len());
        for read in plan.reads() {
            rows.push(self.rows.read(read)?);
        }
        let handled = plan.handle(&rows);
        self.rows.write(&handled.writes)?;
        Response::from_bytes(handled.reply)
    }
}
