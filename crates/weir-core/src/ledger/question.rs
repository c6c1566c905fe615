//! A question that an account's ledger objects answer together, whichever it is.
//!
//! Decides which routes are such questions (`usage` and `requests` below `/api/weir/v1/`); not their parameters
//! and answers ([`super::query`], [`super::requests`]), and not who may ask.

use super::answer::Answer;
use super::query::{LedgerAsk, UsageQuery};
use super::requests::RequestsQuery;
use crate::id::AccountId;
use crate::object::CallOutcome;
use crate::time::UnixMillis;
use alloc::vec::Vec;

/// A question while its answer is gathered.
///
/// Send all of [`asks`](Self::asks) at once, hand each outcome to [`answered`](Self::answered), and begin again,
/// until `asks` is empty; then [`answer`](Self::answer).
#[derive(Debug)]
pub enum Question {
    /// `GET /api/weir/v1/usage`.
    Usage(UsageQuery),
    /// `GET /api/weir/v1/requests`.
    Requests(RequestsQuery),
}

impl Question {
    /// The question of a route: `name` is the path after `/api/weir/v1/`, `query` the address after `?`. `None`
    /// if it is another route.
    ///
    /// # Errors
    /// The answer for the caller, with every fault.
    pub fn parse(
        account: &AccountId,
        name: &str,
        query: &str,
        now: UnixMillis,
    ) -> Option<Result<Self, Answer>> {
        match name {
            "usage" => Some(UsageQuery::parse(account, query, now).map(Self::Usage)),
            "requests" => Some(RequestsQuery::parse(account, query).map(Self::Requests)),
            _ => None,
        }
    }

    /// What is to be asked now; nothing when the answer is ready.
    pub fn asks(&mut self) -> Vec<LedgerAsk> {
        match self {
            Self::Usage(question) => question.asks(),
            Self::Requests(question) => question.asks(),
        }
    }

    /// What a ledger object answered to the ask that named `shard`, once for each ask.
    pub fn answered(&mut self, shard: u64, outcome: CallOutcome<'_>) {
        match self {
            Self::Usage(question) => question.answered(shard, outcome),
            Self::Requests(question) => question.answered(shard, outcome),
        }
    }

    /// The answer, when [`asks`](Self::asks) is empty.
    pub fn answer(&self) -> Answer {
        match self {
            Self::Usage(question) => question.answer(),
            Self::Requests(question) => question.answer(),
        }
    }
}
