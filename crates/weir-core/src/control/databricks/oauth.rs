//! OAuth of service principals: their secrets, and `/oidc/v1/token`, which gives short-lived tokens for them
//! (`databricks.md`, 1.3; RFC 6749, 2.3.1 and 4.4).
//!
//! Decides who gets a token. Nothing is stored for one: it is sealed, and holds as long as it says and the secret that
//! it was given for is there (`auth::client`).

use super::super::access::{AccessRow, ClientRow, PrincipalKind};
use super::super::answer::{Answer, Location, ManagementRequest};
use super::super::command::{Change, Desk, Outcome};
use super::super::document::{Faults, Members};
use super::{error, refuse};
use crate::auth::client;
use crate::id::PrincipalId;
use crate::ledger::calendar::format_rfc3339;
use crate::seal::{digest, key_hash};
use crate::time::{Millis, UnixMillis};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq;

/// Most secrets of one service principal.
const SECRETS_MAX: usize = 5;
/// How long a secret holds where nobody says: 730 days.
const LIFETIME_SECONDS: u64 = 730 * 86_400;
/// How long a token holds.
const TOKEN_SECONDS: u64 = 3600;

/// Whether a path is that of the token endpoint, which nobody needs a credential of ours for.
pub fn is_token_route(parts: &[&str]) -> bool {
    matches!(parts, ["oidc", "v1", "token"] | ["oidc", "accounts", _, "v1", "token"])
}

/// Whether a path is that of the metadata.
pub fn is_metadata_route(parts: &[&str]) -> bool {
    const NAME: &str = "oauth-authorization-server";
    matches!(parts, ["oidc", ".well-known", NAME] | ["oidc", "accounts", _, ".well-known", NAME])
}

/// `GET /oidc/.well-known/oauth-authorization-server`.
pub fn metadata(base: &str) -> Answer {
    Answer::json(
        200,
        &json!({
            "issuer": format!("{base}/oidc"), "authorization_endpoint": format!("{base}/oidc/v1/authorize"),
            "token_endpoint": format!("{base}/oidc/v1/token"), "grant_types_supported": ["client_credentials"],
            "response_types_supported": [], "scopes_supported": ["all-apis"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }),
    )
}

/// `POST /oidc/v1/token` with `grant_type=client_credentials`; id and secret as HTTP Basic or in the form.
///
/// # Errors
/// 400 and 401 in OAuth's form; 503 without a seal key.
pub fn token(desk: &mut Desk<'_>, request: &ManagementRequest) -> Result<Outcome, Answer> {
    if request.method != "POST" {
        return Err(super::no_such_route(&request.method, "/oidc/v1/token"));
    }
    let refused = |status: u16, code: &str, text: &str| {
        Answer::json(status, &json!({"error": code, "error_description": text}))
    };
    let form = Location::parse(&format!("http://form/?{}", request.body));
    let form = form.ok_or_else(|| refused(400, "invalid_request", "The body is no form."))?;
    if form.query("grant_type") != Some("client_credentials") {
        return Err(refused(400, "unsupported_grant_type", "Only client_credentials is supported."));
    }
    let basic = basic(request.authorization.as_deref());
    let posted = || Some((form.query("client_id")?.to_owned(), form.query("client_secret")?.to_owned()));
    let (id, secret) = basic.or_else(posted).unwrap_or_default();
    let access = &desk.state.access;
    let hash = key_hash(&secret);
    let good = |row: &&ClientRow| {
        row.principal.as_str() == id
            && row.expires_at > desk.now
            && bool::from(row.hash.as_bytes().ct_eq(hash.as_bytes()))
    };
    let row = access.clients.values().find(good).filter(|_| access.is_active(&id));
    let Some(row) = row else {
        let text = "The client id or secret is wrong, or the secret has expired.";
        return Err(refused(401, "invalid_client", text).with("www-authenticate", "Basic"));
    };
    let ends = desk.now.plus(Millis::from_secs(TOKEN_SECONDS)).min(row.expires_at);
    let account = access.principals.get(&id).map_or(&desk.state.account, |row| &row.account);
    let nonce = desk.entropy.nonce();
    let token = desk
        .settings
        .seal_key
        .as_ref()
        .and_then(|key| client::token(key, account.as_str(), row.id.as_str(), ends, nonce));
    let Some(token) = token else {
        let text = "This installation has no WEIR_SEAL_KEY, so it cannot give tokens.";
        return Err(refused(503, "temporarily_unavailable", text));
    };
    let seconds = ends.since(desk.now).0.checked_div(1000).unwrap_or(0);
    let answer =
        json!({"access_token": token, "token_type": "Bearer", "expires_in": seconds, "scope": "all-apis"});
    Ok(Outcome::reading(Answer::json(200, &answer)))
}

/// Id and secret of an `Authorization: Basic` header.
fn basic(authorization: Option<&str>) -> Option<(String, String)> {
    let (scheme, text) = authorization?.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

/// Answers one request below `…/servicePrincipals/{id}/credentials/secrets`; `rest` follows it.
///
/// # Errors
/// 404 for a service principal or secret that there is not; 400 for faults.
pub fn secrets(
    desk: &mut Desk<'_>,
    request: &ManagementRequest,
    location: &Location,
    principal: &str,
    rest: &[&str],
) -> Result<Outcome, Answer> {
    let known = desk.state.access.principals.get(principal);
    let Some(known) = known.filter(|row| row.kind == PrincipalKind::ServicePrincipal) else {
        let text = format!("Service principal with id {principal} does not exist.");
        return Err(error(404, "RESOURCE_DOES_NOT_EXIST", &text));
    };
    let owner = known.id.clone();
    let of = |row: &&ClientRow| row.principal == owner;
    match (request.method.as_str(), rest) {
        ("POST", []) => create(desk, owner, request),
        ("GET", []) => {
            let rows = desk.state.access.clients.values().filter(of);
            let rows: Vec<Value> = rows.map(|row| shown(row, desk.now)).collect();
            Ok(Outcome::reading(Answer::json(200, &json!({"secrets": rows}))))
        }
        ("DELETE", [id]) => {
            let row = desk.state.access.clients.get(*id).filter(of).ok_or_else(|| {
                error(404, "RESOURCE_DOES_NOT_EXIST", &format!("Secret with id {id} does not exist."))
            })?;
            let change = Change::DropAccess(AccessRow::Client(row.clone()).key());
            Ok(Outcome::writing(Answer::json(200, &json!({})), "client.delete", id, Vec::from([change])))
        }
        _ => Err(super::no_such_route(&request.method, &location.path)),
    }
}

fn create(desk: &mut Desk<'_>, owner: PrincipalId, request: &ManagementRequest) -> Result<Outcome, Answer> {
    let parsed = if request.body.trim().is_empty() { Map::new() } else { super::body(request)? };
    let mut faults = Faults::default();
    let members = Members::root(&parsed);
    let lifetime = members.text("lifetime", &mut faults);
    let seconds = lifetime.map_or(Some(LIFETIME_SECONDS), |text| text.strip_suffix('s')?.parse().ok());
    let seconds = seconds.filter(|seconds| (1..=LIFETIME_SECONDS).contains(seconds));
    if seconds.is_none() {
        faults.note("lifetime", "must be 1s to 63072000s");
    }
    refuse(&faults)?;
    if desk.state.access.clients.values().filter(|row| row.principal == owner).count() >= SECRETS_MAX {
        let text = format!("The service principal has {SECRETS_MAX} secrets already; delete one first.");
        return Err(error(400, "RESOURCE_LIMIT_EXCEEDED", &text));
    }
    let key = desk.entropy.key_text("oauth");
    let text = format!("wcs_{}", key.rsplit('_').next().unwrap_or_default());
    let id = PrincipalId::parse(&desk.entropy.identifier())
        .map_err(|_| error(500, "INTERNAL_ERROR", "The secret could not be named."))?;
    let row = ClientRow {
        id,
        principal: owner,
        hash: key_hash(&text),
        creator: desk.caller.id.clone(),
        created_at: desk.now,
        expires_at: desk.now.plus(Millis::from_secs(seconds.unwrap_or(LIFETIME_SECONDS))),
    };
    let mut answer = shown(&row, desk.now);
    if let Some(members) = answer.as_object_mut() {
        members.insert("secret".to_owned(), text.into());
    }
    let target = row.id.as_str().to_owned();
    let changes = Vec::from([Change::Access(AccessRow::Client(row))]);
    Ok(Outcome::writing(Answer::json(200, &answer), "client.create", &target, changes))
}

fn shown(row: &ClientRow, now: UnixMillis) -> Value {
    let status = if row.expires_at > now { "ACTIVE" } else { "EXPIRED" };
    let created = format_rfc3339(row.created_at);
    json!({
        "id": row.id, "status": status, "create_time": created, "update_time": created,
        "expire_time": format_rfc3339(row.expires_at),
        // To tell secrets apart by; of the stored hash, so it says nothing of the text.
        "secret_hash": STANDARD.encode(digest(row.hash.as_bytes())),
    })
}
