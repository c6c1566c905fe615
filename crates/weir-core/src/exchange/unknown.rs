//! What is not known may be newer than the snapshot: a key, a token, a right, a deployment.
//!
//! Above the stages. Decides which snapshots are asked for once more before an exchange is refused; how often that
//! may be is `accounts`.

use super::accounts::Doubt;
use super::action::Pause;
use super::admit::{Admission, Stop};
use super::isolate::Isolate;
use crate::auth::AuthError;
use crate::error::WeirError;
use crate::id::AccountId;
use crate::route::RouteError;
use crate::snapshot::index::SnapshotIndex;
use crate::time::UnixMillis;
use alloc::rc::Rc;

impl Isolate {
    /// An unknown key or name may only be newer than the snapshot: one refresh, then the error is final.
    pub(super) fn refresh_or(
        &mut self,
        now: UnixMillis,
        account: &AccountId,
        admission: &mut Admission,
        error: impl Into<WeirError>,
    ) -> Stop {
        match self.accounts.doubt(now, account, admission.began, admission.refreshed) {
            Doubt::Settled => Stop::Refuse(error.into()),
            Doubt::Wait(span) => Stop::Pause(Pause::For(span)),
            Doubt::Ask => {
                self.ask_snapshot(now, account);
                admission.refreshed = true;
                Stop::Pause(Pause::Calls)
            }
        }
    }

    /// The directory's snapshot, if a credential that `account` does not know may be a token: of another account
    /// than the directory's own. Without one there are no tokens.
    pub(super) fn directory(
        &mut self,
        now: UnixMillis,
        account: &AccountId,
        error: Option<&AuthError>,
    ) -> Result<Option<Rc<SnapshotIndex>>, Stop> {
        let directory = AccountId::default_account();
        if error != Some(&AuthError::UnknownKey) || *account == directory {
            return Ok(None);
        }
        match self.snapshot(now, &directory) {
            Ok(index) => Ok(Some(index)),
            Err(Some(pause)) => Err(Stop::Pause(pause)),
            Err(None) => Ok(None),
        }
    }

    /// As [`Isolate::refresh_or`], of the account first and then of the directory, which knows tokens and roles.
    pub(super) fn refresh_both_or(
        &mut self,
        now: UnixMillis,
        account: &AccountId,
        admission: &mut Admission,
        error: impl Into<WeirError>,
    ) -> Stop {
        let directory = AccountId::default_account();
        let error = error.into();
        match self.refresh_or(now, account, admission, error) {
            Stop::Refuse(error) if *account != directory => {
                let mut second = Admission { refreshed: admission.asked_directory, ..*admission };
                let stop = self.refresh_or(now, &directory, &mut second, error);
                admission.asked_directory = second.refreshed;
                stop
            }
            stop @ (Stop::Refuse(_) | Stop::Pause(_) | Stop::Answer(_) | Stop::More | Stop::Headers) => stop,
        }
    }

    /// A deployment that is not known, or a role that is missing, may only be newer than what is at hand.
    pub(super) fn doubted(
        &mut self,
        now: UnixMillis,
        account: &AccountId,
        admission: &mut Admission,
        error: WeirError,
    ) -> Stop {
        if matches!(error, WeirError::Route(RouteError::Lacks { .. })) {
            self.refresh_both_or(now, account, admission, error)
        } else if matches!(
            error,
            WeirError::Route(
                RouteError::UnknownDeployment { .. } | RouteError::NotReady { .. } | RouteError::UnknownId
            )
        ) {
            self.refresh_or(now, account, admission, error)
        } else {
            Stop::Refuse(error)
        }
    }
}
