//! `GET …/{name}/openapi`: what an endpoint takes and answers, as an `OpenAPI` document (`databricks.md`, M9).
//!
//! Decides the document by the endpoint's task, after `databricks.md` 10.2 and 10.4.

use super::super::answer::Answer;
use super::super::command::{Desk, Outcome};
use super::endpoints::find;
use crate::snapshot::Task;
use alloc::borrow::ToOwned;
use alloc::format;
use serde_json::{Value, json};

/// The document of the endpoint `name`.
///
/// # Errors
/// 404.
pub fn document(desk: &Desk<'_>, name: &str) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name)?;
    let task = spec.task().unwrap_or(Task::Chat);
    let path = format!("/serving-endpoints/{}/invocations", row.name);
    let (request, response) = schemas(task);
    let content = |schema: Value| json!({"application/json": {"schema": schema}});
    let problem = json!({"type": "object", "required": ["error_code", "message"],
        "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}}});
    let refused = |about: &str| json!({"description": about, "content": content(problem.clone())});
    let document = json!({
        "openapi": "3.1.0",
        "info": {"title": row.name, "version": format!("{}", spec.active.as_ref().map_or(0, |config| config.version))},
        "servers": [{"url": desk.origin}],
        "paths": {path: {"post": {
            "operationId": "query",
            "requestBody": {"required": true, "content": content(request)},
            "responses": {
                "200": {"description": "The model's answer", "content": content(response)},
                "400": refused("The request is not valid"), "401": refused("No credential, or an unknown one"),
                "403": refused("The caller may not query"), "404": refused("There is no such endpoint"),
                "429": refused("A rate limit is used up; see Retry-After"),
            },
        }}},
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
        "security": [{"bearer": []}],
    });
    Ok(Outcome::reading(Answer::json(200, &document)))
}

fn schemas(task: Task) -> (Value, Value) {
    let text = json!({"type": "string"});
    let texts = json!({"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]});
    let count = json!({"type": "integer", "minimum": 1});
    let usage = json!({"type": "object", "properties": {
        "prompt_tokens": {"type": "integer"}, "completion_tokens": {"type": "integer"},
        "total_tokens": {"type": "integer"}}});
    let message = json!({"type": "object", "required": ["role"], "properties": {
        "role": {"type": "string"}, "content": {}, "tool_calls": {"type": "array"}}});
    let answer = |choice: Value| {
        json!({"type": "object", "properties": {"id": text, "object": text, "created": {"type": "integer"},
            "model": text, "choices": {"type": "array", "items": choice}, "usage": usage}})
    };
    let common = json!({"max_tokens": count, "n": count, "stop": texts, "stream": {"type": "boolean"},
        "temperature": {"type": "number", "minimum": 0, "maximum": 2}, "top_p": {"type": "number"},
        "extra_params": {"type": "object"}, "client_request_id": text, "usage_context": {"type": "object"}});
    let with = |name: &str, schema: Value| {
        let mut properties = common.clone();
        if let Some(members) = properties.as_object_mut() {
            members.insert(name.to_owned(), schema);
        }
        json!({"type": "object", "required": [name], "properties": properties})
    };
    match task {
        Task::Chat => (
            with("messages", json!({"type": "array", "minItems": 1, "items": message})),
            answer(json!({"type": "object", "properties": {
                "index": {"type": "integer"}, "message": message, "finish_reason": text}})),
        ),
        Task::Completions => (
            with("prompt", texts.clone()),
            answer(json!({"type": "object", "properties": {
                "index": {"type": "integer"}, "text": text, "finish_reason": text}})),
        ),
        Task::Embeddings => (
            json!({"type": "object", "required": ["input"], "properties": {
                "input": texts, "dimensions": count, "encoding_format": text}}),
            json!({"type": "object", "properties": {"object": text, "model": text, "usage": usage,
                "data": {"type": "array", "items": {"type": "object", "properties": {
                    "object": text, "index": {"type": "integer"},
                    "embedding": {"type": "array", "items": {"type": "number"}}}}}}}),
        ),
    }
}
