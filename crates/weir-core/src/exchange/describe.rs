//! Answers that the snapshot gives alone: what can be called, and what a deployment is.
//!
//! Above the stages. Decides the bodies of `GET …/models` (`azure.md` B1 and B2), `GET …/info` (A7) and
//! `GET …/swagger.json` (A1), and the endpoints and routes of `MLflow`'s gateway (`databricks.md` 11.5). Only what
//! the caller may query is shown.

use crate::auth::Caller;
use crate::error::WeirError;
use crate::route::{self, RouteError};
use crate::snapshot::index::{ReadyDeployment, SnapshotIndex};
use crate::snapshot::{LimitScope, Meter, Task};
use crate::surface::{Asks, DataRoute, HeaderValues, Surface};
use crate::wire::envelope::Envelope;
use crate::wire::error::{WireError, echo};
use crate::wire::quote::{self, push_json};
use alloc::format;
use alloc::string::String;
use core::fmt::Write;

/// The body of the answer; `None` if the route asks for a model's answer.
///
/// # Errors
/// [`WeirError::Route`] for a deployment that there is not, or not for this caller.
pub(super) fn answer(
    index: &SnapshotIndex,
    caller: &Caller<'_>,
    route: &DataRoute<'_>,
    headers: &HeaderValues<'_>,
) -> Result<Option<String>, WeirError> {
    let may = |ready: &ReadyDeployment| {
        caller.may_query(index, ready, route::right(route, ready.deployment.task)).is_ok()
    };
    let located = || route::locate(index, caller, route, headers, &Envelope::empty());
    match &route.asks {
        Asks::Answer | Asks::Schema(_) | Asks::Messages { .. } | Asks::Gemini(_) | Asks::Pass(_) => Ok(None),
        Asks::Models { id: Some(id), deployments } => {
            let found = index.find(id).filter(|ready| may(ready));
            let ready = found.ok_or_else(|| RouteError::UnknownDeployment { name: echo(id) })?;
            let of_gateway = route.surface == Surface::MlflowGateway;
            Ok(Some(if of_gateway { gateway(ready, *deployments) } else { model(ready, route.surface) }))
        }
        Asks::Models { id: None, deployments } => {
            let only = if route.name.is_some() { Some(located()?) } else { None };
            let mut rows = String::new();
            for ready in index.deployments() {
                let shown = only.is_none_or(|only| only.folded == ready.folded);
                if !shown || !may(ready) {
                    continue;
                }
                if !rows.is_empty() {
                    rows.push(',');
                }
                rows.push_str(&match (route.surface, deployments) {
                    (Surface::MlflowGateway, legacy) => gateway(ready, *legacy),
                    (_, true) => deployment(ready),
                    (_, false) => model(ready, route.surface),
                });
            }
            if route.surface == Surface::MlflowGateway {
                let list = if *deployments { "routes" } else { "endpoints" };
                return Ok(Some(format!("{{\"{list}\":[{rows}],\"next_page_token\":null}}")));
            }
            Ok(Some(format!("{{\"object\":\"list\",\"data\":[{rows}]}}")))
        }
        Asks::Info => match located() {
            // A call without a model has nothing to describe: no such resource (A1).
            Err(RouteError::NoModel) => {
                Err(WireError::UnknownRoute { method: "GET".into(), path: "/info".into() }.into())
            }
            found => Ok(Some(info(found?))),
        },
        Asks::Document => Ok(Some(document(located()?))),
    }
}

/// Azure's surfaces tell of a model what Azure OpenAI tells of one; the others what `OpenAI` does.
fn model(ready: &ReadyDeployment, surface: Surface) -> String {
    let created = ready.deployment.created_at.seconds();
    let mut row = start(ready);
    let _written = write!(row, ",\"object\":\"model\",\"created\":{created},\"owned_by\":");
    push_json(&mut row, owner(ready));
    if matches!(surface, Surface::AzureOpenAi | Surface::AzureOpenAiV1) {
        let task = ready.deployment.task;
        let (chat, text, embeddings) =
            (task == Task::Chat, task == Task::Completions, task == Task::Embeddings);
        let _written = write!(
            row,
            ",\"created_at\":{created},\"status\":\"succeeded\",\"lifecycle_status\":\"generally-available\",\
             \"capabilities\":{{\"inference\":true,\"fine_tune\":false,\"completion\":{text},\
             \"chat_completion\":{chat},\"embeddings\":{embeddings}}},\"model\":"
        );
        push_json(&mut row, &ready.deployment.model);
    }
    row.push('}');
    row
}

/// A row of `GET /openai/deployments` (B1).
fn deployment(ready: &ReadyDeployment) -> String {
    let created = ready.deployment.created_at.seconds();
    let mut row = start(ready);
    row.push_str(
        ",\"object\":\"deployment\",\"status\":\"succeeded\",\"owner\":\"organization-owner\",\"model\":",
    );
    push_json(&mut row, &ready.deployment.model);
    let _written = write!(row, ",\"created_at\":{created}}}");
    row
}

/// An endpoint of `MLflow`'s gateway, or what its older API calls a route. One page holds them all.
fn gateway(ready: &ReadyDeployment, legacy: bool) -> String {
    let deployment = &ready.deployment;
    let calls = deployment
        .limits
        .iter()
        .find(|limit| limit.meter == Meter::Requests && limit.scope == LimitScope::Deployment);
    let limit = calls.map_or_else(
        || String::from("null"),
        |limit| format!("{{\"calls\":{},\"key\":null,\"renewal_period\":\"minute\"}}", limit.amount),
    );
    let provider = deployment.entities.first().map_or("", |entity| entity.provider.as_str());
    let (kind, url) = if legacy { ("route_type", "route_url") } else { ("endpoint_type", "endpoint_url") };
    let task = match deployment.task {
        Task::Chat => "llm/v1/chat",
        Task::Completions => "llm/v1/completions",
        Task::Embeddings => "llm/v1/embeddings",
    };
    let name = deployment.name.as_str();
    format!(
        "{{\"name\":{},\"{kind}\":\"{task}\",\"model\":{{\"name\":{},\"provider\":{}}},\
         \"{url}\":{},\"limit\":{limit}}}",
        quote::json(name),
        quote::json(&deployment.model),
        quote::json(provider),
        quote::json(&format!("/gateway/{name}/invocations")),
    )
}

fn start(ready: &ReadyDeployment) -> String {
    let mut row = String::from("{\"id\":");
    push_json(&mut row, ready.deployment.name.as_str());
    row
}

fn owner(ready: &ReadyDeployment) -> &str {
    let publisher = ready.deployment.publisher.as_str();
    if publisher.is_empty() { "weir" } else { publisher }
}

/// A7: the spellings of `model_type` that every client knows.
fn info(ready: &ReadyDeployment) -> String {
    let kind = match ready.deployment.task {
        Task::Chat => "chat-completions",
        Task::Completions => "text-generation",
        Task::Embeddings => "embeddings",
    };
    let provider = match ready.deployment.publisher.as_str() {
        "" => ready.deployment.entities.first().map_or("", |entity| entity.provider.as_str()),
        publisher => publisher,
    };
    format!(
        "{{\"model_name\":{},\"model_type\":\"{kind}\",\"model_provider_name\":{}}}",
        quote::json(&ready.deployment.model),
        quote::json(provider)
    )
}

/// What the endpoint answers, as an `OpenAPI` document of its routes.
fn document(ready: &ReadyDeployment) -> String {
    let routes: &[&str] = match ready.deployment.task {
        Task::Chat => &["/chat/completions", "/v1/chat/completions", "/completions", "/v1/completions"],
        Task::Completions => &["/completions", "/v1/completions"],
        Task::Embeddings => &["/embeddings", "/images/embeddings", "/v1/embeddings"],
    };
    let mut paths = String::new();
    for route in routes {
        let _written = write!(
            paths,
            "\"{route}\":{{\"post\":{{\"requestBody\":{{\"required\":true,\"content\":{{\"application/json\":\
             {{\"schema\":{{\"type\":\"object\"}}}}}}}},\"responses\":{{\"200\":{{\"description\":\"The model's \
             answer.\"}},\"default\":{{\"description\":\"An error.\"}}}}}}}},"
        );
    }
    format!(
        "{{\"openapi\":\"3.0.3\",\"info\":{{\"title\":{},\"version\":\"2024-05-01-preview\"}},\
         \"security\":[{{\"bearer\":[]}}],\"components\":{{\"securitySchemes\":{{\"bearer\":{{\"type\":\"http\",\
         \"scheme\":\"bearer\"}}}}}},\"paths\":{{{paths}\"/info\":{{\"get\":{{\"responses\":{{\"200\":\
         {{\"description\":\"The model's name, type and provider.\"}}}}}}}}}}}}",
        quote::json(ready.deployment.name.as_str())
    )
}
