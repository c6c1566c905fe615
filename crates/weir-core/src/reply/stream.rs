//! What a caller gets when a stream breaks off after its head: the last bytes before the connection is cut.
//!
//! Decides the event that each surface's clients notice; never a terminal event (promise 3). Sources: `azure.md`
//! A11 and B9, `databricks.md` 10.5, `providers.md` 1.7 and 4.6.

use crate::surface::Surface;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Why a stream breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The upstream's broke off.
    Upstream,
    /// A content filter could not judge it.
    Unjudged,
}

impl Broken {
    /// The public text and code. JSON-safe as they are.
    const fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Upstream => ("The model's answer broke off before its end.", None),
            Self::Unjudged => (
                "The content filter of this deployment could not judge the answer, so the rest was withheld.",
                Some("content_filter_error"),
            ),
        }
    }
}

/// The last bytes of a broken stream; the connection is broken after them. Proxies between, and workerd's own
/// HTTP/1.1 server, may end the body regularly all the same, so these bytes must tell even then. Clients of the
/// model inference surface and of `MLflow` skip a data event that holds an error and take the rest for a whole answer,
/// but refuse a line that is not `data:` (`azure.md` A11, `databricks.md` 10.5): for them the event is named. It
/// begins with a blank line, because what was passed on before may end inside a line. `number` is that of the event
/// where the events are numbered, as those of the Responses API are on every surface: its clients raise on an `error`
/// member as they do on chats, and others look for the event's type (`providers.md`, 2.5).
pub fn stream_error(surface: Surface, number: Option<u64>, why: Broken) -> Vec<u8> {
    let (text, own) = why.words();
    let usual = match surface {
        Surface::AzureOpenAi | Surface::AzureOpenAiV1 | Surface::ModelInference | Surface::Serverless => {
            "InternalServerError"
        }
        Surface::ServingEndpoints | Surface::MlflowGateway => "INTERNAL_ERROR",
        Surface::Gemini => "INTERNAL",
        Surface::OpenAi | Surface::Anthropic | Surface::Arm | Surface::DatabricksApi | Surface::Weir => {
            "upstream_error"
        }
    };
    let code = own.unwrap_or(usual);
    if let Some(number) = number {
        return format!(
            "\n\nevent: error\ndata: {{\"type\":\"error\",\"sequence_number\":{number},\"code\":\"{code}\",\
             \"message\":\"{text}\",\"param\":null,\"error\":{{\"message\":\"{text}\",\"type\":\"api_error\",\
             \"param\":null,\"code\":\"{code}\"}}}}\n\n"
        )
        .into_bytes();
    }
    let event = match surface {
        Surface::AzureOpenAi | Surface::AzureOpenAiV1 => format!(
            "data: {{\"error\":{{\"code\":\"{code}\",\"message\":\"{text}\",\"param\":null,\
             \"type\":\"api_error\"}}}}"
        ),
        Surface::OpenAi => format!(
            "data: {{\"error\":{{\"message\":\"{text}\",\"type\":\"api_error\",\"param\":null,\
             \"code\":\"{code}\"}}}}"
        ),
        Surface::ServingEndpoints | Surface::MlflowGateway => format!(
            "event: error\ndata: {{\"error\":{{\"message\":\"{text}\",\"type\":\"server_error\",\"code\":\"{code}\"}},\
             \"error_code\":\"INTERNAL_ERROR\",\"message\":\"{text}\"}}"
        ),
        Surface::Anthropic => format!(
            "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"api_error\",\"message\":\"{text}\"}}}}"
        ),
        // The client of Google takes a data event for an answer whatever it holds, and refuses any other line.
        Surface::Gemini => format!(
            "event: error\ndata: {{\"error\":{{\"code\":500,\"message\":\"{text}\",\"status\":\"{code}\"}}}}"
        ),
        Surface::ModelInference | Surface::Serverless => {
            format!("event: error\ndata: {{\"error\":{{\"code\":\"{code}\",\"message\":\"{text}\"}}}}")
        }
        Surface::Arm | Surface::DatabricksApi | Surface::Weir => String::new(),
    };
    if event.is_empty() { Vec::new() } else { format!("\n\n{event}\n\n").into_bytes() }
}
