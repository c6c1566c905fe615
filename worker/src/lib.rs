//! The Cloudflare Worker's entry points.
//!
//! Decides nothing: it hands the data path's driver (`drive.js`) this module's exports and memory, and names
//! the Durable Object classes. Stage: shell.
#![allow(missing_docs)]

use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

#[wasm_bindgen(module = "/src/drive.js")]
extern "C" {
    fn attach(exports: JsValue, memory: JsValue);
}

#[wasm_bindgen(start)]
pub fn start() {
    attach(wasm_bindgen::exports(), wasm_bindgen::memory());
}

macro_rules! object {
    ($name:ident) => {
        #[durable_object]
        pub struct $name {}
        impl DurableObject for $name {
            fn new(_state: State, _env: Env) -> Self {
                Self {}
            }
            async fn fetch(&self, _request: Request) -> Result<Response> {
                Response::error("not yet", 501)
            }
        }
    };
}
object!(Registry);
object!(Limiter);
object!(Ledger);
