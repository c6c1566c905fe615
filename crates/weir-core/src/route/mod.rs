//! Stage 3: which deployment. The name that a request holds, by the rule of its surface, becomes a deployment.
//!
//! Decides where the name comes from, whether the caller may query it and whether it does what is asked; not
//! which of its entities is called (`attempt`). Sources: `azure.md` A3, B1, B2; `databricks.md` 10.2 and 10.3.

pub mod select;

use crate::auth::{Caller, Refusal};
use crate::snapshot::access::Right;
use crate::snapshot::index::{ReadyDeployment, SnapshotIndex};
use crate::snapshot::{Task, Unready};
use crate::surface::{Asks, DataRoute, Header, HeaderValues, Matter, Surface};
use crate::wire::envelope::Envelope;
use crate::wire::error::echo;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;

/// Why no deployment takes the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Neither path nor body nor header names a deployment.
    #[error("no deployment is named")]
    NoModel,
    /// The account has no such deployment: it may be newer than the snapshot.
    #[error("no deployment is called {name:?}")]
    UnknownDeployment {
        /// As the caller wrote it, cut to a bounded length.
        name: String,
    },
    /// The endpoint is there, and no configuration of it serves.
    #[error("{name:?} is not ready")]
    NotReady {
        /// As it is configured.
        name: String,
        /// Its first configuration is being deployed.
        coming: bool,
    },
    /// The caller's key is bound to other deployments.
    #[error("the key may not query {name:?}")]
    NotAllowed {
        /// As it is configured.
        name: String,
    },
    /// No role of the caller's gives the right to query in this way: it may be newer than the snapshot.
    #[error("no role gives {right:?} on {name:?}")]
    Lacks {
        /// What is missing.
        right: Right,
        /// As it is configured.
        name: String,
    },
    /// The marketplace subscription of its model is gone (`azure.md`, C2).
    #[error("{name:?} is suspended")]
    Suspended {
        /// As it is configured.
        name: String,
    },
    /// What is asked for is passed to the provider, and the deployment's provider does not have it.
    #[error("the provider of {name:?} does not have it: {what}")]
    ProviderLacks {
        /// As it is configured.
        name: String,
        /// What is asked for, as a noun phrase.
        what: &'static str,
    },
    /// What is asked for is passed to a provider, and no deployment has one that could.
    #[error("no provider has it: {what}")]
    NowhereKept {
        /// What is asked for, as a noun phrase.
        what: &'static str,
    },
    /// Nothing that is kept has this id: it may be kept by a deployment that is newer than the snapshot.
    #[error("nothing that is kept has this id")]
    UnknownId,
    /// The deployment does something else.
    #[error("{name:?} does not do {asked:?} but {has:?}")]
    TaskMismatch {
        /// As it is configured.
        name: String,
        /// What the request asks for.
        asked: Task,
        /// What the deployment does.
        has: Task,
    },
}

impl RouteError {
    /// A short word for metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::NoModel => "no_model",
            Self::UnknownDeployment { .. } => "unknown_deployment",
            Self::NotReady { .. } => "not_ready",
            Self::NotAllowed { .. } => "not_allowed",
            Self::Lacks { .. } => "lacks_role",
            Self::Suspended { .. } => "suspended",
            Self::ProviderLacks { .. } => "provider_lacks",
            Self::NowhereKept { .. } => "nowhere_kept",
            Self::UnknownId => "unknown_id",
            Self::TaskMismatch { .. } => "task_mismatch",
        }
    }
}

/// Finds the deployment that a request asks for.
///
/// # Errors
/// [`RouteError`]. [`RouteError::UnknownDeployment`] and [`RouteError::NotReady`] may be the snapshot's age: one refresh
/// before they are final.
pub fn find<'i>(
    index: &'i SnapshotIndex,
    caller: &Caller<'_>,
    route: &DataRoute<'_>,
    headers: &HeaderValues<'_>,
    envelope: &Envelope<'_>,
) -> Result<&'i ReadyDeployment, RouteError> {
    let ready = locate(index, caller, route, headers, envelope)?;
    let has = ready.deployment.task;
    let mismatch = match (route.task, envelope.task()) {
        (Some(asked), _) => (!ready.serves(asked)).then_some(asked),
        (None, Some(spoken)) => (spoken != has).then_some(spoken),
        (None, None) => None,
    };
    match mismatch {
        Some(asked) => {
            Err(RouteError::TaskMismatch { name: String::from(ready.deployment.name.as_str()), asked, has })
        }
        None => Ok(ready),
    }
}

/// As [`find`], whatever the deployment does.
///
/// # Errors
/// [`RouteError`] as [`find`], but for the task.
pub fn locate<'i>(
    index: &'i SnapshotIndex,
    caller: &Caller<'_>,
    route: &DataRoute<'_>,
    headers: &HeaderValues<'_>,
    envelope: &Envelope<'_>,
) -> Result<&'i ReadyDeployment, RouteError> {
    let name = named(route, headers, envelope).ok_or(RouteError::NoModel)?;
    let Some(ready) = index.find(&name).or_else(|| foundation(index, route, &name)) else {
        return Err(match index.unready(&name) {
            Some(Unready { name, coming }) => {
                RouteError::NotReady { name: String::from(name.as_str()), coming: *coming }
            }
            None => RouteError::UnknownDeployment { name: echo(&name) },
        });
    };
    let configured = || String::from(ready.deployment.name.as_str());
    let suspended = ready.deployment.serverless.as_ref().is_some_and(|own| own.suspended);
    match caller.may_query(index, ready, right(route, ready.deployment.task)) {
        Ok(()) if suspended => Err(RouteError::Suspended { name: configured() }),
        Ok(()) => Ok(ready),
        Err(Refusal::Unbound) => Err(RouteError::NotAllowed { name: configured() }),
        Err(Refusal::Lacks(right)) => Err(RouteError::Lacks { right, name: configured() }),
    }
}

/// A model of Databricks' own by its name in the catalog: `system.ai.x` is served by the endpoint `databricks-x`
/// (`databricks.md`, 1.2 and 10.8).
fn foundation<'i>(
    index: &'i SnapshotIndex,
    route: &DataRoute<'_>,
    name: &str,
) -> Option<&'i ReadyDeployment> {
    let model = name.strip_prefix("system.ai.").filter(|_| route.surface == Surface::ServingEndpoints)?;
    index.find(&format!("databricks-{model}"))
}

/// The right that a route needs (`azure.md`, C5), `has` being the task of the deployment: the model inference API
/// has actions of its own; all other surfaces speak in the manner of `OpenAI`.
pub fn right(route: &DataRoute<'_>, has: Task) -> Right {
    let models = matches!(route.surface, Surface::ModelInference | Surface::Serverless);
    match (&route.asks, route.task.unwrap_or(has), models) {
        (Asks::Pass(passage), _, _) => match passage.matter {
            Matter::Images => Right::Images,
            Matter::Audio => Right::Audio,
            Matter::Responses | Matter::Kept => Right::Other,
        },
        (Asks::Models { .. }, _, false) => Right::Read,
        (Asks::Models { .. }, _, true) | (Asks::Info | Asks::Document, _, _) => Right::ModelsRead,
        (Asks::Answer | Asks::Schema(_) | Asks::Messages { .. } | Asks::Gemini(_), Task::Chat, false) => {
            Right::Chat
        }
        (
            Asks::Answer | Asks::Schema(_) | Asks::Messages { .. } | Asks::Gemini(_),
            Task::Completions,
            false,
        ) => Right::Completions,
        (
            Asks::Answer | Asks::Schema(_) | Asks::Messages { .. } | Asks::Gemini(_),
            Task::Embeddings,
            false,
        ) => Right::Embeddings,
        (Asks::Answer | Asks::Schema(_) | Asks::Messages { .. } | Asks::Gemini(_), Task::Chat, true) => {
            Right::ModelsChat
        }
        (
            Asks::Answer | Asks::Schema(_) | Asks::Messages { .. } | Asks::Gemini(_),
            Task::Completions,
            true,
        ) => Right::ModelsCompletions,
        (
            Asks::Answer | Asks::Schema(_) | Asks::Messages { .. } | Asks::Gemini(_),
            Task::Embeddings,
            true,
        ) => Right::ModelsEmbeddings,
    }
}

/// The name that the request holds, by the rule of its surface; `None` if there is none where it should be.
///
/// The address wins where it names a deployment. Else the body's `model`; on the model inference surface after
/// that `x-ms-model-mesh-model-name`, then `azureml-model-deployment`. An empty name is none.
fn named<'a>(
    route: &'a DataRoute<'_>,
    headers: &HeaderValues<'a>,
    envelope: &Envelope<'a>,
) -> Option<Cow<'a, str>> {
    if let Some(name) = &route.name {
        return Some(Cow::Borrowed(name));
    }
    let model = envelope.model.and_then(|field| field.text()).filter(|name| !name.is_empty());
    if model.is_some() || route.surface != Surface::ModelInference {
        return model;
    }
    let mesh = headers.get(Header::ModelMeshModelName);
    mesh.or_else(|| headers.get(Header::AzuremlModelDeployment)).map(Cow::Borrowed)
}

#[cfg(test)]
mod tests;
