//! What happens to an exchange (events) and what shall be done for it (actions), as plain data.
//!
//! Above the stages. Decides nothing.

use crate::reply::Reply;
use crate::simulate::Script;
use crate::surface::HeaderValues;
use crate::time::Millis;
use crate::wire::envelope::Edit;
use alloc::string::String;
use alloc::vec::Vec;

/// A caller's request, borrowed from the driver.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// HTTP method, upper case.
    pub method: &'a str,
    /// The absolute address, as it was asked for.
    pub url: &'a str,
    /// The headers; only those that `surface::wanted` names need be there.
    pub headers: HeaderValues<'a>,
    /// The body, whole; empty if `length` is over the bound. Where `surface::wanted` says that it streams: what was
    /// read of it.
    pub body: &'a [u8],
    /// The body's length in bytes, as declared or as read; more than was read if there is more.
    pub length: u64,
    /// Whether all headers were read ([`Action::ReadHeaders`]), so that one that is not there was not sent.
    pub all_headers: bool,
}

/// The head members of an upstream's answer that core reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct UpstreamHeaders<'a> {
    /// `content-type`.
    pub content_type: Option<&'a str>,
    /// `retry-after`.
    pub retry_after: Option<&'a str>,
    /// `retry-after-ms`.
    pub retry_after_ms: Option<&'a str>,
    /// `x-should-retry`.
    pub should_retry: Option<&'a str>,
    /// What is left of the upstream's quota (asked for by [`Send::quota`]): requests, tokens, and until when each is
    /// whole again.
    pub quota: [Option<&'a str>; 4],
    /// `x-amzn-errortype`: the kind of an error where AWS does not tell it in the body.
    pub error_kind: Option<&'a str>,
}

impl<'a> UpstreamHeaders<'a> {
    /// The names of the members, in their order, lower case; where providers have several for one, the first that is
    /// there counts. Source: `providers.md`, 2 and 5.
    pub const NAMES: [&'static [&'static str]; 9] = [
        &["content-type"],
        &["retry-after"],
        &["retry-after-ms"],
        &["x-should-retry"],
        &["x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-remaining"],
        &["x-ratelimit-remaining-tokens", "anthropic-ratelimit-tokens-remaining"],
        &["x-ratelimit-reset-requests", "anthropic-ratelimit-requests-reset"],
        &["x-ratelimit-reset-tokens", "anthropic-ratelimit-tokens-reset"],
        &["x-amzn-errortype"],
    ];

    /// The members from lines of text in the order of [`Self::NAMES`]; an empty or missing line is a missing member.
    pub fn of_lines(text: &'a str) -> Self {
        let mut lines = text.split('\n').map(|line| Some(line).filter(|line| !line.is_empty()));
        let mut next = || lines.next().flatten();
        UpstreamHeaders {
            content_type: next(),
            retry_after: next(),
            retry_after_ms: next(),
            should_retry: next(),
            quota: [next(), next(), next(), next()],
            error_kind: next(),
        }
    }
}

/// Why an upstream call gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or it broke.
    Unreachable,
    /// The time allowed ran out.
    TimedOut,
    /// The answer is larger than may be buffered.
    TooLarge,
}

/// How a stream came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// The upstream closed it regularly.
    Closed,
    /// The upstream's connection broke.
    Broken,
    /// No event for too long, or the exchange's time is up.
    TimedOut,
    /// The caller is gone.
    CallerLeft,
}

/// Something happened to an exchange.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The pause that was asked for is over.
    Resumed,
    /// The head of the upstream's answer arrived (asked for by [`Send::head_first`]).
    Head {
        /// HTTP status.
        status: u16,
        /// What core reads of the head.
        headers: UpstreamHeaders<'a>,
    },
    /// The upstream's answer arrived whole.
    Answer {
        /// HTTP status.
        status: u16,
        /// What core reads of the head.
        headers: UpstreamHeaders<'a>,
        /// The body, whole.
        body: &'a [u8],
    },
    /// The upstream call gave no answer.
    Failed(Failure),
    /// Bytes of the upstream's stream.
    Piece(&'a [u8]),
    /// The stream is over.
    Ended(StreamEnd),
}

/// What shall be done next for an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answer with this. The exchange is over.
    Reply(Reply),
    /// Call an upstream.
    Send(Send),
    /// Do what the pause says, then give [`Event::Resumed`].
    Pause(Pause),
    /// Answer with this head and the body of the [`Event::Answer`] just given. The exchange is over.
    Deliver(Head),
    /// Read the next bytes of the upstream's stream and give them as [`Event::Piece`], or its end as
    /// [`Event::Ended`]. The caller gets nothing yet.
    ReadPiece {
        /// Give up ([`StreamEnd::TimedOut`]) when none came for so long.
        timeout: Millis,
    },
    /// Answer with this head and these bytes, and relay the rest of the upstream's stream: each piece through
    /// [`Event::Piece`], its end through [`Event::Ended`].
    DeliverStream {
        /// The caller's head.
        head: Head,
        /// Give up when no bytes came for so long.
        idle: Millis,
        /// What was held back so far.
        bytes: Vec<u8>,
        /// Whether there is more to say at once: give [`Event::Resumed`].
        again: bool,
    },
    /// Answer with this head and the upstream's body as it comes. The exchange is over.
    HandThrough(Head),
    /// Read more of the caller's body and begin again with all that was read: core knows nothing of this exchange.
    ReadMore,
    /// Read all headers and begin again: core knows nothing of this exchange.
    ReadHeaders,
    /// Read the answer whole and give it as [`Event::Answer`].
    ReadWhole,
    /// Pass the piece on as it is.
    PassPiece,
    /// Pass these bytes on instead of the piece; may be empty.
    PassInstead(Vec<u8>),
    /// Pass these bytes on, make this call beside the stream, and give what came of it as [`Event::Answer`] or
    /// [`Event::Failed`] between two pieces; also once the stream is over.
    Ask {
        /// May be empty.
        pass: Vec<u8>,
        /// Never a script's, unless the called deployment is a simulated one. The caller's body is none here.
        send: Send,
    },
    /// Pass these bytes on, then end the caller's stream regularly. The exchange is over.
    Close(Vec<u8>),
    /// Pass these bytes on, then end the caller's connection visibly broken, and the upstream call with it. The
    /// exchange is over.
    Abort(Vec<u8>),
}

/// Why an exchange waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Perform the object calls of `Isolate::poll_call`, all of them, and wait for their answers.
    Calls,
    /// Let so much time pass.
    For(Millis),
}

/// An upstream call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// Address, complete. For a simulated model it is only shown in logs.
    pub url: String,
    /// All headers to be sent beside those that the transport adds, lower case.
    pub headers: Vec<(String, String)>,
    /// What to change in the caller's body.
    pub edits: Vec<Edit>,
    /// Give up when there is no head (with `head_first`) or no whole answer by then.
    pub timeout: Millis,
    /// If given: when so long has passed and the call has not come to an action that ends it or answers its caller,
    /// `Isolate::hedge` is to be asked for a second call beside it.
    pub hedge: Option<Millis>,
    /// Whether the head shall be given as [`Event::Head`] before the body is read.
    pub head_first: bool,
    /// Whether the head's [`UpstreamHeaders::quota`] shall be read, of good answers too.
    pub quota: bool,
    /// Whether the rest of the caller's body follows the (edited) part that was read.
    pub rest: bool,
    /// A simulated model's answer: perform this script instead of a call.
    pub script: Option<Script>,
}

impl Send {
    /// The model of the platform's own binding that the call goes to: its address has no host.
    pub fn model(&self) -> Option<&str> {
        self.url.strip_prefix("/run/")
    }
}

/// The head of an answer to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// HTTP status.
    pub status: u16,
    /// Headers, in order; names are lower case.
    pub headers: Vec<(&'static str, String)>,
}
