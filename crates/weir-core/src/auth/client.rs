//! Tokens that the token endpoint gives to service principals: sealed, so that an isolate knows one without asking.
//!
//! Stage 2. Decides what such a token says: for which of the principal's secrets it was given and how long it holds. It
//! holds no longer than that secret is there, which the directory's snapshot tells. Form:
//! `wo_<account>_<sealed text>`, sealed for the place `oauth:<account>` (`seal`).

use super::AuthError;
use crate::seal::{SealKey, open, seal};
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

/// What such a token begins with.
pub const PREFIX: &str = "wo_";

/// A new token of the client secret `id`, in force until `ends`. `None` if it cannot be sealed.
pub fn token(key: &SealKey, account: &str, id: &str, ends: UnixMillis, nonce: [u8; 12]) -> Option<String> {
    let sealed = seal(key, &place(account), &format!("{}/{id}", ends.0), nonce).ok()?;
    Some(format!("{PREFIX}{account}_{sealed}"))
}

/// The client secret for which a token was given.
///
/// # Errors
/// [`AuthError::UnknownKey`] for what is no such token of this installation; [`AuthError::Expired`].
pub fn read(token: &str, key: Option<&SealKey>, now: UnixMillis) -> Result<String, AuthError> {
    let parts = token.strip_prefix(PREFIX).and_then(|rest| rest.rsplit_once('_'));
    let (Some((account, sealed)), Some(key)) = (parts, key) else { return Err(AuthError::UnknownKey) };
    let text = open(key, &place(account), sealed).map_err(|_| AuthError::UnknownKey)?;
    let (ends, id) = text.split_once('/').ok_or(AuthError::UnknownKey)?;
    let ends: u64 = ends.parse().map_err(|_| AuthError::UnknownKey)?;
    if ends <= now.0 { Err(AuthError::Expired) } else { Ok(id.to_owned()) }
}

fn place(account: &str) -> String {
    format!("oauth:{account}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_in_its_time_by_its_installation_only() {
        let ours = SealKey::parse("a passphrase of ours").unwrap();
        let theirs = SealKey::parse("a passphrase of theirs").unwrap();
        let text = token(&ours, "team_a", "secret-1", UnixMillis(1000), [7; 12]).unwrap();
        let rows = [
            (text.clone(), Some(&ours), 999, Ok("secret-1".to_owned())),
            (text.clone(), Some(&ours), 1000, Err(AuthError::Expired)),
            (text.clone(), Some(&theirs), 0, Err(AuthError::UnknownKey)),
            (text.clone(), None, 0, Err(AuthError::UnknownKey)),
            (text.replace("team_a", "team_b"), Some(&ours), 0, Err(AuthError::UnknownKey)),
            (text.replace("wo_", "wk_"), Some(&ours), 0, Err(AuthError::UnknownKey)),
            ("wo_".to_owned(), Some(&ours), 0, Err(AuthError::UnknownKey)),
        ];
        for (token, key, now, expected) in rows {
            assert_eq!(read(&token, key, UnixMillis(now)), expected, "{token} at {now}");
        }
    }
}
