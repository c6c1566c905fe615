//! Stage 1: bytes to and from shapes, exactly as the documentation of each dialect gives them.
//!
//! Decides what is well formed; not what it means for the exchange. Unknown members survive byte for byte.

pub mod bounds;
pub mod edit;
pub mod envelope;
pub mod error;
pub mod quote;
pub mod scan;
pub mod sse;
pub mod tokens;

pub use error::WireError;
