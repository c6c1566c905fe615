//! How an exchange came to its end: which entities were to be called and why, what became of each attempt, and how
//! the limits stand.
//!
//! Above the stages. Decides the members and the bounds of an explanation: one JSON object of visible ASCII characters,
//! at most [`BYTES_MAX`] long. It stands in the header `x-weir-explain` for an administrator who asked for it, and in the
//! record of each exchange that was explained or took more than one attempt. It names entities as they are
//! configured, never an address or a credential.

use super::isolate::Isolate;
use super::running::Running;
use super::tracking::label;
use crate::limit::headers::Standing;
use crate::time::UnixMillis;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;
use serde_json::{Map, Value, json};

/// Longest explanation; of a longer one the attempts alone are told.
const BYTES_MAX: usize = 4_096;

/// The explanation of an exchange at `now`.
fn explanation(now: UnixMillis, running: &Running, standings: &[Standing]) -> String {
    let name = |at: u32| {
        let entity = usize::try_from(at).ok().and_then(|at| running.entities.get(at));
        entity.map(|entity| entity.name.as_str()).unwrap_or_default()
    };
    let attempts: Vec<Value> = running
        .tried
        .iter()
        .map(|tried| {
            json!({
                "entity": name(tried.entity), "at_ms": tried.at.0, "took_ms": tried.took.0,
                "outcome": label(tried.outcome.as_ref()),
            })
        })
        .collect();
    let mut told = Map::new();
    told.insert("deployment".into(), running.deployment.as_str().into());
    told.insert("attempts_made".into(), running.machine.made().into());
    told.insert("failed".into(), Value::Array(attempts));
    told.insert("after_ms".into(), now.since(running.admission.began).0.into());
    if let Some(at) = running.head_at {
        told.insert("answered_by".into(), name(running.entity).into());
        told.insert("first_content_ms".into(), at.since(running.admission.began).0.into());
    }
    let short = ascii(&Value::Object(told.clone()));
    let order = running.entities.iter().map(|entity| {
        let load = entity.load.map(|micros| micros / 1_000);
        json!({"entity": entity.name, "why": entity.why.label(), "expected_ms": load})
    });
    told.insert("order".into(), Value::Array(order.collect()));
    let limits = standings.iter().map(|standing| {
        json!({
            "meter": crate::limit::label(standing.meter), "limit": standing.amount,
            "remaining": standing.remaining, "full_after_ms": standing.reset.0,
        })
    });
    told.insert("limits".into(), Value::Array(limits.collect()));
    told.insert("random".into(), format!("{:032x}", running.admission.random).into());
    let long = ascii(&Value::Object(told));
    if long.len() <= BYTES_MAX { long } else { short }
}

impl Isolate {
    /// The explanation of an exchange as it stands.
    pub(super) fn explain(&self, now: UnixMillis, running: &Running) -> String {
        explanation(now, running, &self.leases.standings(now, &running.reservation))
    }
}

/// JSON text in which every character is one that a header may have.
fn ascii(value: &Value) -> String {
    let text = value.to_string();
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _written = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_is_ascii_and_the_same_json() {
        let value = json!({"entity": "größe 🙂 \"x\"\n"});
        let text = ascii(&value);
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
