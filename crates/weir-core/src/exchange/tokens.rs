//! Tokens of upstreams that ask for short-lived ones: kept until shortly before they end.
//!
//! Above the stages. Decides when a token is fetched (`snapshot::token` says how): when an exchange needs it and none is
//! at hand, once for all exchanges of the isolate, by way of the account's Registry. An exchange whose entities need no
//! token does not come here but for one look at each.

use super::accounts::LOOK_AGAIN;
use super::action::Pause;
use super::admit::{Admission, Stop};
use super::isolate::Isolate;
use crate::attempt::AttemptError;
use crate::error::WeirError;
use crate::id::AccountId;
use crate::object::CallOutcome;
use crate::snapshot::index::{EntityFault, ReadyDeployment};
use crate::snapshot::token::Token;
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use crate::wire::WireError;
use alloc::string::String;
use alloc::vec::Vec;

/// Sources that are remembered at most; beyond it all are asked anew.
const SOURCES_MAX: usize = 1_000;
/// A question without an answer for so long is lost.
const LOST_AFTER: Millis = Millis(15_000);

/// What is known of a source's token.
enum Known {
    /// It is being fetched.
    Asked(UnixMillis),
    /// It is at hand until then.
    Held(String, UnixMillis),
    /// It was not given, as of then.
    Refused(UnixMillis),
}

/// The tokens of one isolate.
#[derive(Default)]
pub(super) struct Tokens {
    known: SortedMap<[u8; 32], Known>,
}

impl Tokens {
    /// What a Registry answered.
    pub(super) fn answered(&mut self, now: UnixMillis, source: [u8; 32], outcome: CallOutcome<'_>) {
        let token = match outcome {
            CallOutcome::Answered(body) => Token::read(body),
            CallOutcome::Lost => None,
        };
        let known = token.map_or(Known::Refused(now), |token| Known::Held(token.text, now.plus(token.lasts)));
        self.known.insert(source, known);
    }
}

/// Whether one of a deployment's entities can be called at all.
pub(super) fn callable(ready: &ReadyDeployment) -> Result<(), WeirError> {
    let mut faults = ready.entities.iter().map(|entity| entity.fault);
    if faults.clone().any(|fault| fault.is_none()) {
        return Ok(());
    }
    if faults.any(|fault| fault == Some(EntityFault::Unspoken)) {
        return Err(WireError::Unsupported { what: "The provider of this deployment" }.into());
    }
    Err(AttemptError::BadCredential.into())
}

impl Isolate {
    /// The token of each entity of a deployment, in their order; `None` for those that need none, or whose is not to
    /// be had. Empty if no entity needs one.
    pub(super) fn bearers(
        &mut self,
        now: UnixMillis,
        account: &AccountId,
        ready: &ReadyDeployment,
        admission: &Admission,
    ) -> Result<Vec<Option<String>>, Stop> {
        if ready.entities.iter().all(|entity| entity.token.is_none()) {
            return Ok(Vec::new());
        }
        let mut bearers = Vec::with_capacity(ready.entities.len());
        let (mut pause, mut able) = (None, false);
        for entity in &ready.entities {
            let Some(source) = &entity.token else {
                able |= entity.fault.is_none();
                bearers.push(None);
                continue;
            };
            let mut bearer = None;
            match self.tokens.known.get(&source.id) {
                Some(Known::Held(text, until)) if now < *until => bearer = Some(text.clone()),
                // What was found out while this exchange waited counts; an older failure is tried again.
                Some(Known::Refused(at)) if *at >= admission.began => {}
                Some(Known::Asked(at)) if now.since(*at) < LOST_AFTER => {
                    pause = pause.or(Some(Pause::For(LOOK_AGAIN)));
                }
                Some(Known::Asked(_) | Known::Held(..) | Known::Refused(_)) | None => {
                    if self.tokens.known.len() >= SOURCES_MAX {
                        self.tokens.known.clear();
                    }
                    self.tokens.known.insert(source.id, Known::Asked(now));
                    self.ask_token(now, account, source.id, &source.mint(now));
                    pause = Some(Pause::Calls);
                }
            }
            able |= bearer.is_some();
            bearers.push(bearer);
        }
        match pause {
            Some(pause) => Err(Stop::Pause(pause)),
            None if able => Ok(bearers),
            None => Err(AttemptError::BadCredential.into()),
        }
    }
}
