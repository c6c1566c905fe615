//! Errors to HTTP.
use crate::error::WeirError;
use crate::id::RequestId;
use crate::surface::Surface;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: String,
}

/// Render.
pub fn render(error: &WeirError, _surface: Surface, _operation: &str, _id: RequestId) -> Reply {
    Reply {
        status: 500,
        headers: Vec::new(),
        body: format!("{{\"error\":{{\"message\":{:?}}}}}", format!("{error}")),
    }
}
/// Stream error.
pub fn stream_error(_surface: Surface) -> Vec<u8> {
    Vec::new()
}
