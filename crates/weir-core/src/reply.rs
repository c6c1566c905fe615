//! The only place where an error becomes status, headers and body, in the form of the surface that was called.
//!
//! Decides both texts' public half: what a caller reads. Secrets, upstream addresses and internal names stay out.
//! `table` has the statuses and codes, `text` the sentences, `forms` the bodies. Sources: `azure.md` A8, A11, B7,
//! B9, C0; `databricks.md` 5, 6.3, 10.6, 11.4, 11.5; `providers.md` 1.4 and 4.6; `design.md` 5 and 8.

mod forms;
mod stream;
mod table;
mod text;

use crate::attempt::AttemptError;
use crate::auth::AuthError;
use crate::error::WeirError;
use crate::id::RequestId;
use crate::limit::LimitError;
use crate::policy::PolicyError;
use crate::route::RouteError;
use crate::surface::Surface;
use crate::time::Millis;
use crate::wire::WireError;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

pub use stream::{Broken, stream_error};

/// Longest wait that a header asks for on surfaces whose clients obey it without a bound (`azure.md`, B9): the
/// Python client gives up above it, the JavaScript client would sleep. Longer waits stand in the text only.
const RETRY_AFTER_MAX: Millis = Millis::from_secs(120);

/// An answer that Weir makes itself, or of whose body it changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status: 200, or 400..=599.
    pub status: u16,
    /// Headers; names are lower case, values legal.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: String,
}

/// Whether and when the same request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// Nothing is said.
    Unsaid,
    /// After so long.
    After(Millis),
    /// Not in this form.
    Never,
}

/// The status of `error` for a caller of `surface`.
pub fn status(error: &WeirError, surface: Surface) -> u16 {
    table::row(table::kind(error), surface).status
}

/// Renders `error` for a caller of `surface`. `operation` is the route's (`surface::DataRoute::operation`).
pub fn render(error: &WeirError, surface: Surface, operation: &str, request_id: RequestId) -> Reply {
    let kind = table::kind(error);
    let row = table::row(kind, surface);
    let again = again(error, surface);
    let message = text::message(error, surface, operation);
    let shown = forms::Shown { error, surface, operation, row, message: &message, request_id };
    let body = shown.body();

    let mut headers = Vec::with_capacity(8);
    headers.push(("content-type", "application/json".to_owned()));
    let id = format!("{request_id}");
    match surface {
        Surface::ModelInference | Surface::Serverless => {
            headers.push(("apim-request-id", id.clone()));
            headers.push(("x-ms-error-code", row.azure.to_owned()));
        }
        Surface::AzureOpenAi | Surface::AzureOpenAiV1 => headers.push(("apim-request-id", id.clone())),
        Surface::Anthropic => headers.push(("request-id", id.clone())),
        Surface::Arm => headers.push(("x-ms-request-id", id.clone())),
        Surface::ServingEndpoints
        | Surface::OpenAi
        | Surface::MlflowGateway
        | Surface::Gemini
        | Surface::DatabricksApi
        | Surface::Weir => {}
    }
    headers.push(("x-request-id", id));
    match again {
        Again::Unsaid => {}
        Again::After(wait) => {
            headers.push(("retry-after", format!("{}", wait.seconds_ceil().max(1))));
            headers.push(("retry-after-ms", format!("{}", wait.0.max(1))));
        }
        Again::Never => headers.push(("x-should-retry", "false".to_owned())),
    }
    if let (405, WeirError::Wire(WireError::WrongMethod { allowed, .. })) = (row.status, error) {
        headers.push(("allow", (*allowed).to_owned()));
    }
    if let WeirError::Auth(AuthError::Barred(_)) = error {
        headers.push(("policy-id", "network-rules".to_owned()));
    }
    if row.status == 401 && surface == Surface::Arm {
        headers.push(("www-authenticate", "Bearer".to_owned()));
    }
    Reply { status: row.status, headers, body }
}

/// A good answer of Weir's own, in JSON.
pub fn found(body: String, surface: Surface, request_id: RequestId) -> Reply {
    let mut headers = Vec::with_capacity(6);
    headers.push(("content-type", "application/json".to_owned()));
    let id = format!("{request_id}");
    if matches!(
        surface,
        Surface::ModelInference | Surface::Serverless | Surface::AzureOpenAi | Surface::AzureOpenAiV1
    ) {
        headers.push(("apim-request-id", id.clone()));
    }
    headers.push(("x-request-id", id));
    Reply { status: 200, headers, body }
}

/// What is said about sending the request again. A `Retry-After` makes some clients repeat whatever the status is
/// (`azure.md`, A11), so it stands only where that helps.
fn again(error: &WeirError, surface: Surface) -> Again {
    const SOON: Millis = Millis::from_secs(1);
    let databricks = matches!(surface, Surface::ServingEndpoints | Surface::DatabricksApi);
    match error {
        WeirError::Limit(LimitError::Exceeded { retry_after, .. }) => bounded(*retry_after, databricks),
        WeirError::Limit(LimitError::Unavailable)
        | WeirError::Policy(PolicyError::NoVerdict)
        | WeirError::Route(RouteError::NotReady { coming: true, .. })
        | WeirError::ConfigurationUnavailable
        | WeirError::Overloaded => Again::After(SOON),
        WeirError::Attempt(AttemptError::UpstreamStatus { status, retry_after, .. }) => {
            match (status, retry_after) {
                (402, _) => Again::Never,
                (429 | 503 | 529, Some(wait)) => bounded(*wait, databricks),
                (429 | 503 | 529, None) if databricks => Again::After(SOON),
                _ => Again::Unsaid,
            }
        }
        WeirError::Limit(LimitError::NeverFits { .. }) | WeirError::Wire(WireError::Unsupported { .. }) => {
            Again::Never
        }
        WeirError::Wire(_)
        | WeirError::Auth(_)
        | WeirError::Route(_)
        | WeirError::Policy(PolicyError::PromptFiltered { .. } | PolicyError::Guardrail { .. })
        | WeirError::Attempt(_)
        | WeirError::Bug { .. } => Again::Unsaid,
    }
}

/// A wait for a header. Databricks' clients retry a 429 without one every second, so they are told every wait.
fn bounded(wait: Millis, databricks: bool) -> Again {
    if databricks || wait <= RETRY_AFTER_MAX { Again::After(wait) } else { Again::Never }
}

#[cfg(test)]
mod tests;
