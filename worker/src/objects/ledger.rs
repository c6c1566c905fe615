//! The Ledger: the usage records of one shard of an account, and their sums.
//!
//! Keeps nothing in memory: for each message it reads the rows that core wants, calls `weir_core::ledger`, and
//! stores what it decided. Where a bucket is bound it then puts what waits for it, object by object. Stage: shell.
#![expect(missing_docs, reason = "the macro of Durable Objects makes items without documentation")]

use super::rows::Rows;
use crate::host;
use core::cell::Cell;
use core::time::Duration;
use js_sys::Reflect;
use std::rc::Rc;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use weir_core::ledger::outgoing::{self, Outgoing, RETRY};
use weir_core::ledger::{Plan, TABLES};
use weir_core::object::{Read, Row};
use worker::wasm_bindgen_futures::JsFuture;
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

/// The binding of the bucket that inference tables go into.
const BUCKET: &str = "INFERENCE_TABLES";

/// The Durable Object.
#[durable_object]
pub struct Ledger {
    state: State,
    shared: Rc<Shared>,
}

struct Shared {
    rows: Rows,
    bucket: Option<JsValue>,
    /// Whether somebody puts what waits.
    putting: Cell<bool>,
}

impl DurableObject for Ledger {
    fn new(state: State, env: Env) -> Self {
        let bucket = Reflect::get(&env, &BUCKET.into()).ok().filter(JsValue::is_object);
        let rows = Rows::open(&state, &TABLES);
        Self { state, shared: Rc::new(Shared { rows, bucket, putting: Cell::new(false) }) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let message = request.bytes().await?;
        let plan = Plan::new(host::now(), &message, self.shared.bucket.is_some());
        let rows = self.shared.read(plan.reads())?;
        let handled = plan.handle(&rows);
        self.shared.rows.write(&handled.writes)?;
        if outgoing::is_noted(&handled.writes) {
            self.wake_again().await?;
            let shared = Rc::clone(&self.shared);
            self.state.wait_until(async move {
                // What was not put waits for the alarm.
                let _ = shared.put_all().await;
            });
        }
        Response::from_bytes(handled.reply)
    }

    /// Puts what a bucket did not take, or the object that went away did not put.
    async fn alarm(&self) -> Result<Response> {
        if !self.shared.put_all().await {
            self.wake_again().await?;
        }
        Response::empty()
    }
}

impl Ledger {
    async fn wake_again(&self) -> Result<()> {
        self.state.storage().set_alarm(Duration::from_millis(RETRY.0)).await
    }
}

impl Shared {
    fn read(&self, reads: &[Read]) -> Result<Vec<Vec<Row>>> {
        reads.iter().map(|read| self.rows.read(read)).collect()
    }

    /// Puts one object after the other; whether none waits any more. While somebody else puts them, some may.
    async fn put_all(&self) -> bool {
        let Some(bucket) = &self.bucket else { return true };
        if self.putting.replace(true) {
            return false;
        }
        let mut outcome = self.put_oldest(bucket).await;
        while matches!(outcome, Ok(true)) {
            outcome = self.put_oldest(bucket).await;
        }
        self.putting.set(false);
        outcome
            .map_err(|problem| worker::console_error!("an inference table could not be put: {problem}"))
            .is_ok()
    }

    /// Puts the oldest object that waits; whether there was one.
    async fn put_oldest(&self, bucket: &JsValue) -> Result<bool> {
        let rows = self.rows.read(&outgoing::oldest())?;
        let Some(row) = rows.first() else { return Ok(false) };
        let object = Outgoing::of(row);
        if let Some(body) = object.body(&self.read(&object.reads())?) {
            JsFuture::from(put(bucket, object.key(), &body)).await?;
        }
        self.rows.write(&[object.done()])?;
        Ok(true)
    }
}

#[wasm_bindgen(module = "/src/bucket.js")]
extern "C" {
    fn put(bucket: &JsValue, key: &str, body: &str) -> js_sys::Promise;
}
