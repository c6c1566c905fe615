//! The external classifier of a world: how it behaves, and what must be true of the texts that it judges.
//!
//! Texts with [`BAD`] in them are violent to it. Decides what callers may have seen; the other promises are the world's.

use crate::clock::{MILLI, Micros};
use crate::isolate::Running;
use crate::random::Random;
use crate::upstream::Step;
use serde_json::json;
use weir_core::exchange::{Failure, Send};

/// Where it is asked.
pub const BASE: &str = "https://judge.example/v1";
/// What it finds in a text.
pub const BAD: &str = "UNSPEAKABLE";
/// How long it is waited for, in milliseconds.
pub const DEADLINE_MS: u64 = 400;

/// How it behaves.
#[derive(Clone, Copy, Debug)]
pub struct Judge {
    /// Whether texts go on when it fails.
    pub open: bool,
    /// Questions of a thousand that it answers with an error, or not at all.
    pub failing: u64,
    /// Longest time to an answer; beyond [`DEADLINE_MS`] nobody waits for it.
    pub slowest: Micros,
    /// Prompts, and answers, of a thousand that are bad.
    pub bad: u64,
}

/// Whether a call is a question to it.
pub fn is_asked(send: &Send) -> bool {
    send.url.starts_with(BASE)
}

/// What it does with a question, and after which time.
pub fn verdict(random: &mut Random, judge: Judge, send: &Send) -> (Micros, Step) {
    let bad = send.edits.iter().any(|edit| String::from_utf8_lossy(&edit.with).contains(BAD));
    let after = random.between(MILLI, judge.slowest);
    let timeout = send.timeout.0 * MILLI;
    if after >= timeout {
        return (timeout, Step::Failed(Failure::TimedOut));
    }
    let answer = |status, body: serde_json::Value| Step::Answer {
        status,
        retry_after_ms: None,
        body: body.to_string().into_bytes(),
    };
    if random.permille(judge.failing) {
        let step = match random.between(0, 3) {
            0 => Step::Failed(Failure::Unreachable),
            1 => answer(500, json!({"error": "unwell"})),
            2 => answer(200, json!({"results": "nonsense"})),
            _ => answer(429, json!({})),
        };
        return (after, step);
    }
    let score = if bad { 0.99 } else { 0.0 };
    let result = json!({"categories": {"violence": bad}, "category_scores": {"violence": score}});
    (after, answer(200, json!({"results": [result]})))
}

/// Whether a step is a verdict.
pub fn is_verdict(step: &Step) -> bool {
    matches!(step, Step::Answer { status: 200, body, .. } if body.starts_with(b"{\"results\":[{"))
}

/// What is wrong with what a caller got of an exchange, or a model.
pub fn breach(judge: Judge, running: &Running) -> Option<&'static str> {
    let may = judge.open && running.came.unjudged;
    let got = String::from_utf8_lossy(&running.got);
    if !may && got.contains(BAD) {
        return Some("a caller got a text that the classifier filters");
    }
    if !may && running.asks.bad_prompt && running.came.asked_model {
        return Some("a model was asked what the classifier filters");
    }
    None
}

/// Whether a stream ended as its policy says, whatever its upstream did.
pub fn ended(running: &Running) -> bool {
    let got = String::from_utf8_lossy(&running.got);
    got.contains("\"finish_reason\":\"content_filter\"") || got.contains("content_filter_error")
}
