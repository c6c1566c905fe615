//! Stage 1: bytes to and from shapes, exactly as the documentation of each dialect gives them.
//!
//! Decides what is well formed; not what it means for the exchange. Unknown members survive byte for byte.

pub mod bounds;
pub mod edit;
pub mod envelope;
pub mod error;
pub mod eventstream;
pub mod form;
pub mod inference;
pub mod invocations;
pub mod marks;
pub mod object;
pub mod quote;
pub mod raw;
mod rules;
pub mod scan;
pub mod sse;
pub mod tokens;
mod walk;

pub use error::WireError;
