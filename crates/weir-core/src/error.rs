//! Everything that can go wrong with an exchange, as one type for those above the stages.
//!
//! Decides whose fault an error is and its word for metrics; not its status or text, which are `reply`'s alone.

use crate::attempt::AttemptError;
use crate::auth::AuthError;
use crate::limit::LimitError;
use crate::policy::PolicyError;
use crate::route::RouteError;
use crate::wire::WireError;

/// Why an exchange has no answer from a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeirError {
    /// The request is not one that can be acted on.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Nobody known calls.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// No deployment takes it.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// A limit stands against it.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The content policy stands against it.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// No model gave a usable answer.
    #[error(transparent)]
    Attempt(#[from] AttemptError),
    /// The account's configuration has not reached this isolate yet.
    #[error("the configuration is not at hand")]
    ConfigurationUnavailable,
    /// This isolate has more exchanges in hand than it may.
    #[error("too many exchanges at once")]
    Overloaded,
    /// Something that cannot happen, did.
    #[error("a fault of the gateway: {what}")]
    Bug {
        /// For the operator; never shown to callers.
        what: &'static str,
    },
}

/// Who could have prevented an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The caller.
    Client,
    /// A model's server.
    Upstream,
    /// This gateway, or its operator.
    Weir,
}

impl WeirError {
    /// A short word for metrics, one of a fixed set.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Wire(error) => error.label(),
            Self::Auth(error) => error.label(),
            Self::Route(error) => error.label(),
            Self::Limit(LimitError::Exceeded { .. }) => "limit_exceeded",
            Self::Limit(LimitError::NeverFits { .. }) => "limit_never_fits",
            Self::Limit(LimitError::Unavailable) => "limiter_unavailable",
            Self::Policy(PolicyError::PromptFiltered { .. }) => "prompt_filtered",
            Self::Policy(PolicyError::Guardrail { .. }) => "guardrail",
            Self::Policy(PolicyError::NoVerdict) => "classifier_failed",
            Self::Attempt(AttemptError::UpstreamStatus { .. }) => "upstream_status",
            Self::Attempt(AttemptError::PromptTooLong { .. }) => "prompt_too_long",
            Self::Attempt(AttemptError::Unreachable) => "upstream_unreachable",
            Self::Attempt(AttemptError::Timeout) => "upstream_timeout",
            Self::Attempt(AttemptError::Malformed) => "upstream_malformed",
            Self::Attempt(AttemptError::BadCredential) => "upstream_bad_credential",
            Self::Attempt(AttemptError::Redirect) => "upstream_redirect",
            Self::ConfigurationUnavailable => "configuration_unavailable",
            Self::Overloaded => "overloaded",
            Self::Bug { .. } => "bug",
        }
    }

    /// Who could have prevented it. An upstream's 4xx is the caller's (`design.md`, 8, "Fallback"), its refusal
    /// of the gateway's credential the operator's.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Wire(_)
            | Self::Auth(_)
            | Self::Route(_)
            | Self::Policy(PolicyError::PromptFiltered { .. } | PolicyError::Guardrail { .. })
            | Self::Limit(LimitError::Exceeded { .. } | LimitError::NeverFits { .. })
            | Self::Attempt(AttemptError::PromptTooLong { .. }) => Blame::Client,
            Self::Attempt(AttemptError::UpstreamStatus { status: 400 | 404 | 409 | 413 | 422, .. }) => {
                Blame::Client
            }
            Self::Attempt(AttemptError::BadCredential)
            | Self::Limit(LimitError::Unavailable)
            | Self::Policy(PolicyError::NoVerdict)
            | Self::ConfigurationUnavailable
            | Self::Overloaded
            | Self::Bug { .. } => Blame::Weir,
            Self::Attempt(
                AttemptError::UpstreamStatus { .. }
                | AttemptError::Unreachable
                | AttemptError::Timeout
                | AttemptError::Malformed
                | AttemptError::Redirect,
            ) => Blame::Upstream,
        }
    }
}
