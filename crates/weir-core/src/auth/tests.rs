//! Who calls, by what is presented.

use super::*;
use crate::id::{AccountId, PrincipalId};
use crate::seal::{digest, key_hash};
use crate::snapshot::access::{Access, Given, PrincipalEntry, TokenEntry};
use crate::snapshot::content::ContentRules;
use crate::snapshot::{Deployment, KeyEntry, Snapshot};
use alloc::string::String;
use alloc::{format, vec};
use serde_json::json;

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

fn deployment(name: &str) -> Deployment {
    let kind = if name == "endpoint" { "serverless" } else { "account" };
    let shown = json!({"name": name, "kind": kind, "task": "llm/v1/chat", "model": "m", "entities": []});
    serde_json::from_value(shown).unwrap()
}

const ACCOUNT: &str = "/subscriptions/s/resourcegroups/g/providers/microsoft.cognitiveservices/accounts/a";

/// Principals by what they were given: chat at a scope.
const GIVEN: [(&str, &str); 7] = [
    ("everywhere", ""),
    ("subscription", "/subscriptions/s"),
    ("group", "/subscriptions/s/resourcegroups/g"),
    ("account", ACCOUNT),
    (
        "demo-only",
        "/subscriptions/s/resourcegroups/g/providers/microsoft.cognitiveservices/accounts/a/deployments/demo",
    ),
    (
        "workspace",
        "/subscriptions/s/resourcegroups/g/providers/microsoft.machinelearningservices/workspaces/a",
    ),
    ("elsewhere", "/subscriptions/s/resourcegroups/g/providers/microsoft.cognitiveservices/accounts/aa"),
];

fn token(principal: &str) -> TokenEntry {
    let id = PrincipalId::parse(principal).unwrap();
    let hash = key_hash(&format!("token of {principal}"));
    TokenEntry {
        hash,
        id: PrincipalId::parse(&format!("token-{principal}")).unwrap(),
        principal: id,
        expires_at: None,
    }
}

fn index() -> SnapshotIndex {
    let tokens =
        GIVEN.iter().map(|(principal, _)| *principal).chain(["nobody", "admin"]).map(token).collect();
    let given = |scope: &str| vec![Given { scope: scope.into(), rights: Right::Chat.bit() }];
    let principals = GIVEN
        .iter()
        .map(|(id, scope)| PrincipalEntry {
            id: (*id).into(),
            given: given(scope),
            name: format!("{id}@example.com"),
            groups: vec!["0f-2".into(), "everybody".into()],
        })
        .chain([PrincipalEntry {
            id: "team".into(),
            given: vec![],
            name: "team@example.com".into(),
            groups: vec!["0f-1".into(), "analysts".into()],
        }])
        .collect();
    let keys = vec![
        entry("K", "one", None),
        entry("B", "bound", None),
        entry("OLD", "old", Some(1000)),
        entry("NEW", "new", Some(1001)),
    ];
    let snapshot = Snapshot {
        account: AccountId::default_account(),
        version: 1,
        keys,
        deployments: ["demo", "other", "endpoint"].map(deployment).to_vec(),
        unready: vec![],
        network: None,
        content: ContentRules::default(),
        access: Access { scope: ACCOUNT.into(), tokens, clients: vec![], principals, issuer: None },
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
    let may = |key, name| {
        let ready = index.find(name).unwrap();
        caller(key).may_query(&index, ready, Right::Chat)
    };
    assert_eq!((may("B", "demo"), may("B", "other")), (Ok(()), Err(Refusal::Unbound)));
    assert_eq!((may("K", "demo"), may("K", "other")), (Ok(()), Ok(())));
}

#[test]
fn a_token_queries_what_its_principals_roles_allow_at_or_above_the_deployment() {
    let index = index();
    let lacks = |right| Err(Refusal::Lacks(right));
    let rows = [
        ("everywhere", Ok(()), Ok(())),
        ("subscription", Ok(()), Ok(())),
        ("group", Ok(()), Ok(())),
        ("account", Ok(()), Ok(())),
        ("workspace", lacks(Right::Chat), lacks(Right::Chat)),
        ("demo-only", Ok(()), lacks(Right::Chat)),
        ("elsewhere", lacks(Right::Chat), lacks(Right::Chat)),
        ("nobody", lacks(Right::Chat), lacks(Right::Chat)),
        ("admin", Ok(()), Ok(())),
    ];
    for (principal, demo, other) in rows {
        let text = format!("Bearer token of {principal}");
        let presented = Presented { authorization: Some(&text), ..Presented::default() };
        let caller = authenticate(&index, None, &presented, NOW).unwrap();
        assert_eq!((caller.principal, caller.admin), (principal, principal == "admin"));
        let may = |name, right| caller.may_query(&index, index.find(name).unwrap(), right);
        assert_eq!(may("demo", Right::Chat), demo, "{principal} demo");
        assert_eq!(may("other", Right::Chat), other, "{principal} other");
        let embeddings = if principal == "admin" { Ok(()) } else { lacks(Right::Embeddings) };
        assert_eq!(may("demo", Right::Embeddings), embeddings, "{principal} embeddings");
        let elsewhere = authenticate_token(&index, &presented, NOW).unwrap();
        assert_eq!(elsewhere.key, format!("token-{principal}"), "a token is known in other accounts too");
    }
    for (principal, expected) in [("group", Ok(())), ("workspace", Ok(())), ("account", lacks(Right::Chat))] {
        let text = format!("Bearer token of {principal}");
        let presented = Presented { authorization: Some(&text), ..Presented::default() };
        let caller = authenticate(&index, None, &presented, NOW).unwrap();
        let got = caller.may_query(&index, index.find("endpoint").unwrap(), Right::Chat);
        assert_eq!(got, expected, "{principal}: a serverless endpoint is in its workspace");
    }
    let key = Presented { api_key: Some("K"), ..Presented::default() };
    let got = authenticate_token(&index, &key, NOW).err();
    assert_eq!(got, Some(AuthError::UnknownKey), "a key opens its own account only");
}

#[test]
fn a_limit_means_a_caller_by_id_or_name_and_a_group_by_either() {
    let index = index();
    let (admin, groups) = (digest(b"root"), ["from-the-token".into()]);
    let told = |credential: &str| {
        let bearer = format!("Bearer {credential}");
        let presented = Presented { authorization: Some(&bearer), ..Presented::default() };
        authenticate(&index, Some(&admin), &presented, UnixMillis(0)).unwrap()
    };
    let of_issuer = Caller::of_token(&index, "group", &groups);
    let unknown = Caller::of_token(&index, "0f-9", &groups);
    let rows = [
        (told("K"), "team", "analysts", true, true),
        (told("K"), "TEAM@example.com", "0F-1", true, true),
        (told("K"), "one", "everybody", false, false),
        (told("token of account"), "account", "0f-2", true, true),
        (told("token of account"), "account@example.com", "Everybody", true, true),
        (told("token of account"), "team", "analysts", false, false),
        (of_issuer, "group@example.com", "from-the-token", true, true),
        (of_issuer, "group", "everybody", true, true),
        (unknown, "0F-9", "From-The-Token", true, true),
        (unknown, "", "everybody", false, false),
        (told("root"), "admin", "", true, false),
    ];
    for (caller, who, group, is, is_in) in rows {
        assert_eq!(caller.is(who, &index), is, "{} is {who:?}", caller.principal);
        assert_eq!(caller.is_in(group, &index), is_in, "{} is in {group:?}", caller.principal);
    }
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
