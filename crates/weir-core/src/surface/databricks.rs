//! Routes of Databricks' query plane and of `MLflow`'s generic gateway, and the door to its management plane.
//!
//! Stage 0. Sources: `databricks.md` 1.2 (Q1 to Q9), 1.4, 11.5.

use super::{Asked, CHAT, COMPLETIONS, Disposition, EMBEDDINGS, INVOCATIONS, Surface};
use crate::snapshot::Task;

/// `/serving-endpoints/*`: literal routes differ from an endpoint's only in the last segment, so an endpoint may
/// be called `chat`.
pub(super) fn serving_endpoints<'a>(asked: &Asked<'a>, rest: &[&'a str]) -> Disposition<'a> {
    const SURFACE: Surface = Surface::ServingEndpoints;
    match rest {
        [name, "invocations"] => asked.data(SURFACE, None, INVOCATIONS, Some(name)),
        ["chat", "completions"] => asked.data(SURFACE, Some(Task::Chat), CHAT, None),
        ["completions"] => asked.data(SURFACE, Some(Task::Completions), COMPLETIONS, None),
        ["embeddings"] => asked.data(SURFACE, Some(Task::Embeddings), EMBEDDINGS, None),
        ["responses"] => asked.unsupported(SURFACE, "POST", "The Responses API"),
        ["models"] => asked.unsupported(SURFACE, "GET", "The list of models"),
        ["anthropic", "v1", "messages"] => asked.unsupported(SURFACE, "POST", "The Messages API"),
        ["gemini", "v1beta", "models", _] => asked.unsupported(SURFACE, "POST", "The Gemini API"),
        _ => asked.unknown(SURFACE),
    }
}

/// `/ai-gateway/*`.
pub(super) fn ai_gateway<'a>(asked: &Asked<'a>, rest: &[&'a str]) -> Disposition<'a> {
    const SURFACE: Surface = Surface::ServingEndpoints;
    match rest {
        ["mlflow" | "openai", "v1", _, ..] => {
            asked.unsupported(SURFACE, "POST, GET", "The /ai-gateway base address")
        }
        _ => asked.unknown(SURFACE),
    }
}

/// `/endpoints/*` and `/gateway/*` of `MLflow`'s own gateway.
pub(super) fn mlflow_query<'a>(asked: &Asked<'a>, rest: &[&'a str]) -> Disposition<'a> {
    const SURFACE: Surface = Surface::MlflowGateway;
    match rest {
        [_, "invocations"] => asked.unsupported(SURFACE, "POST", "The MLflow AI Gateway"),
        _ => asked.unknown(SURFACE),
    }
}

/// `/api/*` but Weir's own: Databricks' management plane, and the lists of `MLflow`'s gateway.
pub(super) fn api<'a>(asked: &Asked<'a>, rest: &[&'a str]) -> Disposition<'a> {
    match rest {
        ["2.0", "endpoints", ..] | ["2.0" | "3.0", "gateway", ..] => {
            asked.unsupported(Surface::MlflowGateway, "GET", "The MLflow AI Gateway")
        }
        ["2.0" | "2.1", _, ..] => asked.management(Surface::DatabricksApi),
        _ => asked.unknown(Surface::DatabricksApi),
    }
}
