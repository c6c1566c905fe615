//! Embeddings of more texts than one call of their provider takes: several calls, one after the other, and one answer.
//!
//! Above the stages. Decides how many calls one exchange makes for that, that a call which fails is made again alone where
//! the same entity is, and that another entity begins anew: vectors of two models are not to be compared. What calls
//! used that came to nothing is recorded apart.

use super::action::Send;
use super::isolate::Isolate;
use super::running::Running;
use crate::account::record::Usage;
use crate::account::usage;
use crate::snapshot::Task;
use crate::time::UnixMillis;
use crate::translate::embeddings;
use crate::translate::members::refuse;
use crate::wire::WireError;
use crate::wire::object::{Array, Object};
use crate::wire::raw::Raw;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Calls of one attempt at most: they are made one after the other within one deadline.
const CALLS_MAX: usize = 64;

/// The canonical bodies of the calls that `body` takes, each with `most` texts at most; none if it is one call as it is.
///
/// # Errors
/// [`WireError::NotSupported`] for more texts than [`CALLS_MAX`] calls take.
pub(super) fn split(task: Task, body: Raw<'_>, most: Option<usize>) -> Result<Vec<String>, WireError> {
    let Some((most, input)) = most.filter(|_| task == Task::Embeddings).zip(body.get("input")) else {
        return Ok(Vec::new());
    };
    let texts: Vec<Raw<'_>> = if input.is_array() { input.items().collect() } else { Vec::new() };
    if texts.len() <= most {
        return Ok(Vec::new());
    }
    let all = most.saturating_mul(CALLS_MAX);
    if texts.len() > all {
        return Err(refuse("input", &format!("at most {all} texts with this model"), Some(input)));
    }
    let part = |texts: &[Raw<'_>]| {
        let mut list = Array::default();
        for text in texts {
            list.put(text.as_str());
        }
        let mut out = Object::new().raw("input", &list.end());
        for (name, value) in body.members().filter(|(name, _)| name != "input") {
            out.put(&name, value.as_str());
        }
        out.end()
    };
    Ok(texts.chunks(most).map(part).collect())
}

impl Running {
    /// Calls that follow the first one of an attempt.
    fn more(&self) -> &[Vec<u8>] {
        self.translation().map_or(&[], |own| own.more.as_slice())
    }

    /// What a prompt is taken for, of which a part is answered: its share, so that all shares are the whole.
    pub(super) fn share(&self, tokens: u64) -> u64 {
        let word = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let (at, of) = (word(self.gathered.len()), word(self.more().len()).saturating_add(1));
        let until = |at: u64| tokens.saturating_mul(at).checked_div(of).unwrap_or(0);
        until(at.saturating_add(1)).saturating_sub(until(at))
    }

    /// The next call of the attempt, where the first one is at hand.
    pub(super) fn part(&self, send: &mut Send) {
        let next = self.gathered.len().checked_sub(1).and_then(|at| self.more().get(at));
        if let Some((edit, body)) = send.edits.first_mut().zip(next) {
            edit.with.clone_from(body);
        }
    }

    /// Takes the answer of a call. Gives the exchange's whole one, once there are no more calls to make.
    pub(super) fn gather<'b>(&mut self, body: Cow<'b, [u8]>) -> Option<Cow<'b, [u8]>> {
        let more = self.more().len();
        if more == 0 {
            return Some(body);
        }
        self.gathered.push(body.into_owned());
        if self.gathered.len() <= more {
            return None;
        }
        let parts = core::mem::take(&mut self.gathered);
        Some(Cow::Owned(embeddings::joined(&parts).into_bytes()))
    }
}

impl Isolate {
    /// What came of calls so far will not be the answer.
    pub(super) fn scatter(&mut self, now: UnixMillis, running: &mut Running) {
        let parts = core::mem::take(&mut running.gathered);
        let used = parts.iter().filter_map(|part| usage::read(part)?.usage);
        let input = used.fold(0u64, |sum, used| sum.saturating_add(used.input));
        if input > 0 {
            let used = Usage { input, ..Usage::default() };
            self.spent(now, running, running.entity, used, "unfinished");
        }
    }
}
