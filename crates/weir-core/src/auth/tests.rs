//! Who calls, by what is presented.

use super::*;
use crate::id::{AccountId, PrincipalId};
use crate::seal::{digest, key_hash};
use crate::snapshot::content::ContentRules;
use crate::snapshot::{KeyEntry, Snapshot};
use alloc::string::String;
use alloc::{format, vec};

/// `authorization`, `api-key`, and the id of the credential that counts.
type Row<'a> = (Option<&'a str>, Option<&'a str>, Result<&'a str, AuthError>);

const NOW: UnixMillis = UnixMillis(1000);

fn entry(text: &str, id: &str, expires_at: Option<u64>) -> KeyEntry {
    KeyEntry {
        hash: key_hash(text),
        id: PrincipalId::parse(id).unwrap(),
        principal: PrincipalId::parse("team").unwrap(),
        deployments: (id == "bound").then(|| vec!["Demo".into()]),
        expires_at: expires_at.map(UnixMillis),
    }
}

fn index() -> SnapshotIndex {
    let keys = vec![
        entry("K", "one", None),
        entry("B", "bound", None),
        entry("OLD", "old", Some(1000)),
        entry("NEW", "new", Some(1001)),
    ];
    let account = AccountId::default_account();
    let snapshot = Snapshot {
        account,
        version: 1,
        keys,
        deployments: vec![],
        network: None,
        content: ContentRules::default(),
    };
    SnapshotIndex::build(snapshot, None).unwrap()
}

#[test]
fn a_caller_is_known_by_any_of_its_credentials() {
    let index = index();
    let admin = digest(b"root");
    let long = "x".repeat(CREDENTIAL_BYTES_MAX + 1);
    let rows: [Row<'_>; 20] = [
        (Some("Bearer K"), None, Ok("one")),
        (Some("bearer  K "), None, Ok("one")),
        (None, Some("K"), Ok("one")),
        (Some("Bearer K"), Some("K"), Ok("one")),
        (Some("Bearer wrong"), Some("K"), Ok("one")),
        (Some("Bearer K"), Some("wrong"), Ok("one")),
        (Some("Basic abc"), Some("K"), Ok("one")),
        (Some("Bearer root"), None, Ok("admin")),
        (None, Some("root"), Ok("admin")),
        (Some("Bearer NEW"), None, Ok("new")),
        (Some("Bearer OLD"), None, Err(AuthError::Expired)),
        (Some("Bearer OLD"), Some("wrong"), Err(AuthError::Expired)),
        (None, None, Err(AuthError::Missing)),
        (Some("K"), None, Err(AuthError::Malformed)),
        (Some("Bearer"), None, Err(AuthError::Malformed)),
        (Some("Bearer "), None, Err(AuthError::Malformed)),
        (Some("Basic abc"), None, Err(AuthError::Malformed)),
        (Some("Bearer wrong"), None, Err(AuthError::UnknownKey)),
        (None, Some("k"), Err(AuthError::UnknownKey)),
        (None, Some(&long), Err(AuthError::UnknownKey)),
    ];
    for (authorization, api_key, expected) in rows {
        let presented = Presented { authorization, api_key, x_api_key: None };
        let got = authenticate(&index, Some(&admin), &presented, NOW).map(|caller| caller.key);
        assert_eq!(got, expected, "{authorization:?} {api_key:.20?}");
    }
    let root = Presented { authorization: Some("Bearer root"), ..Presented::default() };
    assert_eq!(authenticate(&index, None, &root, NOW).err(), Some(AuthError::UnknownKey));
}

#[test]
fn a_bound_key_queries_its_deployments_only() {
    let index = index();
    let caller = |key: &'static str| {
        let presented = Presented { api_key: Some(key), ..Presented::default() };
        authenticate(&index, None, &presented, NOW).unwrap()
    };
    assert!(caller("B").may_query("demo") && !caller("B").may_query("other"));
    assert!(caller("K").may_query("demo") && caller("K").may_query("other"));
}

#[test]
fn a_key_names_its_account() {
    let rows = [
        ("wk_default_abc", Some("default")),
        ("wk_a_b_c_secret", Some("a_b_c")),
        ("wk_default_", None),
        ("wk__abc", None),
        ("wk_abc", None),
        ("sk-abc", None),
        ("", None),
    ];
    for (key, expected) in rows {
        let bearer: String = format!("Bearer {key}");
        let presented = Presented { authorization: Some(&bearer), ..Presented::default() };
        assert_eq!(account_hint(&presented), expected, "{key}");
        let presented = Presented { api_key: Some(key), ..Presented::default() };
        assert_eq!(account_hint(&presented), expected, "{key}");
    }
}

#[test]
fn nothing_shows_a_credential() {
    let presented = Presented { api_key: Some("SECRET"), ..Presented::default() };
    assert!(!format!("{presented:?}").contains("SECRET"));
}
