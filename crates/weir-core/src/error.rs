//! One error over all stages.
use crate::attempt::AttemptError;
use crate::auth::AuthError;
use crate::limit::LimitError;
use crate::route::RouteError;
use crate::wire::error::WireError;

/// Why an exchange ends without an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeirError {
    /// Wire.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Auth.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// Route.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// Limit.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Attempt.
    #[error(transparent)]
    Attempt(#[from] AttemptError),
    /// No configuration.
    #[error("no configuration")]
    ConfigurationUnavailable,
    /// Too much at once.
    #[error("overloaded")]
    Overloaded,
    /// Bug.
    #[error("bug: {what}")]
    Bug {
        /// What.
        what: &'static str,
    },
}
