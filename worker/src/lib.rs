//! The Cloudflare Worker's entry points.
//!
//! Decides nothing. The data path is driven by `drive.js` over the exports of [`raw`]; management requests and
//! Durable Objects are ordinary workers-rs. Stage: shell.

mod bindings;
mod host;
mod manage;
mod objects;
mod panics;
pub mod raw;

pub use objects::{Ledger, Limiter, Registry};

use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use worker::{Context, Env, Request, Response, Result, event};

#[wasm_bindgen(module = "/src/attach.js")]
extern "C" {
    fn attach(exports: JsValue, memory: JsValue);
}

/// Shows this module to the data path's driver; runs again when the module is made anew after a trap.
#[wasm_bindgen(start, private)]
pub fn start() {
    attach(wasm_bindgen::exports(), wasm_bindgen::memory());
}

/// Everything that is not the data path: management, health.
///
/// # Errors
/// What the platform reports; `entry.js` turns it into a 500.
#[event(fetch)]
pub async fn fetch(request: Request, env: Env, _context: Context) -> Result<Response> {
    manage::answer(request, &env).await
}
