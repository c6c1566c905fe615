//! A provider's error answer: what it means, and what of its words a caller may read.
//!
//! Stage 6. Decides how errors of all dialects are read (`providers.md`, 1.4 and 1.5); not whether to try again
//! (`attempt`) and not their form (`reply`). Words that would name the upstream's address or account are taken out.

use crate::wire::raw::Raw;
use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;

/// Parts of words that name addresses, projects and accounts.
const TELLING: [&str; 7] =
    ["://", "projects/", "arn:aws", ".googleapis.com", ".amazonaws.com", ".azure.com", "accounts/"];

/// What an error answer means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// As if an upstream of the canonical dialect had answered with it.
    pub status: u16,
    /// The wait that the body asks for, in milliseconds, where no header does.
    pub wait_ms: Option<u64>,
    /// Whether another try makes sense, where the status alone does not say.
    pub should_retry: Option<bool>,
    /// The provider's words for the caller.
    pub message: Option<String>,
}

impl Refusal {
    /// What most dialects mean: the status, and what is [`said`].
    pub fn common(status: u16, body: Option<Raw<'_>>) -> Self {
        let message = body.and_then(said).map(|text| shown(&text));
        Self { status, wait_ms: None, should_retry: None, message }
    }

    /// With another status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The canonical body of it.
    pub fn body(&self) -> String {
        let inner = crate::wire::object::Object::new().optional("message", self.message.as_deref()).end();
        crate::wire::object::Object::new().raw("error", &inner).end()
    }
}

/// The words for a person in an error's body, of whatever form: `error.message`, `error`, `message`, `detail`, or the
/// first `msg` of a list there (`providers.md`, 1.4; `azure.md`, A8).
pub fn said(body: Raw<'_>) -> Option<Cow<'_, str>> {
    let paths = ["error.message", "error", "message", "Message", "detail"];
    let text = paths.into_iter().find_map(|path| body.at(path)?.text());
    text.or_else(|| body.get("detail")?.items().next()?.text_at("msg"))
}

/// `text` without the words that name an upstream.
fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, word) in text.split(' ').enumerate() {
        if at > 0 {
            out.push(' ');
        }
        let telling = TELLING.iter().any(|part| word.contains(part));
        out.push_str(if telling { "…" } else { word });
    }
    out
}

/// A text at a path of a body, for a provider's own reading.
pub fn text_at<'a>(body: Option<Raw<'a>>, path: &str) -> Option<Cow<'a, str>> {
    body?.at(path)?.text()
}

/// `17s` or `1.5s` in milliseconds.
pub fn seconds_ms(text: &str) -> Option<u64> {
    let digits = text.strip_suffix('s')?.to_owned();
    Raw::parse(&alloc::format!("{digits}e3"))?.count(86_400_000)
}
