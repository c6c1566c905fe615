//! Reading JSON texts: one reader for all of them.
//!
//! Base. Decides nothing about a document. `serde_json` compiles a type's reading once for each kind of input, which
//! adds up in a Worker's size, so texts are read as the bytes that messages are. Source: `serde_json`, `from_slice`.

use serde::Deserialize;

/// What `text` holds.
///
/// # Errors
/// As `serde_json::from_str`: not JSON, or not of the type.
pub fn read<'a, T: Deserialize<'a>>(text: &'a str) -> serde_json::Result<T> {
    serde_json::from_slice(text.as_bytes())
}
