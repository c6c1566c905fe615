//! Tokens of principals, for both APIs that have them.
//!
//! Decides who can have tokens, how many, and how long they live; the text leaves once and only its hash is kept
//! (promise 7). Not the form of requests and answers (`weir::principals`, `databricks::tokens`).

use super::{AccessRow, PrincipalKind, TokenRow};
use crate::control::answer::ADMINISTRATOR;
use crate::control::command::{Change, Desk};
use crate::id::PrincipalId;
use crate::seal::key_hash;
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Most tokens of one principal, as in Databricks.
const TOKENS_MAX: usize = 600;
/// Longest comment, in characters.
const COMMENT_CHARS_MAX: usize = 256;
/// Longest life: a hundred years.
const LIFETIME_SECONDS_MAX: u64 = 100 * 366 * 86_400;

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Nobody has this id, or a key that has no principal but itself.
    #[error("there is no such user or service principal")]
    NoPrincipal,
    /// Groups have none.
    #[error("a group has no tokens; make one for a member")]
    Group,
    /// The comment is too long or unreadable.
    #[error("the comment must be at most 256 characters without control characters")]
    Comment,
    /// The life is zero or beyond a hundred years.
    #[error("the lifetime must be 1 to 3162240000 seconds")]
    Lifetime,
    /// There are too many.
    #[error("the principal has 600 tokens already; revoke some first")]
    TooMany,
}

/// A new token of `principal` with its text, to be shown once, and the change that makes it.
///
/// # Errors
/// [`TokenFault`].
pub fn create(
    desk: &mut Desk<'_>,
    principal: &str,
    comment: &str,
    lifetime_seconds: Option<u64>,
) -> Result<(TokenRow, String, Change), TokenFault> {
    let owner = match desk.state.access.principals.get(principal) {
        Some(row) if row.kind == PrincipalKind::Group => return Err(TokenFault::Group),
        Some(row) => Ok(row.id.clone()),
        None if principal == ADMINISTRATOR => PrincipalId::parse(principal),
        None => return Err(TokenFault::NoPrincipal),
    };
    let owner = owner.map_err(|_| TokenFault::NoPrincipal)?;
    if comment.chars().count() > COMMENT_CHARS_MAX || comment.chars().any(char::is_control) {
        return Err(TokenFault::Comment);
    }
    if lifetime_seconds.is_some_and(|seconds| !(1..=LIFETIME_SECONDS_MAX).contains(&seconds)) {
        return Err(TokenFault::Lifetime);
    }
    if of(desk, principal).count() >= TOKENS_MAX {
        return Err(TokenFault::TooMany);
    }
    let account = desk.state.access.principals.get(principal).map_or(&desk.state.account, |row| &row.account);
    let text = desk.entropy.key_text(account.as_str());
    let id = PrincipalId::parse(&format!("token-{}", desk.entropy.identifier()))
        .map_err(|_| TokenFault::NoPrincipal)?;
    let ends = |seconds: u64| UnixMillis(desk.now.0.saturating_add(seconds.saturating_mul(1000)));
    let row = TokenRow {
        id,
        principal: owner,
        hash: key_hash(&text),
        comment: comment.to_owned(),
        creator: desk.caller.id.clone(),
        created_at: desk.now,
        expires_at: lifetime_seconds.map(ends),
    };
    let change = Change::Access(AccessRow::Token(row.clone()));
    Ok((row, text, change))
}

/// The tokens of a principal, in order of their ids.
pub fn of<'a>(desk: &Desk<'a>, principal: &str) -> impl Iterator<Item = &'a TokenRow> {
    let rows = desk.state.access.tokens.values();
    rows.filter(|row| row.principal.as_str() == principal).collect::<Vec<_>>().into_iter()
}

/// The change that revokes one of them; `None` if the principal has no such token.
pub fn revoke(desk: &Desk<'_>, principal: &str, id: &str) -> Option<Change> {
    let row = desk.state.access.tokens.get(id).filter(|row| row.principal.as_str() == principal)?;
    Some(Change::DropAccess(AccessRow::Token(row.clone()).key()))
}
