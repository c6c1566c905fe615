//! Tokens of an issuer on the data path: who presents one, by a verdict that is remembered until the token ends.
//!
//! Above the stages. What a token says is read here, whether it is true is asked of the directory, once for each
//! token and isolate (`control::access::oidc`). Decides when to ask and what to remember; a token that is not worth
//! asking about costs nobody a call.

use super::accounts::LOOK_AGAIN;
use super::action::Pause;
use super::admit::{Admission, Stop};
use super::isolate::Isolate;
use crate::auth::{AuthError, Presented, jwt};
use crate::control::access::caller::{Identity, Who};
use crate::control::access::oidc::VerifyAsk;
use crate::error::WeirError;
use crate::object::CallOutcome;
use crate::seal::digest;
use crate::snapshot::index::SnapshotIndex;
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use alloc::rc::Rc;

/// Most tokens that are remembered; those that ended make room, else all.
const TOKENS_MAX: usize = 10_000;
/// Most tokens that are asked about at once: forged ones must not keep the directory busy.
const ASKED_MAX: usize = 32;
/// A question without an answer for so long is lost.
const LOST_AFTER: Millis = Millis(15_000);
/// A token that is false is not asked about again for so long.
const FALSE_KEPT: Millis = Millis(10_000);

/// What is known of a token, by its hash.
#[derive(Debug)]
enum Verdict {
    /// It is being asked about.
    Asked(UnixMillis),
    /// It is true; whose it is and until when.
    True(Rc<Who>),
    /// It is not, as of then.
    False(UnixMillis),
    /// It could not be checked, as of then.
    Unchecked(UnixMillis),
}

/// The verdicts of one isolate.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    verdicts: SortedMap<[u8; 32], Verdict>,
}

impl Verdicts {
    /// Forgets what is over.
    fn sweep(&mut self, now: UnixMillis) {
        self.verdicts.retain(|_, verdict| match verdict {
            Verdict::Asked(at) => now.since(*at) < LOST_AFTER,
            Verdict::True(who) => now < who.until,
            Verdict::False(at) | Verdict::Unchecked(at) => now.since(*at) < FALSE_KEPT,
        });
        if self.verdicts.len() >= TOKENS_MAX {
            self.verdicts.clear();
        }
    }

    fn asked(&self, now: UnixMillis) -> usize {
        let open = |verdict: &&Verdict| matches!(verdict, Verdict::Asked(at) if now.since(*at) < LOST_AFTER);
        self.verdicts.values().filter(open).count()
    }

    /// What the directory answered about a token.
    pub(super) fn answered(&mut self, now: UnixMillis, token: [u8; 32], outcome: CallOutcome<'_>) {
        let identity = match outcome {
            CallOutcome::Answered(body) => serde_json::from_slice::<Identity>(body).ok(),
            CallOutcome::Lost => None,
        };
        let verdict = match identity {
            Some(Identity::Principal(who)) => Verdict::True(Rc::new(who)),
            Some(Identity::Unknown | Identity::Elsewhere | Identity::Expired | Identity::Caller(_)) => {
                Verdict::False(now)
            }
            Some(Identity::Unavailable) | None => Verdict::Unchecked(now),
        };
        self.verdicts.insert(token, verdict);
    }
}

impl Isolate {
    /// Who presents a token of the issuer that `directory` names; `None` if no credential is one.
    pub(super) fn bearer_of_token(
        &mut self,
        now: UnixMillis,
        directory: &SnapshotIndex,
        presented: &Presented<'_>,
        admission: &Admission,
    ) -> Result<Option<Rc<Who>>, Stop> {
        let Some(issuer) = directory.issuer() else { return Ok(None) };
        let Some(token) = presented.token() else { return Ok(None) };
        jwt::read(token, issuer, false, now).map_err(|_| AuthError::BadToken)?;
        let key = digest(token.as_bytes());
        match self.verdicts.verdicts.get(&key) {
            Some(Verdict::True(who)) => return Ok(Some(Rc::clone(who))),
            Some(Verdict::False(at)) if now.since(*at) < FALSE_KEPT => return Err(AuthError::BadToken.into()),
            // What was found out while this exchange waited counts; an older failure is tried again.
            Some(Verdict::Unchecked(at)) if *at >= admission.began => {
                return Err(WeirError::ConfigurationUnavailable.into());
            }
            Some(Verdict::Asked(at)) if now.since(*at) < LOST_AFTER => {
                return Err(Stop::Pause(Pause::For(LOOK_AGAIN)));
            }
            Some(Verdict::Asked(_) | Verdict::False(_) | Verdict::Unchecked(_)) | None => {}
        }
        if self.verdicts.verdicts.len() >= TOKENS_MAX {
            self.verdicts.sweep(now);
        }
        if self.verdicts.asked(now) >= ASKED_MAX {
            return Err(Stop::Pause(Pause::For(LOOK_AGAIN)));
        }
        self.verdicts.verdicts.insert(key, Verdict::Asked(now));
        let ask = VerifyAsk { token: token.into(), ..VerifyAsk::default() };
        self.ask_verdict(now, key, &ask);
        Err(Stop::Pause(Pause::Calls))
    }
}
