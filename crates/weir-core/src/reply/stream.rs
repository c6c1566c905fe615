//! What a caller gets when a stream breaks off after its head: the last bytes before the connection is cut.
//!
//! Decides the event that each surface's clients notice; never a terminal event (promise 3). Sources: `azure.md`
//! A11 and B9, `databricks.md` 10.5, `providers.md` 1.7 and 4.6.

use crate::surface::Surface;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The public text. JSON-safe as it is.
const TEXT: &str = "The model's answer broke off before its end.";

/// The last bytes of a broken stream; the connection is broken after them. Proxies between, and workerd's own
/// HTTP/1.1 server, may end the body regularly all the same, so these bytes must tell even then. Clients of the
/// model inference surface and of `MLflow` skip a data event that holds an error and take the rest for a whole answer,
/// but refuse a line that is not `data:` (`azure.md` A11, `databricks.md` 10.5): for them the event is named. It
/// begins with a blank line, because what was passed on before may end inside a line.
pub fn stream_error(surface: Surface) -> Vec<u8> {
    let event = match surface {
        Surface::AzureOpenAi | Surface::AzureOpenAiV1 => format!(
            "data: {{\"error\":{{\"code\":\"InternalServerError\",\"message\":\"{TEXT}\",\"param\":null,\
             \"type\":\"api_error\"}}}}"
        ),
        Surface::OpenAi => format!(
            "data: {{\"error\":{{\"message\":\"{TEXT}\",\"type\":\"api_error\",\"param\":null,\
             \"code\":\"upstream_error\"}}}}"
        ),
        Surface::ServingEndpoints | Surface::MlflowGateway => format!(
            "event: error\ndata: {{\"error\":{{\"message\":\"{TEXT}\",\"type\":\"server_error\",\"code\":\"INTERNAL_ERROR\"}},\
             \"error_code\":\"INTERNAL_ERROR\",\"message\":\"{TEXT}\"}}"
        ),
        Surface::Anthropic => format!(
            "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"api_error\",\"message\":\"{TEXT}\"}}}}"
        ),
        Surface::ModelInference | Surface::Serverless => format!(
            "event: error\ndata: {{\"error\":{{\"code\":\"InternalServerError\",\"message\":\"{TEXT}\"}}}}"
        ),
        Surface::Arm | Surface::DatabricksApi | Surface::Weir => String::new(),
    };
    if event.is_empty() { Vec::new() } else { format!("\n\n{event}\n\n").into_bytes() }
}
