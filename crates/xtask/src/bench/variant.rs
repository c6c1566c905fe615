//! The gateways compared: how each is served, and how a caller addresses it.

use std::fmt::Write as _;

use super::mock::{UPSTREAM_KEY, UPSTREAM_MODEL};

/// The key that callers present to the references and to Weir.
pub(super) const CALLER_KEY: &str = "weir-bench-key";
/// The model name that callers ask for; every gateway swaps it for the upstream's.
pub(super) const DEPLOYMENT: &str = "bench-chat";
/// Weir's deployment of the same model with Azure's default content filter.
pub(super) const FILTERED: &str = "bench-safe";

/// One gateway under load.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// The yardstick: `tests/bench/js.mjs`.
    Js,
    /// The yardstick in a second process: what differs from [`Variant::Js`] is noise.
    JsAgain,
    /// JavaScript with Weir's duties: `tests/bench/metered.mjs`.
    Metered,
    /// The built Worker.
    Weir,
    /// Portkey's gateway.
    Portkey,
}

impl Variant {
    /// The column's title, and the name of its folder and log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Js => "js",
            Self::JsAgain => "js-again",
            Self::Metered => "metered",
            Self::Weir => "weir",
            Self::Portkey => "portkey",
        }
    }

    /// The configuration's place under the project's root.
    pub(super) fn config(self) -> &'static str {
        match self {
            Self::Js | Self::JsAgain => "tests/bench/js.capnp",
            Self::Metered => "tests/bench/metered.capnp",
            Self::Weir => "tests/bench/weir.capnp",
            Self::Portkey => "target/bench/portkey/portkey.capnp",
        }
    }

    /// It has Durable Objects, so a folder for their rows.
    pub(super) fn has_objects(self) -> bool {
        matches!(self, Self::Metered | Self::Weir)
    }

    /// A whole request with this body, as the callers of this gateway send it.
    pub(super) fn request(self, upstream: &str, body: &str) -> Vec<u8> {
        let mut head = String::from("POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n");
        head += "user-agent: bench\r\naccept: application/json\r\ncontent-type: application/json\r\n";
        if self == Self::Portkey {
            // Portkey is configured by each request; the model is overridden as the others do by their maps.
            let config = format!(
                r#"{{"provider":"openai","api_key":"{UPSTREAM_KEY}","custom_host":"{upstream}","override_params":{{"model":"{UPSTREAM_MODEL}"}}}}"#
            );
            head += "x-portkey-config: ";
            head += &config;
            head += "\r\n";
        } else {
            head += "authorization: Bearer ";
            head += CALLER_KEY;
            head += "\r\n";
        }
        // Writing into a string cannot fail.
        let _ = write!(head, "content-length: {}\r\n\r\n", body.len());
        head += body;
        head.into_bytes()
    }
}

/// The request as a gateway would send it on: what the bench itself can do is measured by it.
pub(super) fn direct_request(body: &str) -> Vec<u8> {
    let request = Variant::Js.request("", &body.replacen(DEPLOYMENT, UPSTREAM_MODEL, 1));
    String::from_utf8_lossy(&request).replacen(CALLER_KEY, UPSTREAM_KEY, 1).into_bytes()
}
