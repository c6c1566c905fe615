//! The answer to a question about usage, with errors in the form of Weir's own management API.
//!
//! Decides the form `{"error":{"code","message","details":[{"path","problem"}]}}` for this module's faults
//! (`design.md` section 5); not the headers that every answer has (`reply`).

use super::message::json;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;

/// An answer for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers, lower case.
    pub headers: Vec<(&'static str, String)>,
    /// JSON or CSV.
    pub body: String,
}

/// What is wrong with a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The parameter's name.
    pub path: String,
    /// What is wrong, as the rest of a sentence that begins with the parameter.
    pub problem: String,
}

impl Fault {
    pub(super) fn new(path: &str, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), problem: problem.into() }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error: Error<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    code: &'a str,
    message: &'a str,
    details: &'a [Fault],
}

impl Answer {
    pub(super) fn json<T: Serialize>(body: &T) -> Self {
        Self::new(200, "application/json", text(json(body)))
    }

    pub(super) fn new(status: u16, content_type: &str, body: String) -> Self {
        Self { status, headers: alloc::vec![("content-type", content_type.to_owned())], body }
    }

    /// 400 with every fault.
    pub(super) fn refused(faults: &[Fault]) -> Self {
        let message = "The request's parameters are not valid; see details.";
        Self::error(400, "invalid_request", message, faults)
    }

    /// 400: no part of the answer can be made with bounded work.
    pub(super) fn too_large() -> Self {
        let problem = "is too long for this interval and grouping; ask for a shorter time";
        Self::refused(&[Fault::new("from", problem)])
    }

    /// 503: not every ledger object answered. Part of a sum is never shown as the whole.
    pub(super) fn unavailable() -> Self {
        let message = "The usage ledger cannot be reached now. Try again in a few seconds.";
        let mut answer = Self::error(503, "ledger_unavailable", message, &[]);
        answer.headers.push(("retry-after", "2".to_owned()));
        answer
    }

    fn error(status: u16, code: &str, message: &str, details: &[Fault]) -> Self {
        let body = json(&Body { error: Error { code, message, details } });
        Self::new(status, "application/json", text(body))
    }
}

fn text(json: Vec<u8>) -> String {
    String::from_utf8(json).unwrap_or_default()
}
