//! Checking a token of the configured issuer: which key, where the keys are, when they are fetched anew.
//!
//! The Registry of the account `default` checks for the whole installation. Signatures and fetches are the shell's to
//! perform: [`check`] says which, and is called again with what came of it. Keys are remembered in memory: read again
//! after an hour, or at once when a token names an unknown one (not more often than every 30 s). If that fails, the old
//! ones serve on. Decides what is believed; what a token must say is `auth::jwt`. Sources: `OpenID` Connect Discovery
//! 1.0, RFC 7517, RFC 7518.

use super::caller::{Identity, Who};
use crate::auth::jwt::{self, Algorithm, Claims, TokenFault};
use crate::control::Settings;
use crate::snapshot::access::Issuer;
use crate::time::{Millis, UnixMillis};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Keys older than this are read again.
const KEYS_KEPT: Millis = Millis::from_secs(3600);
/// They are not read more often than this.
const FETCH_EVERY: Millis = Millis::from_secs(30);
/// Most keys of an issuer.
const KEYS_MAX: usize = 100;
/// Shortest RSA modulus, in characters of base64url: 2048 bits.
const MODULUS_CHARS_MIN: usize = 342;
/// Most steps of one check: discovery, keys, signature.
const STEPS_MAX: u32 = 4;

/// A question about a token, with what was performed for it so far. Printed without the token.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyAsk {
    /// The token.
    pub token: String,
    /// Whether it may be one for managing.
    #[serde(default)]
    pub management: bool,
    /// What came of the work that the last answer asked for.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// How often work was performed for it.
    #[serde(default)]
    pub steps: u32,
}

impl fmt::Debug for VerifyAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyAsk").field("steps", &self.steps).finish_non_exhaustive()
    }
}

/// What the shell did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The issuer's metadata: the body of a 200, if it came.
    Discovery(Option<String>),
    /// The issuer's keys: the body of a 200, if it came.
    Keys(Option<String>),
    /// Whether the signature is the key's.
    Signature(bool),
}

/// What the shell shall do; its outcome comes back in the ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// GET this address; the body is [`Outcome::Discovery`]'s.
    Discover(String),
    /// GET this address; the body is [`Outcome::Keys`]'s.
    FetchKeys(String),
    /// Check a signature with `WebCrypto`.
    Signature {
        /// The key as a JWK with its necessary members only.
        key: String,
        /// `RS256` or `ES256`.
        algorithm: &'static str,
        /// What was signed.
        signed: String,
        /// The signature.
        signature: Vec<u8>,
    },
}

/// The issuer's keys, as far as they are known.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    jwks: Vec<Value>,
    read_at: UnixMillis,
    tried_at: UnixMillis,
}

/// One step of a check.
///
/// # Errors
/// Not yet: what to perform before the next step.
pub fn check(
    keys: &mut Keys,
    settings: &Settings,
    ask: &VerifyAsk,
    now: UnixMillis,
) -> Result<Identity, Work> {
    let Some(issuer) = &settings.issuer else { return Ok(Identity::Unknown) };
    let claims = match jwt::read(&ask.token, issuer, ask.management, now) {
        Ok(claims) => claims,
        Err(TokenFault::Expired) => return Ok(Identity::Expired),
        Err(_) => return Ok(Identity::Unknown),
    };
    match &ask.outcome {
        Some(Outcome::Signature(true)) => return Ok(Identity::Principal(who(claims))),
        Some(Outcome::Signature(false)) => return Ok(Identity::Unknown),
        Some(Outcome::Discovery(body)) => {
            let address = body.as_deref().and_then(|body| keys_address(body, issuer));
            match address.filter(|_| ask.steps < STEPS_MAX) {
                Some(address) => return Err(Work::FetchKeys(address)),
                // Without the issuer, what is known of it serves on.
                None => keys.tried_at = now,
            }
        }
        Some(Outcome::Keys(body)) => {
            keys.tried_at = now;
            if let Some(read) = body.as_deref().and_then(read_keys) {
                keys.jwks = read;
                keys.read_at = now;
            }
        }
        None => {}
    }
    let known = find(&keys.jwks, &claims);
    let old = now.since(keys.read_at) >= KEYS_KEPT;
    if ask.outcome.is_none()
        && (known.is_none() || old)
        && (keys.tried_at.0 == 0 || now.since(keys.tried_at) >= FETCH_EVERY)
    {
        // The first readers read side by side: none of them has anything to serve with.
        if !keys.jwks.is_empty() {
            keys.tried_at = now;
        }
        let base = issuer.issuer.trim_end_matches('/');
        return Err(Work::Discover(format!("{base}/.well-known/openid-configuration")));
    }
    match known {
        Some(key) => Err(Work::Signature {
            key,
            algorithm: claims.algorithm.name(),
            signed: ask.token.rsplit_once('.').map(|(signed, _)| signed.to_owned()).unwrap_or_default(),
            signature: claims.signature,
        }),
        None if keys.jwks.is_empty() => Ok(Identity::Unavailable),
        None => Ok(Identity::Unknown),
    }
}

fn who(claims: Claims) -> Who {
    Who { id: claims.principal, name: claims.name, groups: claims.groups, until: claims.until }
}

/// `jwks_uri` of the issuer's metadata, which must be the issuer's own.
fn keys_address(body: &str, issuer: &Issuer) -> Option<String> {
    let metadata: Value = crate::json::read(body).ok()?;
    let own = metadata.get("issuer")?.as_str()? == issuer.issuer;
    let address = metadata.get("jwks_uri")?.as_str()?;
    let scheme = issuer.issuer.split_once("://")?.0;
    // An issuer that is asked over TLS does not send elsewhere.
    let safe = scheme == "http" || address.starts_with("https://");
    (own && safe).then(|| address.to_owned())
}

fn read_keys(body: &str) -> Option<Vec<Value>> {
    let document: Value = crate::json::read(body).ok()?;
    let keys = document.get("keys")?.as_array()?;
    Some(keys.iter().take(KEYS_MAX).cloned().collect())
}

/// The key that a token names, with its necessary members; of a token that names none, the only one that fits.
fn find(keys: &[Value], claims: &Claims) -> Option<String> {
    let text = |key: &Value, name: &str| key.get(name).and_then(Value::as_str).map(ToString::to_string);
    let fits = |key: &&Value| {
        let alike = |name: &str, wanted: &str| text(key, name).is_none_or(|value| value == wanted);
        let named = claims.key_id.is_empty() || text(key, "kid").is_some_and(|kid| kid == claims.key_id);
        named
            && alike("use", "sig")
            && alike("alg", claims.algorithm.name())
            && usable(key, claims.algorithm).is_some()
    };
    let mut fitting = keys.iter().filter(fits);
    let key = fitting.next()?;
    if claims.key_id.is_empty() && fitting.next().is_some() {
        return None;
    }
    usable(key, claims.algorithm)
}

/// A JWK of the right kind, reduced to what it is.
fn usable(key: &Value, algorithm: Algorithm) -> Option<String> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let reduced = match algorithm {
        Algorithm::Rs256 if text("kty") == Some("RSA") => {
            let modulus = text("n").filter(|modulus| modulus.len() >= MODULUS_CHARS_MIN)?;
            json!({"kty": "RSA", "n": modulus, "e": text("e")?})
        }
        Algorithm::Es256 if text("kty") == Some("EC") && text("crv") == Some("P-256") => {
            json!({"kty": "EC", "crv": "P-256", "x": text("x")?, "y": text("y")?})
        }
        Algorithm::Rs256 | Algorithm::Es256 => return None,
    };
    Some(reduced.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    const START: UnixMillis = UnixMillis(1_000_000_000);

    fn settings() -> Settings {
        let issuer = Issuer { issuer: "https://login.example/t".to_owned(), audiences: Vec::new() };
        Settings { issuer: Some(issuer), ..Settings::default() }
    }

    fn token(kid: &str) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({"iss": "https://login.example/t", "aud": "https://ai.azure.com", "exp": 9_000_000_000_u64,
            "oid": "ana", "groups": ["g"], "preferred_username": "ana@example.com"});
        let signature = URL_SAFE_NO_PAD.encode(b"signature");
        format!("{}.{}.{signature}", part(&json!({"alg": "RS256", "kid": kid})), part(&claims))
    }

    fn keys(kids: &[&str]) -> String {
        let key = |kid: &&str| json!({"kty": "RSA", "kid": kid, "use": "sig", "n": "n".repeat(342), "e": "AQAB", "x5c": ["x"]});
        json!({"keys": kids.iter().map(key).collect::<Vec<_>>()}).to_string()
    }

    /// An issuer that may be down, and what was asked of it.
    struct World {
        keys: Keys,
        up: bool,
        kids: Vec<&'static str>,
        good: bool,
        asked: Vec<&'static str>,
    }

    impl World {
        fn new() -> Self {
            Self { keys: Keys::default(), up: true, kids: Vec::from(["k1"]), good: true, asked: Vec::new() }
        }

        /// Performs all that a check asks for; answers its end and what was performed.
        fn check(&mut self, token: &str, now: UnixMillis) -> (Identity, Vec<&'static str>) {
            let mut ask = VerifyAsk { token: token.to_owned(), ..VerifyAsk::default() };
            self.asked.clear();
            loop {
                let work = match check(&mut self.keys, &settings(), &ask, now) {
                    Ok(identity) => return (identity, self.asked.clone()),
                    Err(work) => work,
                };
                ask.steps += 1;
                assert!(ask.steps <= STEPS_MAX, "a check ends");
                ask.outcome = Some(match work {
                    Work::Discover(url) => {
                        assert_eq!(url, "https://login.example/t/.well-known/openid-configuration");
                        self.asked.push("discovery");
                        let body = json!({"issuer": "https://login.example/t", "jwks_uri": "https://keys.example/k"});
                        Outcome::Discovery(self.up.then(|| body.to_string()))
                    }
                    Work::FetchKeys(url) => {
                        assert_eq!(url, "https://keys.example/k");
                        self.asked.push("keys");
                        Outcome::Keys(self.up.then(|| keys(&self.kids)))
                    }
                    Work::Signature { key, algorithm, signed, signature } => {
                        assert_eq!((algorithm, signature.as_slice()), ("RS256", b"signature".as_slice()));
                        assert_eq!(signed.matches('.').count(), 1);
                        assert!(!key.contains("x5c") && key.contains("AQAB"), "{key}");
                        self.asked.push("signature");
                        Outcome::Signature(self.good)
                    }
                });
            }
        }
    }

    fn at(seconds: u64) -> UnixMillis {
        START.plus(Millis::from_secs(seconds))
    }

    #[test]
    fn keys_are_read_once_and_again_when_they_are_old_or_a_token_names_another() {
        let mut world = World::new();
        let (identity, asked) = world.check(&token("k1"), at(0));
        let Identity::Principal(who) = identity else { panic!("{identity:?}") };
        assert_eq!((who.id.as_str(), who.name.as_str(), who.groups.len()), ("ana", "ana@example.com", 1));
        assert_eq!(asked, ["discovery", "keys", "signature"]);
        assert_eq!(world.check(&token("k1"), at(1)).1, ["signature"]);
        assert_eq!(
            world.check(&token("k2"), at(2)),
            (Identity::Unknown, Vec::new()),
            "too soon to read again"
        );
        world.kids.push("k2");
        assert_eq!(world.check(&token("k2"), at(31)).1, ["discovery", "keys", "signature"]);
        assert_eq!(world.check(&token("k1"), at(3_640)).1, ["discovery", "keys", "signature"]);
    }

    #[test]
    fn an_issuer_that_is_down_keeps_nobody_out_whose_key_is_known() {
        let mut world = World::new();
        world.up = false;
        assert_eq!(world.check(&token("k1"), at(0)), (Identity::Unavailable, Vec::from(["discovery"])));
        assert_eq!(world.check(&token("k1"), at(1)), (Identity::Unavailable, Vec::new()));
        world.up = true;
        assert!(matches!(world.check(&token("k1"), at(31)).0, Identity::Principal(_)));
        world.up = false;
        let (identity, asked) = world.check(&token("k1"), at(4_000));
        assert!(matches!(identity, Identity::Principal(_)));
        assert_eq!(asked, ["discovery", "signature"]);
        assert_eq!(world.check(&token("k1"), at(4_001)).1, ["signature"]);
    }

    #[test]
    fn what_is_not_signed_by_the_issuer_is_nobodys() {
        let mut world = World::new();
        world.good = false;
        assert_eq!(world.check(&token("k1"), at(0)).0, Identity::Unknown);
        assert_eq!(
            world.check("eyJ.a.b", at(0)),
            (Identity::Unknown, Vec::new()),
            "unreadable ones cost nothing"
        );
        let ask = VerifyAsk { token: token("k1"), ..VerifyAsk::default() };
        let none = check(&mut Keys::default(), &Settings::default(), &ask, at(0));
        assert_eq!(none, Ok(Identity::Unknown), "no issuer is configured");
    }
}
