//! A request in a copy of the core's own, while it waits or may have to be admitted once more.
//!
//! Decides nothing: what a driver lends is gone when its call returns.

use super::action::Request;
use crate::surface::{HEADER_COUNT, Header, HeaderValues};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// A request, kept.
pub(super) struct Parts {
    method: String,
    url: String,
    headers: [Option<String>; HEADER_COUNT],
    body: Vec<u8>,
    length: u64,
    all_headers: bool,
}

impl Parts {
    /// Copies what the driver had lent.
    pub(super) fn keep(request: &Request<'_>) -> Self {
        Self {
            method: request.method.to_owned(),
            url: request.url.to_owned(),
            headers: Header::ALL.map(|header| request.headers.get(header).map(ToOwned::to_owned)),
            body: request.body.to_vec(),
            length: request.length,
            all_headers: request.all_headers,
        }
    }

    /// The request again, as it was first lent.
    pub(super) fn lend(&self) -> Request<'_> {
        let mut values = [None; HEADER_COUNT];
        for (value, kept) in values.iter_mut().zip(&self.headers) {
            *value = kept.as_deref();
        }
        Request {
            method: &self.method,
            url: &self.url,
            headers: HeaderValues::new(values),
            body: &self.body,
            length: self.length,
            all_headers: self.all_headers,
        }
    }
}
