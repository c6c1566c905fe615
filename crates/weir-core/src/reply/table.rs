//! Statuses and codes: one row for each kind of error, with a column for each family of surfaces.
//!
//! Sources: `azure.md` A8, B7, C0; `databricks.md` 5.2 with the codes of 11.4 only; `providers.md` 1.4 and 4.6.

use crate::attempt::AttemptError;
use crate::auth::AuthError;
use crate::error::WeirError;
use crate::limit::LimitError;
use crate::policy::PolicyError;
use crate::route::RouteError;
use crate::surface::Surface;
use crate::wire::WireError;

/// What an error is, where only that matters for status and code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The body is not what it must be.
    Invalid,
    /// One member of it is not.
    Parameter,
    /// The prompt is longer than the model takes.
    PromptTooLong,
    /// The model's server takes the request for well formed and refuses it all the same.
    Unprocessable,
    /// No deployment is named.
    NoModel,
    /// The body is too large.
    TooLarge,
    /// The address is too long.
    UrlTooLong,
    /// No credential, or none that can be read.
    NoCredential,
    /// A credential that opens nothing.
    BadCredential,
    /// The caller is known and may not.
    Forbidden,
    /// The caller may not from where it is, or the deployment is closed to everyone.
    Barred,
    /// The account takes no keys.
    KeysDisabled,
    /// No such path.
    UnknownRoute,
    /// Not with this method.
    WrongMethod,
    /// No such deployment.
    UnknownDeployment,
    /// Nothing that is kept has this id.
    UnknownId,
    /// The deployment does something else.
    TaskMismatch,
    /// Not in this version.
    Unsupported,
    /// The content policy stands against the prompt.
    Filtered,
    /// The content policy could not be applied.
    Unfiltered,
    /// A limit is used up.
    RateLimited,
    /// A limit can never admit it.
    NeverFits,
    /// Two things at once.
    Conflict,
    /// The gateway cannot now.
    Unavailable,
    /// The model's server answered with its own failure.
    UpstreamFailed,
    /// The model's server could not be reached or understood.
    BadGateway,
    /// The model's server is overloaded.
    Overloaded,
    /// The model's server was too slow.
    Timeout,
    /// The gateway's own fault.
    Internal,
}

/// Status and codes of one error on one surface.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) status: u16,
    /// Code in Azure's data planes.
    pub(super) azure: &'static str,
    /// `type` in the `OpenAI` form.
    pub(super) openai_type: &'static str,
    /// `code` in the `OpenAI` form.
    pub(super) openai_code: Option<&'static str>,
    /// `error_code` of Databricks.
    pub(super) databricks: &'static str,
    /// `error.type` of Anthropic.
    pub(super) anthropic: &'static str,
    /// Code of Azure Resource Manager.
    pub(super) arm: &'static str,
    /// Code of Weir's own API.
    pub(super) weir: &'static str,
}

/// What an error is.
pub(super) fn kind(error: &WeirError) -> Kind {
    match error {
        WeirError::Wire(error) => wire(error),
        WeirError::Auth(AuthError::Missing | AuthError::Malformed) => Kind::NoCredential,
        WeirError::Auth(AuthError::UnknownKey | AuthError::Expired | AuthError::BadToken) => {
            Kind::BadCredential
        }
        WeirError::Auth(AuthError::KeysDisabled) => Kind::KeysDisabled,
        WeirError::Auth(AuthError::Barred(_)) | WeirError::Route(RouteError::Suspended { .. }) => {
            Kind::Barred
        }
        WeirError::Route(RouteError::NoModel) => Kind::NoModel,
        WeirError::Route(RouteError::UnknownDeployment { .. }) => Kind::UnknownDeployment,
        WeirError::Route(RouteError::NotAllowed { .. } | RouteError::Lacks { .. }) => Kind::Forbidden,
        WeirError::Policy(PolicyError::PromptFiltered { .. } | PolicyError::Guardrail { .. }) => {
            Kind::Filtered
        }
        WeirError::Policy(PolicyError::NoVerdict) => Kind::Unfiltered,
        WeirError::Route(RouteError::UnknownId) => Kind::UnknownId,
        WeirError::Route(
            RouteError::TaskMismatch { .. }
            | RouteError::ProviderLacks { .. }
            | RouteError::NowhereKept { .. },
        ) => Kind::TaskMismatch,
        WeirError::Limit(LimitError::Exceeded { .. }) => Kind::RateLimited,
        WeirError::Limit(LimitError::NeverFits { .. }) => Kind::NeverFits,
        WeirError::Route(RouteError::NotReady { coming: false, .. }) => Kind::Invalid,
        WeirError::Limit(LimitError::Unavailable)
        | WeirError::Route(RouteError::NotReady { .. })
        | WeirError::ConfigurationUnavailable
        | WeirError::Overloaded => Kind::Unavailable,
        WeirError::Attempt(AttemptError::UpstreamStatus { status, .. }) => upstream(*status),
        WeirError::Attempt(AttemptError::PromptTooLong { .. }) => Kind::PromptTooLong,
        WeirError::Attempt(AttemptError::Timeout) => Kind::Timeout,
        WeirError::Attempt(
            AttemptError::Unreachable
            | AttemptError::Malformed
            | AttemptError::BadCredential
            | AttemptError::Redirect,
        ) => Kind::BadGateway,
        WeirError::Bug { .. } => Kind::Internal,
    }
}

fn wire(error: &WireError) -> Kind {
    match error {
        WireError::UrlTooLong { .. } => Kind::UrlTooLong,
        WireError::UnknownRoute { .. } | WireError::ApiVersion => Kind::UnknownRoute,
        WireError::WrongMethod { .. } => Kind::WrongMethod,
        WireError::Unsupported { .. } => Kind::Unsupported,
        WireError::IllegalName => Kind::UnknownDeployment,
        WireError::BodyTooLarge { .. } | WireError::FormTooLong { .. } => Kind::TooLarge,
        WireError::BrokenForm
        | WireError::NotJson { .. }
        | WireError::NotUtf8 { .. }
        | WireError::NotAnObject
        | WireError::TooDeep { .. }
        | WireError::TooManyMembers { .. }
        | WireError::MemberNameTooLong { .. }
        | WireError::DuplicateMember { .. }
        | WireError::MissingMember { .. }
        | WireError::ExtraMembers { .. }
        | WireError::ExtraParameters => Kind::Invalid,
        WireError::WrongType { .. } | WireError::OutOfRange { .. } | WireError::NotSupported { .. } => {
            Kind::Parameter
        }
    }
}

/// The mapping of upstream statuses of `providers.md`, 1.4. A refusal of Weir's own credential is no caller's 401
/// or 403 (`design.md`, 8, "Statuses that the specs leave open").
const fn upstream(status: u16) -> Kind {
    match status {
        400 => Kind::Invalid,
        422 => Kind::Unprocessable,
        402 | 429 => Kind::RateLimited,
        404 => Kind::UnknownDeployment,
        408 | 504 => Kind::Timeout,
        409 => Kind::Conflict,
        413 => Kind::TooLarge,
        500 => Kind::UpstreamFailed,
        503 | 529 => Kind::Overloaded,
        _ => Kind::BadGateway,
    }
}

/// The row of a kind, with the surface's own status where it differs.
pub(super) fn row(kind: Kind, surface: Surface) -> Row {
    let common = common(kind);
    let azure = matches!(
        surface,
        Surface::ModelInference | Surface::Serverless | Surface::AzureOpenAi | Surface::AzureOpenAiV1
    );
    let inference = matches!(surface, Surface::ModelInference | Surface::Serverless);
    let databricks = matches!(surface, Surface::ServingEndpoints | Surface::DatabricksApi);
    if inference && matches!(kind, Kind::Parameter | Kind::Unprocessable) {
        // A value that is not supported (A8).
        return Row { status: 422, azure: "parameter_not_supported", ..common };
    }
    if surface == Surface::MlflowGateway && kind == Kind::Parameter {
        // What a schema refuses, in `FastAPI`'s manner (`databricks.md`, 11.5).
        return Row { status: 422, ..common };
    }
    if inference && kind == Kind::TaskMismatch {
        // The modality is not offered by the model (A8).
        return Row { status: 404, azure: "404", ..common };
    }
    if azure && kind == Kind::Forbidden {
        // A principal without the data action: 401, not 403 (A8, B7).
        return Row { status: 401, ..common };
    }
    if azure && kind == Kind::WrongMethod {
        return Row { status: 404, azure: "404", ..common };
    }
    if azure && kind == Kind::NeverFits {
        // `design.md`, 8, "Limits".
        return Row { status: 429, azure: "429", ..common };
    }
    if kind == Kind::NoModel && surface != Surface::ModelInference {
        return Row { azure: "BadRequest", ..common };
    }
    if databricks && kind == Kind::WrongMethod {
        // "No API found for '<METHOD> <path>'" (5.2).
        return Row { status: 404, ..common };
    }
    if surface == Surface::DatabricksApi && kind == Kind::Parameter {
        return Row { databricks: "INVALID_PARAMETER_VALUE", ..common };
    }
    common
}

/// Columns: status; azure; openai type, code; databricks; anthropic; arm; weir.
#[rustfmt::skip]
fn common(kind: Kind) -> Row {
    const INVALID: &str = "invalid_request_error";
    let (status, azure, openai_type, openai_code, databricks, anthropic, arm, weir) = match kind {
        Kind::Invalid | Kind::Unprocessable => (400, "BadRequest", INVALID, None, "BAD_REQUEST", INVALID, "InvalidRequestContent", "invalid_request"),
        Kind::Parameter => (400, "BadRequest", INVALID, Some("invalid_value"), "BAD_REQUEST", INVALID, "InvalidRequestContent", "invalid_request"),
        Kind::PromptTooLong => (400, "context_length_exceeded", INVALID, Some("context_length_exceeded"), "BAD_REQUEST", INVALID, "BadRequest", "context_length_exceeded"),
        Kind::NoModel => (400, "no_model_name", INVALID, Some("missing_required_parameter"), "BAD_REQUEST", INVALID, "BadRequest", "invalid_request"),
        Kind::TooLarge => (413, "413", INVALID, Some("request_too_large"), "BAD_REQUEST", "request_too_large", "RequestEntityTooLarge", "body_too_large"),
        Kind::UrlTooLong => (414, "414", INVALID, Some("uri_too_long"), "BAD_REQUEST", INVALID, "BadRequest", "uri_too_long"),
        Kind::NoCredential => (401, "401", "authentication_error", Some("invalid_api_key"), "UNAUTHENTICATED", "authentication_error", "AuthenticationFailed", "unauthenticated"),
        Kind::BadCredential => (401, "401", "authentication_error", Some("invalid_api_key"), "UNAUTHENTICATED", "authentication_error", "InvalidAuthenticationToken", "unauthenticated"),
        Kind::Forbidden => (403, "PermissionDenied", "permission_error", Some("permission_denied"), "PERMISSION_DENIED", "permission_error", "AuthorizationFailed", "forbidden"),
        Kind::Barred => (403, "403", "permission_error", Some("access_denied"), "PERMISSION_DENIED", "permission_error", "Forbidden", "forbidden"),
        Kind::KeysDisabled => (403, "AuthenticationTypeDisabled", "permission_error", Some("authentication_type_disabled"), "PERMISSION_DENIED", "permission_error", "AuthenticationTypeDisabled", "forbidden"),
        Kind::UnknownRoute => (404, "404", INVALID, Some("unknown_url"), "ENDPOINT_NOT_FOUND", "not_found_error", "NotFound", "not_found"),
        Kind::WrongMethod => (405, "405", INVALID, Some("method_not_supported"), "ENDPOINT_NOT_FOUND", INVALID, "MethodNotAllowed", "method_not_allowed"),
        Kind::UnknownDeployment => (404, "DeploymentNotFound", INVALID, Some("model_not_found"), "RESOURCE_DOES_NOT_EXIST", "not_found_error", "ResourceNotFound", "not_found"),
        Kind::UnknownId => (404, "NotFound", INVALID, None, "RESOURCE_DOES_NOT_EXIST", "not_found_error", "ResourceNotFound", "not_found"),
        Kind::TaskMismatch => (400, "OperationNotSupported", INVALID, Some("operation_not_supported"), "BAD_REQUEST", INVALID, "BadRequest", "invalid_request"),
        Kind::Unsupported => (501, "NotSupported", INVALID, Some("not_supported"), "NOT_IMPLEMENTED", "api_error", "NotImplemented", "not_supported"),
        Kind::Filtered => (400, "content_filter", INVALID, Some("content_filter"), "BAD_REQUEST", INVALID, "BadRequest", "content_filter"),
        Kind::Unfiltered => (503, "content_filter_error", "api_error", Some("content_filter_error"), "TEMPORARILY_UNAVAILABLE", "api_error", "ServiceUnavailable", "content_filter_error"),
        Kind::RateLimited => (429, "429", "rate_limit_error", Some("rate_limit_exceeded"), "REQUEST_LIMIT_EXCEEDED", "rate_limit_error", "TooManyRequests", "rate_limited"),
        Kind::NeverFits => (400, "429", INVALID, Some("limit_too_small"), "BAD_REQUEST", INVALID, "BadRequest", "limit_too_small"),
        Kind::Conflict => (409, "409", "conflict_error", None, "RESOURCE_CONFLICT", INVALID, "Conflict", "conflict"),
        Kind::Unavailable => (503, "ServiceUnavailable", "api_error", Some("unavailable"), "TEMPORARILY_UNAVAILABLE", "api_error", "ServiceUnavailable", "unavailable"),
        Kind::UpstreamFailed => (500, "InternalServerError", "api_error", Some("upstream_error"), "INTERNAL_ERROR", "api_error", "InternalServerError", "upstream_error"),
        Kind::BadGateway => (502, "BadGateway", "api_error", Some("upstream_error"), "TEMPORARILY_UNAVAILABLE", "api_error", "BadGateway", "upstream_error"),
        Kind::Overloaded => (503, "ServiceUnavailable", "overloaded_error", Some("upstream_overloaded"), "TEMPORARILY_UNAVAILABLE", "overloaded_error", "ServiceUnavailable", "upstream_overloaded"),
        Kind::Timeout => (504, "Timeout", "timeout_error", Some("upstream_timeout"), "DEADLINE_EXCEEDED", "timeout_error", "GatewayTimeout", "upstream_timeout"),
        Kind::Internal => (500, "InternalServerError", "api_error", Some("internal_error"), "INTERNAL_ERROR", "api_error", "InternalServerError", "internal_error"),
    };
    Row { status, azure, openai_type, openai_code, databricks, anthropic, arm, weir }
}
