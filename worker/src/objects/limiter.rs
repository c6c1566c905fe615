//! The Limiter: the exact state of one limit scope.
//!
//! Loads its rows once, calls `weir_core::limit::limiter`, stores what it decided. Stage: shell.
#![expect(missing_docs, reason = "the macro of Durable Objects makes items without documentation")]

use super::rows::Rows;
use crate::host;
use core::cell::RefCell;
use weir_core::limit::limiter::{self, TABLE};
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

/// The Durable Object.
#[durable_object]
pub struct Limiter {
    rows: Rows,
    limiter: RefCell<Option<limiter::Limiter>>,
}

impl DurableObject for Limiter {
    fn new(state: State, _env: Env) -> Self {
        Self { rows: Rows::open(&state, &[TABLE]), limiter: RefCell::new(None) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let message = request.bytes().await?;
        let mut slot = self.limiter.borrow_mut();
        let mut limiter = match slot.take() {
            Some(limiter) => limiter,
            None => limiter::Limiter::load(&self.rows.all(TABLE)?).map_err(|problem| problem.to_string())?,
        };
        let handled = limiter.handle(host::now(), &message);
        // A failed write leaves the slot empty: the next message reads the rows anew.
        self.rows.write(&handled.writes)?;
        *slot = Some(limiter);
        Response::from_bytes(handled.reply)
    }
}
