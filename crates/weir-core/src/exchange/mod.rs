//! The exchange: one caller request and all that is done for it. Above the stages; the only place that knows
//! their order.
//!
//! [`Isolate`] is the state of one isolate and the front of the whole core. A driver (the Worker's, the native
//! harness's) tells it what happened and performs the one [`Action`] that it answers; beside the exchanges it
//! performs the object calls that [`Isolate::poll_call`] hands out. Drivers decide nothing.
//!
//! ```text
//! begin ─▶ Pause ─▶ Resumed ─▶ …          (a snapshot or a lease is on its way)
//!       ─▶ Reply                          (refused: over)
//!       ─▶ Send ─▶ Answer ─▶ Deliver      (plain: settled, over)
//!               ─▶ Head ─▶ ReadPiece … ─▶ DeliverStream ─▶ Piece … ─▶ Ended ─▶ Close | Abort   (stream: settled, over)
//!                          ReadPiece … ─▶ Pause | Send | Reply   (it failed before its first content)
//!               ─▶ Head ─▶ HandThrough     (neither JSON nor events: settled, over)
//!               ─▶ Failed ─▶ Pause | Send | Reply
//! ```
//!
//! Where [`Send::hedge`] names a time, and it passed without an answer, [`Isolate::hedge`] gives a second call with a handle
//! of its own; the driver performs both side by side. The one that loses gets `Abort`.
//!
//! Where a policy names a classifier, it is asked by calls of the same kinds: `Send` before the upstream's and after
//! its whole answer, `Ask` beside a stream.
//!
//! Every reservation is settled exactly once: the exchange owns it, and each way to its end leads through
//! `settle`.

mod accounts;
pub mod action;
mod admit;
mod classify;
mod counting;
mod describe;
mod elements;
mod explain;
mod filtering;
mod finish;
pub mod flat;
mod gemini;
mod guarded;
mod head;
mod hedging;
mod holding;
mod isolate;
mod kept;
mod logged;
mod own_words;
mod parts;
mod pass;
mod passed;
mod prepare;
mod relay;
mod response;
mod running;
mod settled;
mod stages;
mod standins;
mod streaming;
mod tables;
mod tokens;
mod tracking;
mod translated;
mod unknown;
mod verdicts;
mod vetting;
mod words;

pub use action::{Action, Event, Failure, Head, Pause, Request, Send, StreamEnd, UpstreamHeaders};
pub use isolate::{Isolate, Settings};
