//! The snapshots that an isolate holds: when to refresh, when to wait for it, what to do if it fails.
//!
//! Above the stages. Decides from times only; the call itself goes through `isolate`.

use crate::id::AccountId;
use crate::snapshot::index::SnapshotIndex;
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use alloc::rc::Rc;

/// A snapshot younger than this is used as it is.
const FRESH: Millis = Millis(2_000);
/// An older one is not used before a refresh was tried: a change is seen everywhere within 5 s.
const STALE: Millis = Millis(4_000);
/// After a refresh that got no answer the old snapshot serves for so long before the next try (promise 6).
const FAIL_STATIC: Millis = Millis(1_000);
/// An unknown key or name forces a refresh at most so often, so that guessing costs the Registry nothing.
const FORCE_EVERY: Millis = Millis(250);
/// How long an exchange lets pass before it looks whether another one's refresh was answered.
pub(super) const LOOK_AGAIN: Millis = Millis(1);
/// A refresh without an answer for so long is lost.
const LOST_AFTER: Millis = Millis(3_000);
/// Snapshots held at most; the one that was used longest ago makes room.
const ACCOUNTS_MAX: usize = 256;

/// What the exchange shall do about a snapshot.
#[derive(Clone, Debug)]
pub(super) enum Readiness {
    /// Use it.
    Ready(Rc<SnapshotIndex>),
    /// Use it, and refresh it meanwhile.
    Refresh(Rc<SnapshotIndex>),
    /// Wait for a refresh, which must be asked for now.
    Ask,
    /// Wait for a refresh that is on its way.
    Wait,
    /// There never was one, and there is none to be had now.
    Unavailable,
}

/// Whether an unknown key or name is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It is.
    Settled,
    /// Ask for a refresh now; after its answer it is settled.
    Ask,
    /// Look again after so long.
    Wait(Millis),
}

/// One account as this isolate sees it.
struct View {
    index: Option<Rc<SnapshotIndex>>,
    /// When the snapshot was last known to be the newest.
    checked: UnixMillis,
    /// When the refresh in flight was asked for.
    asked: Option<UnixMillis>,
    /// When a refresh was last forced.
    forced: UnixMillis,
    /// Whether the last refresh got no answer.
    failed: bool,
    used: UnixMillis,
}

/// All accounts that this isolate has seen lately.
#[derive(Default)]
pub(super) struct Accounts {
    views: SortedMap<AccountId, View>,
}

impl Accounts {
    /// How the snapshot of `account` stands at `now`.
    pub(super) fn readiness(&mut self, now: UnixMillis, account: &AccountId) -> Readiness {
        let view = self.view(now, account);
        view.used = now;
        let asked = view.asked.is_some_and(|at| now.since(at) < LOST_AFTER);
        let age = now.since(view.checked);
        match &view.index {
            Some(index) if age < FRESH || (age < STALE && asked) => Readiness::Ready(Rc::clone(index)),
            Some(index) if age < STALE => Readiness::Refresh(Rc::clone(index)),
            Some(_) | None if asked => Readiness::Wait,
            None if view.failed && age < FAIL_STATIC => Readiness::Unavailable,
            Some(_) | None => Readiness::Ask,
        }
    }

    /// What an unknown key or name at `now` means for an exchange that began at `began`: it is unknown, if the
    /// snapshot is newer than the exchange; else a refresh must say so, itself not too often.
    /// `refreshed` says that the exchange already had its refresh.
    pub(super) fn doubt(
        &mut self,
        now: UnixMillis,
        account: &AccountId,
        began: UnixMillis,
        refreshed: bool,
    ) -> Doubt {
        let view = self.view(now, account);
        if view.checked > began {
            return Doubt::Settled;
        }
        if view.asked.is_some_and(|at| now.since(at) < LOST_AFTER) {
            return Doubt::Wait(LOOK_AGAIN);
        }
        if refreshed {
            return Doubt::Settled;
        }
        let since = now.since(view.forced);
        if since < FORCE_EVERY {
            return Doubt::Wait(Millis(FORCE_EVERY.0.saturating_sub(since.0)));
        }
        view.forced = now;
        Doubt::Ask
    }

    /// Whether a request's address may matter: some account has rules about it, or there may be one that has, because
    /// not just one account is known here and that one at hand.
    pub(super) fn has_rules(&self) -> bool {
        let known = |view: &View| view.index.as_ref().map(|index| index.network().is_some());
        self.views.len() != 1 || self.views.values().any(|view| known(view).unwrap_or(true))
    }

    /// The snapshot that is at hand, however old.
    pub(super) fn at_hand(&self, account: &AccountId) -> Option<&SnapshotIndex> {
        self.views.get(account)?.index.as_deref()
    }

    /// Whether some deployment has several entities, so that a caller's session may matter.
    pub(super) fn has_choices(&self) -> bool {
        self.views.values().any(|view| view.index.as_ref().is_some_and(|index| index.has_choices()))
    }

    /// A refresh was asked for. Answers the version at hand, if one is: an installation in which nothing was made yet
    /// has a snapshot too, of version 0.
    pub(super) fn asked(&mut self, now: UnixMillis, account: &AccountId) -> Option<u64> {
        let view = self.view(now, account);
        view.asked = Some(now);
        view.index.as_ref().map(|index| index.version())
    }

    /// A refresh asked for at `sent` was answered: a newer snapshot, or the one at hand is the newest. An older
    /// snapshot than the one at hand is a late answer and changes nothing.
    pub(super) fn refreshed(&mut self, sent: UnixMillis, account: &AccountId, newer: Option<SnapshotIndex>) {
        let view = self.view(sent, account);
        if newer.is_none() && view.index.is_none() {
            // There is nothing here that it could be the newest of.
            return self.lost(sent, account);
        }
        view.asked = None;
        view.failed = false;
        view.checked = view.checked.max(sent);
        if let Some(index) = newer
            && view.index.as_ref().is_none_or(|old| old.version() <= index.version())
        {
            view.index = Some(Rc::new(index));
        }
    }

    /// A refresh got no answer: what is at hand serves on.
    pub(super) fn lost(&mut self, now: UnixMillis, account: &AccountId) {
        let view = self.view(now, account);
        view.asked = None;
        view.failed = true;
        view.checked = if view.index.is_some() { now.minus(STALE).plus(FAIL_STATIC) } else { now };
    }

    /// The account's view, made if it is new; makes room first.
    fn view(&mut self, now: UnixMillis, account: &AccountId) -> &mut View {
        if self.views.len() >= ACCOUNTS_MAX && !self.views.contains_key(account) {
            let oldest = self.views.iter().min_by_key(|(_, view)| view.used).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                self.views.remove(&oldest);
            }
        }
        self.views.entry(account.clone()).or_insert_with(|| View::new(now))
    }
}

impl View {
    const fn new(now: UnixMillis) -> Self {
        Self {
            index: None,
            checked: UnixMillis(0),
            asked: None,
            forced: UnixMillis(0),
            failed: false,
            used: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;
    use crate::snapshot::content::ContentRules;
    use alloc::vec::Vec;

    fn index(version: u64) -> SnapshotIndex {
        let snapshot = Snapshot {
            account: AccountId::default_account(),
            version,
            keys: Vec::new(),
            deployments: Vec::new(),
            unready: Vec::new(),
            network: None,
            content: ContentRules::default(),
            access: crate::snapshot::access::Access::default(),
        };
        SnapshotIndex::build(snapshot, None).unwrap()
    }

    fn word(readiness: &Readiness) -> &'static str {
        match readiness {
            Readiness::Ready(_) => "ready",
            Readiness::Refresh(_) => "refresh",
            Readiness::Ask => "ask",
            Readiness::Wait => "wait",
            Readiness::Unavailable => "unavailable",
        }
    }

    #[test]
    fn a_snapshot_ages_from_ready_over_refresh_to_ask() {
        let (account, mut accounts) = (AccountId::default_account(), Accounts::default());
        let start = UnixMillis(1_000_000);
        assert_eq!(word(&accounts.readiness(start, &account)), "ask");
        assert_eq!(accounts.asked(start, &account), None);
        assert_eq!(word(&accounts.readiness(start, &account)), "wait");
        accounts.refreshed(start, &account, Some(index(7)));
        for (age, want) in
            [(0, "ready"), (1_999, "ready"), (2_000, "refresh"), (3_999, "refresh"), (4_000, "ask")]
        {
            assert_eq!(word(&accounts.readiness(start.plus(Millis(age)), &account)), want, "{age} ms");
        }
    }

    #[test]
    fn a_lost_refresh_leaves_the_old_snapshot_serving() {
        let (account, mut accounts) = (AccountId::default_account(), Accounts::default());
        let start = UnixMillis(1_000_000);
        accounts.lost(start, &account);
        assert_eq!(word(&accounts.readiness(start, &account)), "unavailable");
        accounts.refreshed(start, &account, Some(index(7)));
        let late = start.plus(Millis(60_000));
        assert_eq!(word(&accounts.readiness(late, &account)), "ask");
        accounts.lost(late, &account);
        assert_eq!(word(&accounts.readiness(late, &account)), "refresh");
    }

    #[test]
    fn no_news_where_nothing_is_at_hand_is_a_lost_answer() {
        let (account, mut accounts) = (AccountId::default_account(), Accounts::default());
        let start = UnixMillis(1_000_000);
        accounts.asked(start, &account);
        accounts.refreshed(start, &account, None);
        assert_eq!(word(&accounts.readiness(start, &account)), "unavailable");
    }

    #[test]
    fn a_late_answer_never_brings_an_older_version_back() {
        let (account, mut accounts) = (AccountId::default_account(), Accounts::default());
        let start = UnixMillis(1_000_000);
        accounts.refreshed(start, &account, Some(index(8)));
        accounts.refreshed(start, &account, Some(index(7)));
        assert_eq!(accounts.asked(start, &account), Some(8));
    }

    #[test]
    fn an_unknown_name_is_settled_by_one_refresh_and_refreshes_are_few() {
        let (account, mut accounts) = (AccountId::default_account(), Accounts::default());
        let start = UnixMillis(1_000_000);
        let at = |ms| start.plus(Millis(ms));
        accounts.refreshed(start, &account, Some(index(1)));
        assert_eq!(accounts.doubt(at(10), &account, at(10), false), Doubt::Ask);
        accounts.asked(at(10), &account);
        assert_eq!(
            accounts.doubt(at(11), &account, at(10), true),
            Doubt::Wait(LOOK_AGAIN),
            "one is under way"
        );
        accounts.refreshed(at(10), &account, None);
        assert_eq!(
            accounts.doubt(at(12), &account, at(9), false),
            Doubt::Settled,
            "it was newer than this exchange"
        );
        assert_eq!(
            accounts.doubt(at(12), &account, at(11), false),
            Doubt::Wait(Millis(248)),
            "too soon for another"
        );
        assert_eq!(accounts.doubt(at(260), &account, at(11), false), Doubt::Ask);
    }
}
