//! The sentence that a caller reads: what is wrong and what to do.
//!
//! No client parses these texts (`azure.md`, head). None may hold a phrase that makes the Databricks SDK retry
//! (`databricks.md`, 12.4), a secret or an upstream's address.

use crate::attempt::AttemptError;
use crate::auth::AuthError;
use crate::error::WeirError;
use crate::limit::LimitError;
use crate::policy::PolicyError;
use crate::route::RouteError;
use crate::snapshot::network::Barred;
use crate::snapshot::{Meter, Task};
use crate::surface::Surface;
use crate::time::Millis;
use crate::wire::WireError;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

/// Longest upstream text that is passed on, in bytes.
const UPSTREAM_TEXT_BYTES_MAX: usize = 1000;

/// Whether Databricks' wording is expected.
const fn databricks(surface: Surface) -> bool {
    matches!(surface, Surface::ServingEndpoints | Surface::DatabricksApi)
}

/// Whether Azure's wording is expected.
const fn azure(surface: Surface) -> bool {
    matches!(
        surface,
        Surface::ModelInference | Surface::Serverless | Surface::AzureOpenAi | Surface::AzureOpenAiV1
    )
}

/// The public text of an error.
pub(super) fn message(error: &WeirError, surface: Surface, operation: &str) -> String {
    match error {
        WeirError::Wire(error) => wire(error, surface),
        WeirError::Auth(error) => auth(*error, surface),
        WeirError::Route(error) => route(error, surface),
        WeirError::Limit(error) => limit(*error, surface, operation),
        WeirError::Policy(PolicyError::PromptFiltered { .. }) => {
            "The prompt was filtered by the content policy of this deployment. Change the prompt and send it again."
                .to_owned()
        }
        WeirError::Policy(PolicyError::Guardrail { message }) => message.clone(),
        WeirError::Policy(PolicyError::NoVerdict) => {
            "The content filter of this deployment could not judge the text, so it was withheld. Send the request again."
                .to_owned()
        }
        WeirError::Attempt(error) => attempt(error),
        WeirError::ConfigurationUnavailable => {
            "The gateway has not received its configuration yet. Send the request again in a second."
                .to_owned()
        }
        WeirError::Overloaded => {
            "The gateway has too many requests in hand. Send the request again in a second.".to_owned()
        }
        WeirError::Bug { .. } => {
            "The gateway failed on this request. Report it with the request id of this answer.".to_owned()
        }
    }
}

fn wire(error: &WireError, surface: Surface) -> String {
    match error {
        WireError::UrlTooLong { max } => format!("The address is longer than {max} bytes."),
        WireError::UnknownRoute { method, path } | WireError::WrongMethod { method, path, .. }
            if databricks(surface) =>
        {
            format!("No API found for '{method} {path}'")
        }
        WireError::UnknownRoute { .. } if azure(surface) => "Resource not found".to_owned(),
        WireError::UnknownRoute { method, path } => {
            format!("There is no {method} {path} here. Compare the base address with the documentation.")
        }
        WireError::WrongMethod { method, path, allowed } => {
            format!("{path} does not take {method}. Use {allowed}.")
        }
        WireError::Unsupported { what } => format!("{what} is not supported by this gateway yet."),
        WireError::ApiVersion => {
            let example =
                if surface == Surface::ModelInference { "2024-05-01-preview" } else { "2024-10-21" };
            format!("Resource not found. Add a known api-version to the query, for example {example}.")
        }
        WireError::IllegalName => {
            "The name in the path is no legal name. Use 1 to 64 letters, digits, '.', '_' and '-'.".to_owned()
        }
        WireError::BodyTooLarge { max } => format!("The body is larger than {max} bytes."),
        WireError::BrokenForm => "The body is not the form that its content-type says.".to_owned(),
        WireError::FormTooLong { max } => format!(
            "The form does not name its model within its first {max} bytes. Put the field 'model' before the file."
        ),
        WireError::NotJson { at } => format!("The body is not JSON: unexpected input at byte {at}."),
        WireError::NotUtf8 { at } => format!("The body is not UTF-8: illegal bytes at byte {at}."),
        WireError::NotAnObject => "The body must be a JSON object.".to_owned(),
        WireError::TooDeep { max } => format!("The body is nested deeper than {max} levels."),
        WireError::TooManyMembers { max } => format!("The body has more than {max} members."),
        WireError::MemberNameTooLong { at } => format!("The name of the member at byte {at} is too long."),
        WireError::DuplicateMember { member } => format!("The member '{member}' is there more than once."),
        WireError::MissingMember { member } => format!("The member '{member}' is missing."),
        WireError::WrongType { member, expected, got } => {
            format!("The member '{member}' must be {expected}, not {got}.")
        }
        WireError::NotSupported { member, expected, got } => {
            let got = got.as_deref().unwrap_or("absent");
            format!("The member '{member}' must be {expected}, not {got}.")
        }
        WireError::ExtraMembers { names } => format!(
            "Extra parameters {names} are not allowed when extra-parameters is not set or set to be 'error'. Set \
             the header extra-parameters to 'pass-through' to pass them to the model, or to 'drop' to leave them out."
        ),
        WireError::ExtraParameters => {
            "The header extra-parameters must be 'error', 'drop' or 'pass-through'.".to_owned()
        }
        WireError::OutOfRange { member, min, max, got } => {
            format!("The member '{member}' must be between {min} and {max}, not {got}.")
        }
    }
}

fn auth(error: AuthError, surface: Surface) -> String {
    match (error, surface) {
        (AuthError::Missing | AuthError::Malformed, Surface::Serverless) => {
            "Auth token must be passed as a header called Authorization, in the form Bearer <key>.".to_owned()
        }
        (AuthError::BadToken, _) => {
            "Unauthorized. The access token is not valid here: its signature, issuer, audience or time is wrong."
                .to_owned()
        }
        (AuthError::Missing | AuthError::Malformed, _) if azure(surface) => {
            "Unauthorized. Present a key as api-key, or a key or token as Authorization: Bearer.".to_owned()
        }
        (AuthError::Missing, _) => "No key was presented. Send it as Authorization: Bearer <key>.".to_owned(),
        (AuthError::Malformed, _) => {
            "The Authorization header cannot be read. It must have the form Bearer <key>.".to_owned()
        }
        (AuthError::UnknownKey, _) => {
            "The key is not valid here. Present a key of this account or endpoint.".to_owned()
        }
        (AuthError::KeysDisabled, _) => {
            "Key based authentication is disabled for this resource. Present a token.".to_owned()
        }
        (AuthError::Barred(Barred::Address | Barred::Unseen), _) => {
            "Access denied due to Virtual Network/Firewall rules: this address is in none of the resource's IP rules."
                .to_owned()
        }
        (AuthError::Barred(Barred::Closed), _) => {
            "Public access is disabled for this resource. Set its publicNetworkAccess to Enabled to reach it."
                .to_owned()
        }
        (AuthError::Expired, _) => "The key has expired. Present a newer one.".to_owned(),
    }
}

fn route(error: &RouteError, surface: Surface) -> String {
    match error {
        RouteError::NoModel if surface == Surface::ModelInference => {
            "No model is named. Put a deployment's name into the body as model, or into the header \
             x-ms-model-mesh-model-name."
                .to_owned()
        }
        RouteError::NoModel => {
            "No model is named. Put a deployment's name into the body as 'model'.".to_owned()
        }
        RouteError::UnknownDeployment { name } if databricks(surface) => {
            format!("Endpoint with name '{name}' does not exist.")
        }
        RouteError::UnknownDeployment { name } if surface == Surface::MlflowGateway => format!(
            "The endpoint '{name}' is not present or active on the server. Please verify the endpoint name."
        ),
        RouteError::UnknownDeployment { .. } if surface == Surface::Serverless => {
            "Serverless endpoint not found".to_owned()
        }
        RouteError::UnknownDeployment { name } => format!(
            "There is no deployment called '{name}' in this account. If it was created a moment ago, wait five \
             seconds."
        ),
        RouteError::NotReady { name, coming: true } => format!(
            "The endpoint '{name}' is not ready yet: its first configuration is being deployed. Send the request \
             again in a few seconds."
        ),
        RouteError::NotReady { name, .. } => format!(
            "The endpoint '{name}' is not ready: no configuration of it could be deployed. Look at its state, and \
             update it."
        ),
        RouteError::NotAllowed { name } | RouteError::Lacks { name, .. } if databricks(surface) => {
            format!("User does not have permission 'Query' on Endpoint {name}")
        }
        RouteError::Lacks { right, .. } => format!(
            "The principal lacks the required data action `{}`. Have a role assigned that gives it, or use a key.",
            right.action()
        ),
        RouteError::NotAllowed { name } => format!("The key may not query the deployment '{name}'."),
        RouteError::Suspended { name } => format!(
            "The endpoint '{name}' is unhealthy: the marketplace subscription of its model was deleted. Create the \
             subscription again to use it."
        ),
        RouteError::ProviderLacks { name, what } => {
            format!("{what} is not supported by the provider of the deployment '{name}'.")
        }
        RouteError::NowhereKept { what } => {
            format!("{what} is not supported by the provider of any deployment that this key may query.")
        }
        RouteError::UnknownId => {
            "Nothing that is kept here has this id. What is made here is kept only where the model's provider keeps it."
                .to_owned()
        }
        RouteError::TaskMismatch { name, asked, has } => {
            format!("The deployment '{name}' does {}, not {}.", task(*has), task(*asked))
        }
    }
}

const fn task(task: Task) -> &'static str {
    match task {
        Task::Chat => "chat completions",
        Task::Completions => "text completions",
        Task::Embeddings => "embeddings",
    }
}

/// Azure's word for a meter in the text of a 429 (`azure.md`, B7).
const fn meter(meter: Meter) -> &'static str {
    match meter {
        Meter::Requests => "call",
        Meter::Tokens => "token",
    }
}

fn seconds(wait: Millis) -> String {
    match wait.seconds_ceil().max(1) {
        1 => "1 second".to_owned(),
        many => format!("{many} seconds"),
    }
}

fn limit(error: LimitError, surface: Surface, operation: &str) -> String {
    match error {
        LimitError::Exceeded { meter: which, retry_after } => {
            let (word, wait) = (meter(which), seconds(retry_after));
            if databricks(surface) {
                format!(
                    "REQUEST_LIMIT_EXCEEDED: Exceeded the {word} rate limit of this endpoint. Retry after {wait}."
                )
            } else {
                format!("{operation}: {word} rate limit of this deployment exceeded. Retry after {wait}.")
            }
        }
        LimitError::NeverFits { meter: which, asked, burst } => format!(
            "{operation}: the request asks for an estimated {asked} {}, and the {} rate limit never admits more \
             than {burst} at once. Ask for less, or have the limit raised.",
            crate::limit::label(which),
            meter(which)
        ),
        LimitError::Unavailable => {
            "The rate limit could not be checked just now. Send the request again in a second.".to_owned()
        }
    }
}

fn attempt(error: &AttemptError) -> String {
    let text = match error {
        AttemptError::UpstreamStatus { status, message, .. } => return upstream(*status, message.as_deref()),
        AttemptError::PromptTooLong { message } => return shown(message),
        AttemptError::Unreachable => "The model could not be reached. Send the request again.",
        AttemptError::Timeout => "The model did not answer in time. Send the request again, or ask for less.",
        AttemptError::Malformed => "The model's answer could not be understood. Tell the operator.",
        AttemptError::BadCredential => {
            "The model refused the gateway's own credential; the caller's key is not at fault. Tell the operator."
        }
        AttemptError::Redirect => {
            "The model answered with a redirect, which is never followed. Tell the operator."
        }
    };
    text.to_owned()
}

/// The upstream's own words where they are about the request; else what its status means.
fn upstream(status: u16, message: Option<&str>) -> String {
    if let (400 | 404 | 409 | 413 | 422, Some(message)) = (status, message) {
        return shown(message);
    }
    let text = match status {
        400 | 422 => "The model refused the request as invalid.",
        402 => "The model's provider has no quota left for this gateway. Tell the operator.",
        404 => "The model's provider does not know the model that this deployment names. Tell the operator.",
        409 => "The model's provider reports a conflict. Send the request again.",
        413 => "The model refused the request as too large.",
        429 => "The model's provider limits the rate of this gateway. Send the request again later.",
        408 | 504 => "The model did not answer in time. Send the request again, or ask for less.",
        503 | 529 => "The model is overloaded. Send the request again later.",
        _ => return format!("The model failed with status {status}. Send the request again."),
    };
    text.to_owned()
}

/// An upstream's text without addresses and keys, cut to a bound.
fn shown(message: &str) -> String {
    let mut out = String::new();
    for word in message.split_whitespace() {
        let bare = word.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let word = if word.contains("://") {
            "[address]"
        } else if bare.starts_with("sk-") || bare.starts_with("wk_") {
            "[key]"
        } else {
            word
        };
        if out.len().saturating_add(word.len()) >= UPSTREAM_TEXT_BYTES_MAX {
            out.push('…');
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}
