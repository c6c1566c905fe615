//! Bodies: the error shape of each surface.
//!
//! Sources: `azure.md` A8, B7 and C0; `databricks.md` 5.1, 10.6 and 11.5; `providers.md` 1.4, 4.6 and 6.7.

use super::table::Row;
use crate::attempt::AttemptError;
use crate::auth::AuthError;
use crate::error::WeirError;
use crate::id::RequestId;
use crate::policy::PolicyError;
use crate::route::RouteError;
use crate::surface::{INVOCATIONS, RESPONSES, Surface};
use crate::wire::WireError;
use crate::wire::object::Object;
use crate::wire::quote::push_json;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use serde_json::Value;

/// Everything that a body shows.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) error: &'a WeirError,
    pub(super) surface: Surface,
    pub(super) operation: &'a str,
    pub(super) row: Row,
    pub(super) message: &'a str,
    pub(super) request_id: RequestId,
}

/// `{"error":…}`.
fn wrapped(inner: Object) -> String {
    Object::new().raw("error", &inner.end()).end()
}

impl Shown<'_> {
    pub(super) fn body(&self) -> String {
        match self.surface {
            Surface::ModelInference | Surface::Serverless => self.model_inference(),
            Surface::AzureOpenAi | Surface::AzureOpenAiV1 => self.azure_openai(),
            Surface::OpenAi => wrapped(self.openai(self.row.openai_code)),
            Surface::ServingEndpoints | Surface::DatabricksApi => self.databricks(),
            Surface::Anthropic => self.anthropic(),
            Surface::Gemini => self.gemini(),
            Surface::MlflowGateway => Object::new().text("detail", self.message).end(),
            Surface::Arm => wrapped(Object::new().text("code", self.row.arm).text("message", self.message)),
            Surface::Weir => self.weir(),
        }
    }

    /// The member that the error is about.
    fn param(&self) -> Option<&str> {
        match self.error {
            WeirError::Wire(
                WireError::MissingMember { member }
                | WireError::WrongType { member, .. }
                | WireError::OutOfRange { member, .. },
            ) => Some(member),
            WeirError::Wire(
                WireError::DuplicateMember { member } | WireError::NotSupported { member, .. },
            ) => Some(member),
            WeirError::Route(RouteError::NoModel) => Some("model"),
            WeirError::Policy(PolicyError::PromptFiltered { .. }) => Some("prompt"),
            WeirError::Attempt(AttemptError::PromptTooLong { .. }) => Some("messages"),
            WeirError::Wire(_)
            | WeirError::Auth(_)
            | WeirError::Route(_)
            | WeirError::Policy(PolicyError::NoVerdict | PolicyError::Guardrail { .. })
            | WeirError::Limit(_)
            | WeirError::Attempt(_)
            | WeirError::ConfigurationUnavailable
            | WeirError::Overloaded
            | WeirError::Bug { .. } => None,
        }
    }

    /// Azure's code and message (A8, B7).
    fn azure(&self) -> Object {
        Object::new().text("code", self.row.azure).text("message", self.message)
    }

    /// A8. Several of its answers have no `error` object; each is noted in the table there.
    fn model_inference(&self) -> String {
        let serverless = self.surface == Surface::Serverless;
        match self.error {
            WeirError::Auth(AuthError::Missing | AuthError::Malformed | AuthError::BadToken)
            | WeirError::Route(RouteError::UnknownDeployment { .. })
            | WeirError::Wire(WireError::IllegalName)
                if serverless =>
            {
                self.status_text()
            }
            WeirError::Auth(AuthError::Missing | AuthError::Malformed | AuthError::BadToken) => {
                self.status_code()
            }
            WeirError::Route(RouteError::NoModel) => wrapped(self.azure().text("details", self.message)),
            WeirError::Policy(PolicyError::PromptFiltered { results }) => self.filtered(results),
            WeirError::Route(RouteError::TaskMismatch { .. }) => Object::new()
                .number("status", self.row.status)
                .text("error", "The modality is not offered by the model.")
                .text("message", self.message)
                .end(),
            WeirError::Wire(
                WireError::WrongType { member, got, .. } | WireError::OutOfRange { member, got, .. },
            ) => self.unprocessable(member, Some(got)),
            WeirError::Wire(WireError::NotSupported { member, got, .. }) => {
                self.unprocessable(member, got.as_deref())
            }
            WeirError::Wire(WireError::ExtraMembers { .. } | WireError::ExtraParameters) => {
                Object::new().text("detail", self.message).end()
            }
            WeirError::Wire(_)
            | WeirError::Auth(_)
            | WeirError::Route(_)
            | WeirError::Policy(PolicyError::NoVerdict | PolicyError::Guardrail { .. })
            | WeirError::Limit(_)
            | WeirError::Attempt(_)
            | WeirError::ConfigurationUnavailable
            | WeirError::Overloaded
            | WeirError::Bug { .. } => wrapped(self.azure()),
        }
    }

    /// The first shape of a 422 (A8): the docs' schema says `value`, their example `input`.
    fn unprocessable(&self, member: &str, got: Option<&str>) -> String {
        let mut path = String::from("[\"body\"");
        for part in member.split('.') {
            path.push(',');
            if part.bytes().all(|byte| byte.is_ascii_digit()) {
                path.push_str(part);
            } else {
                push_json(&mut path, part);
            }
        }
        path.push(']');
        // What is there as it is; as text if it was cut to its bound.
        let got = match got {
            None => "null".to_owned(),
            Some(json) if crate::json::read::<Value>(json).is_ok() => json.to_owned(),
            Some(cut) => crate::wire::quote::json(cut),
        };
        let detail = Object::new().raw("loc", &path).raw("input", &got).raw("value", &got).end();
        Object::new()
            .number("status", self.row.status)
            .text("code", self.row.azure)
            .raw("detail", &detail)
            .text("message", self.message)
            .end()
    }

    /// A filtered prompt (A8, B5), in the live service's spelling; of a response with what Azure's Responses API has
    /// beside it.
    fn filtered(&self, results: &str) -> String {
        let inner =
            Object::new().text("code", "ResponsibleAIPolicyViolation").raw("content_filter_result", results);
        let error =
            Object::new().text("message", self.message).raw("type", "null").optional("param", self.param());
        let error = error.text("code", self.row.azure).number("status", self.row.status);
        let error = error.raw("innererror", &inner.end());
        if self.operation != RESPONSES {
            return wrapped(error);
        }
        let told = Object::new().raw("blocked", "true").text("source_type", "prompt");
        let told = told.raw("content_filter_results", results).end();
        wrapped(error.raw("content_filters", &format!("[{told}]")))
    }

    fn status_code(&self) -> String {
        Object::new().number("statusCode", self.row.status).text("message", self.message).end()
    }

    fn status_text(&self) -> String {
        Object::new().text("status", self.message).end()
    }

    /// B7: code and message, and for faults of the body what `OpenAI` would add.
    fn azure_openai(&self) -> String {
        if let WeirError::Auth(AuthError::Missing | AuthError::Malformed | AuthError::BadToken) = self.error {
            return self.status_code();
        }
        if let WeirError::Policy(PolicyError::PromptFiltered { results }) = self.error {
            return self.filtered(results);
        }
        let mut error = self.azure();
        if let Some(param) = self.param() {
            error = error.text("param", param).text("type", self.row.openai_type);
        }
        wrapped(error)
    }

    fn openai(&self, code: Option<&str>) -> Object {
        Object::new()
            .text("message", self.message)
            .text("type", self.row.openai_type)
            .optional("param", self.param())
            .optional("code", code)
    }

    /// Shape D of 10.6 on invocations and management, shape C on the routes of the `OpenAI` form; with the detail
    /// that the real service sends (5.1).
    fn databricks(&self) -> String {
        let flat = self.surface == Surface::DatabricksApi || self.operation == INVOCATIONS;
        let code = self.row.databricks;
        let detail = Object::new()
            .text("@type", "type.googleapis.com/google.rpc.RequestInfo")
            .text("request_id", &format!("{}", self.request_id))
            .text("serving_data", "")
            .end();
        let body = Object::new().text("error_code", code).text("message", self.message);
        let body = if flat {
            body.text("code", code).text("type", self.row.openai_type).optional("param", self.param())
        } else {
            body.raw("error", &self.openai(Some(code)).end())
        };
        body.raw("details", &format!("[{detail}]")).end()
    }

    fn anthropic(&self) -> String {
        let error = Object::new().text("type", self.row.anthropic).text("message", self.message).end();
        Object::new()
            .text("type", "error")
            .raw("error", &error)
            .text("request_id", &format!("{}", self.request_id))
            .end()
    }

    /// As Google's APIs tell errors (`providers.md`, 6.7).
    fn gemini(&self) -> String {
        let word = match self.row.status {
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 | 405 => "NOT_FOUND",
            409 => "ABORTED",
            429 => "RESOURCE_EXHAUSTED",
            500 => "INTERNAL",
            501 => "UNIMPLEMENTED",
            502 | 503 => "UNAVAILABLE",
            504 => "DEADLINE_EXCEEDED",
            _ => "INVALID_ARGUMENT",
        };
        let error = Object::new().number("code", self.row.status).text("message", self.message);
        wrapped(error.text("status", word))
    }

    /// `design.md`, 5: `details` names the path of each fault.
    fn weir(&self) -> String {
        let details = match self.param() {
            Some(path) => {
                format!("[{}]", Object::new().text("path", path).text("problem", self.message).end())
            }
            None => String::from("[]"),
        };
        wrapped(
            Object::new().text("code", self.row.weir).text("message", self.message).raw("details", &details),
        )
    }
}
