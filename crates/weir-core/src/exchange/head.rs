//! The head of an answer: which headers a surface's clients look for.
//!
//! Above the stages. Decides names and values for good answers; those of errors are `reply`'s. Each header costs
//! about 2 % of an exchange's processor time, so only those stand here that a client reads or an engineer needs:
//! the request id, the limits that could refuse the next call, and what each surface promises (`azure.md` B4,
//! `databricks.md` 10.4).

use super::action::Head;
use crate::id::RequestId;
use crate::limit::headers::{SpanForm, Standing};
use crate::snapshot::Meter;
use crate::surface::Surface;
use crate::wire::bounds::ECHO_BYTES_MAX;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What the head tells.
pub(super) struct HeadFacts<'a> {
    pub(super) surface: Surface,
    pub(super) id: RequestId,
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    /// Served entity that answered.
    pub(super) entity: Option<&'a str>,
    /// The caller's own id, echoed on Azure's surfaces.
    pub(super) client_request_id: Option<&'a str>,
    /// The region's name, as it is set.
    pub(super) region: Option<&'a str>,
}

/// How a surface writes spans of time (`design.md` section 8, "Reset headers").
const fn span_form(surface: Surface) -> SpanForm {
    match surface {
        Surface::ModelInference | Surface::Serverless | Surface::AzureOpenAi | Surface::AzureOpenAiV1 => {
            SpanForm::Seconds
        }
        Surface::OpenAi
        | Surface::Anthropic
        | Surface::Gemini
        | Surface::ServingEndpoints
        | Surface::MlflowGateway
        | Surface::Arm
        | Surface::DatabricksApi
        | Surface::Weir => SpanForm::Go,
    }
}

/// The name of the region where nobody gave one; accounts are in it as well (`control::arm`).
const REGION: &str = "Global";

/// Adds what every answer of Azure's surfaces has: the region, and the caller's own id if it can be a header's value.
pub(super) fn dress(
    headers: &mut Vec<(&'static str, String)>,
    surface: Surface,
    region: Option<&str>,
    echo: Option<&str>,
) {
    if span_form(surface) != SpanForm::Seconds {
        return;
    }
    let legal =
        |text: &&str| text.len() <= ECHO_BYTES_MAX && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    headers.push(("x-ms-region", region.filter(legal).unwrap_or(REGION).to_owned()));
    if let Some(echo) = echo.filter(legal) {
        headers.push(("x-ms-client-request-id", echo.to_owned()));
    }
}

/// The head of a good answer. `standings` are the exchange's limits as they stand now.
pub(super) fn answer(facts: &HeadFacts<'_>, standings: &[Standing]) -> Head {
    let mut headers: Vec<(&'static str, String)> = Vec::with_capacity(12);
    headers.push(("content-type", facts.content_type.to_owned()));
    match facts.surface {
        Surface::ModelInference | Surface::Serverless | Surface::AzureOpenAi | Surface::AzureOpenAiV1 => {
            let id = facts.id.to_string();
            // Azure's name for it, and the one that the OpenAI client shows as `request_id` (B4).
            if matches!(facts.surface, Surface::AzureOpenAi | Surface::AzureOpenAiV1) {
                headers.push(("x-request-id", id.clone()));
            }
            headers.push(("apim-request-id", id));
            dress(&mut headers, facts.surface, facts.region, facts.client_request_id);
        }
        Surface::ServingEndpoints | Surface::MlflowGateway | Surface::Gemini => {
            headers.push(("x-request-id", facts.id.to_string()));
            if let Some(entity) = facts.entity {
                headers.push(("served-model-name", entity.to_owned()));
            }
        }
        Surface::Anthropic => headers.push(("request-id", facts.id.to_string())),
        Surface::OpenAi | Surface::Arm | Surface::DatabricksApi | Surface::Weir => {
            headers.push(("x-request-id", facts.id.to_string()));
        }
    }
    // Reserved throughput: tokens are counted and requests are not (B4).
    if let ([standing @ Standing { meter: Meter::Tokens, .. }], SpanForm::Seconds) =
        (standings, span_form(facts.surface))
    {
        let used = standing.percent();
        headers.push(("azure-openai-deployment-utilization", format!("{used}%")));
    }
    for standing in standings {
        standing.push_headers(&mut headers, span_form(facts.surface));
    }
    Head { status: facts.status, headers }
}
