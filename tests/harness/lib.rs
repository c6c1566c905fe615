//! The native harness: isolates, objects and a network on virtual time, over the same core that the Worker runs.
//!
//! It only performs what core decides, as the Worker does, and it writes down what a caller, an upstream and an
//! operator could see ([`facts`]). Everything that happens follows from one seed: the same seed is the same world,
//! on every machine.
#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "the harness is test code: what it does not expect must stop the test"
)]

pub mod clock;
pub mod random;

pub mod facts;
pub mod isolate;
pub mod object;
pub mod upstream;

pub mod fleet;
pub mod lone;

pub mod world;
