//! Short-lived tokens that upstreams ask for: where they are given out, and for what.
//!
//! Base. Decides what is asked of Google's and Microsoft's token endpoints (`providers.md`, 3 and 7) and what of their
//! answer counts; the signature and the call are performed by a Registry's shell, and `exchange` keeps the token. Holds
//! opened credentials: `Debug` does not show them.

use super::{Upstream, UpstreamAuth, UpstreamPaths};
use crate::seal::digest;
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use crate::wire::object::Object;
use crate::wire::raw::Raw;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Google's token endpoint, where a service account names none.
const GOOGLE: &str = "https://oauth2.googleapis.com/token";
/// What a token for Vertex AI is for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Microsoft Entra, where the config names no other cloud's.
const ENTRA: &str = "https://login.microsoftonline.com";
/// How long an assertion is good for, in seconds.
const ASSERTION_SECS: u64 = 3600;
/// A token is not used any more when it ends within this.
const MARGIN: Millis = Millis::from_secs(60);
/// The longest time that a token is believed to last.
const LASTS_MAX: u64 = 86_400;

/// Where an entity's token comes from.
pub struct TokenSource {
    /// Stands for the source and its credential.
    pub id: [u8; 32],
    url: String,
    of: Of,
}

enum Of {
    /// A Google service account.
    Account { email: String, pem: String, key_id: Option<String> },
    /// A client of Microsoft Entra: the form.
    Client(String),
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A token to be fetched: a form to be posted, at whose end a signed assertion is put if there is a key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mint {
    /// Where.
    pub url: String,
    /// `application/x-www-form-urlencoded`.
    pub form: String,
    /// A private key, PKCS 8 in PEM, to sign `input` with by RS256.
    #[serde(default)]
    pub key: Option<String>,
    /// Header and claims of the assertion.
    #[serde(default)]
    pub input: String,
}

impl fmt::Debug for Mint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mint").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Its text, legal in a header.
    pub text: String,
    /// How long it may be used from now.
    pub lasts: Millis,
}

impl TokenSource {
    /// Where the tokens of `upstream` come from, its credentials opened by `opened`: `None` if it asks for none, and
    /// `Some(None)` if its credential is none that could get one.
    pub fn of(upstream: &Upstream, opened: impl Fn(&str) -> Option<String>) -> Option<Option<Self>> {
        match &upstream.auth {
            UpstreamAuth::ServiceAccount { sealed } => {
                let none = SortedMap::new();
                let members =
                    if let UpstreamPaths::Native(members) = &upstream.paths { members } else { &none };
                Some(opened(sealed).and_then(|secret| Self::account(&secret, members)))
            }
            UpstreamAuth::Entra { tenant, client, sealed, authority } => {
                Some(opened(sealed).map(|secret| Self::client(authority.as_deref(), tenant, client, &secret)))
            }
            UpstreamAuth::None
            | UpstreamAuth::Bearer { .. }
            | UpstreamAuth::Header { .. }
            | UpstreamAuth::Aws { .. } => None,
        }
    }

    /// A Google service account: its whole JSON, or a PEM beside `client_email` in `members`. `None` if it is neither.
    pub fn account(secret: &str, members: &SortedMap<String, String>) -> Option<Self> {
        let id = digest(secret.as_bytes());
        let json = Raw::parse(secret).filter(Raw::is_object);
        let text = |name: &str| json.and_then(|json| Some(json.text_at(name)?.into_owned()));
        let email = text("client_email").or_else(|| members.get("client_email").cloned())?;
        let pem = if json.is_some() { text("private_key")? } else { secret.to_owned() };
        let url = text("token_uri").unwrap_or_else(|| GOOGLE.to_owned());
        let of = Of::Account { email, pem, key_id: text("private_key_id") };
        Some(Self { id, url, of })
    }

    /// A client of Microsoft Entra.
    pub fn client(authority: Option<&str>, tenant: &str, client: &str, secret: &str) -> Self {
        let authority = authority.unwrap_or(ENTRA).trim_end_matches('/');
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
            escaped(client),
            escaped(secret),
            escaped("https://cognitiveservices.azure.com/.default"),
        );
        let url = format!("{authority}/{tenant}/oauth2/v2.0/token");
        Self { id: digest(format!("{url} {form}").as_bytes()), url, of: Of::Client(form) }
    }

    /// Where its tokens come from.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What fetches a token.
    pub fn mint(&self, now: UnixMillis) -> Mint {
        let url = self.url.clone();
        match &self.of {
            Of::Client(form) => Mint { url, form: form.clone(), key: None, input: String::new() },
            Of::Account { email, pem, key_id } => {
                let mut header = Object::new().text("alg", "RS256").text("typ", "JWT");
                if let Some(id) = key_id {
                    header = header.text("kid", id);
                }
                let seconds = now.0 / 1000;
                let claims = Object::new().text("iss", email).text("scope", SCOPE).text("aud", &url);
                let claims =
                    claims.number("iat", seconds).number("exp", seconds.saturating_add(ASSERTION_SECS));
                let part = |object: Object| URL_SAFE_NO_PAD.encode(object.end());
                let input = format!("{}.{}", part(header), part(claims));
                let form = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
                Mint { url, form: form.to_owned(), key: Some(pem.clone()), input }
            }
        }
    }
}

impl Token {
    /// The token of an endpoint's answer; `None` if there is none in it that could be sent.
    pub fn read(answer: &[u8]) -> Option<Self> {
        let answer = Raw::object(answer)?;
        let text = answer.text_at("access_token")?.into_owned();
        let legal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let seconds = answer.get("expires_in").and_then(|seconds| seconds.count(LASTS_MAX)).unwrap_or(300);
        let lasts = Millis::from_secs(seconds).0.saturating_sub(MARGIN.0);
        legal.then_some(Self { text, lasts: Millis(lasts) })
    }
}

/// A value of a form.
fn escaped(text: &str) -> String {
    use core::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string never fails.
            let _written = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_signs_its_claims() {
        let json =
            r#"{"client_email":"a@p.iam.gserviceaccount.com","private_key":"PEM","private_key_id":"k1"}"#;
        let mint = TokenSource::account(json, &SortedMap::new()).unwrap().mint(UnixMillis(5_000));
        assert_eq!((mint.url.as_str(), mint.key.as_deref()), (GOOGLE, Some("PEM")));
        let claims = mint.input.split('.').nth(1).unwrap();
        let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        assert_eq!(
            claims,
            format!(
                "{{\"iss\":\"a@p.iam.gserviceaccount.com\",\"scope\":\"{SCOPE}\",\"aud\":\"{GOOGLE}\",\"iat\":5,\"exp\":3605}}"
            )
        );
        let members = SortedMap::from([("client_email".to_owned(), "b@x".to_owned())]);
        assert!(TokenSource::account("-----BEGIN PRIVATE KEY-----", &members).is_some());
        assert!(TokenSource::account("-----BEGIN PRIVATE KEY-----", &SortedMap::new()).is_none());
        assert!(!format!("{mint:?}").contains("PEM"));
    }

    #[test]
    fn a_client_shows_its_secret_in_a_form() {
        let mint = TokenSource::client(None, "t", "c", "s&=").mint(UnixMillis(0));
        assert_eq!(mint.url, "https://login.microsoftonline.com/t/oauth2/v2.0/token");
        assert!(
            mint.form
                .contains("client_secret=s%26%3D&scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default")
        );
    }

    #[test]
    fn answers_are_tokens_or_none() {
        let token =
            Token::read(br#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}"#).unwrap();
        assert_eq!((token.text.as_str(), token.lasts), ("ya29.x", Millis::from_secs(3539)));
        for bad in ["null", "{}", r#"{"access_token":""}"#, r#"{"access_token":"a\nb"}"#, "<html>"] {
            assert!(Token::read(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
