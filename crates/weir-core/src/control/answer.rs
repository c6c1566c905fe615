//! Management requests and answers as plain data, and who may command.
//!
//! Decides how a management URL is taken apart and whether the administrator's token was presented; not what a
//! route means, and not who else there is (`access::caller`). Answers of the management surfaces are rendered where their errors are known (`weir`, `arm`,
//! `databricks`).

use super::Settings;
use super::access::caller::{Identity, bearer};
use super::errand::Errand;
use crate::id::AccountId;
use crate::seal::digest;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq;

/// Longest management URL in bytes.
const URL_BYTES_MAX: usize = 8192;
/// Most segments of a management path.
const SEGMENTS_MAX: usize = 32;

/// A management request as the shell received it. Printed without credentials and body.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagementRequest {
    /// Upper-case method.
    pub method: String,
    /// Absolute URL.
    pub url: String,
    /// The `Authorization` header.
    #[serde(default)]
    pub authorization: Option<String>,
    /// The `api-key` header; opens no management surface.
    #[serde(default)]
    pub api_key: Option<String>,
    /// The `If-Match` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_match: Option<String>,
    /// The `If-None-Match` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_none_match: Option<String>,
    /// What became of the errand that an earlier answer to this request asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<bool>,
    /// The accounts that it is about, once they were asked for ([`super::front`]). Never read from a caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<AccountId>>,
    /// The body as text; empty without one.
    #[serde(default)]
    pub body: String,
    /// What is known of the credential, once it was asked for ([`super::front`]). Never read from a caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
}

impl fmt::Debug for ManagementRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagementRequest")
            .field("method", &self.method)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// An answer to a management request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header names in lower case with their values.
    pub headers: Vec<(String, String)>,
    /// The body; empty for 204.
    pub body: String,
    /// What the shell shall do before it answers with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errand: Option<Errand>,
    /// The caller may ask, and the thing is there: the answer itself is the ledger's (`ledger::question`). It is asked
    /// what `body` says, if that says something, instead of what follows `?` in the request.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub ledger: bool,
}

impl Answer {
    /// A JSON answer.
    pub fn json(status: u16, body: &Value) -> Self {
        let headers = Vec::from([("content-type".to_owned(), "application/json; charset=utf-8".to_owned())]);
        Self { status, headers, body: body.to_string(), errand: None, ledger: false }
    }

    /// An answer without a body.
    pub const fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new(), errand: None, ledger: false }
    }

    /// With a message to another Registry that does not decide the answer.
    #[must_use]
    pub fn after(mut self, errand: Errand) -> Self {
        self.errand = Some(errand);
        self
    }

    /// Leaves the answer to the ledger.
    pub fn of_ledger() -> Self {
        Self { ledger: true, ..Self::empty(200) }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// The path and query of a management URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Scheme and host, e.g. `https://gate.example`.
    pub origin: String,
    /// The path as it was written, for messages.
    pub path: String,
    /// Non-empty segments of the path, percent-decoded.
    pub segments: Vec<String>,
    /// Query members, percent-decoded, in order.
    pub query: Vec<(String, String)>,
}

impl Location {
    /// Takes a URL apart. `None` when it is too long, has too many segments, or does not decode to text without
    /// slashes and control characters in a segment.
    pub fn parse(url: &str) -> Option<Self> {
        if url.len() > URL_BYTES_MAX {
            return None;
        }
        let origin = super::address::origin(url)?;
        let rest = url.get(origin.len()..)?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut segments = Vec::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            let text = decode(segment, false)?;
            let odd =
                text.chars().any(|c| c == '/' || c == '\\' || c.is_control()) || text == "." || text == "..";
            if odd || segments.len() >= SEGMENTS_MAX {
                return None;
            }
            segments.push(text);
        }
        let members = query.split('&').filter(|member| !member.is_empty());
        let pair = |member: &str| {
            let (name, value) = member.split_once('=').unwrap_or((member, ""));
            Some((decode(name, true)?, decode(value, true)?))
        };
        let query = members.map(pair).collect::<Option<Vec<_>>>()?;
        Some(Self { origin, path: path.to_owned(), segments, query })
    }

    /// The segments as borrowed texts, for matching.
    pub fn parts(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }

    /// The first query member of this name.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(member, _)| member == name).map(|(_, value)| value.as_str())
    }
}

fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digit =
                    |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                (digit(bytes.next()?)? << 4) | digit(bytes.next()?)?
            }
            b'+' if plus_is_space => b' ',
            _ => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

/// Why a caller may not command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No bearer token was presented.
    Missing,
    /// Nobody has this token.
    Wrong,
    /// The token is not in force any more.
    Expired,
    /// The token's issuer cannot be asked now.
    Unavailable,
    /// The installation has no administrator token, so nobody may.
    NotConfigured,
}

impl Denied {
    /// What to do about it.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Missing => "Authentication is required: send 'Authorization: Bearer <token>'.",
            Self::Wrong => "Invalid access token.",
            Self::Expired => "The access token has expired.",
            Self::Unavailable => {
                "The token cannot be checked now: its issuer does not answer. Try again in a moment."
            }
            Self::NotConfigured => {
                "No administrator token is configured on this installation: set the secret WEIR_ADMIN_TOKEN."
            }
        }
    }
}

/// Whether the administrator's token was presented as `Authorization: Bearer`. Compared in constant time.
///
/// # Errors
/// [`Denied`] otherwise.
pub fn admit(settings: &Settings, authorization: Option<&str>) -> Result<&'static str, Denied> {
    let token = bearer(authorization)?;
    let expected = settings.admin_token_hash.ok_or(Denied::NotConfigured)?;
    if bool::from(digest(token.as_bytes()).ct_eq(&expected)) { Ok(ADMINISTRATOR) } else { Err(Denied::Wrong) }
}

/// The user as whom the administrator's token acts.
pub const ADMINISTRATOR: &str = "admin";

/// The text of a list position, e.g. `backends[2]`.
pub fn position(path: &str, at: usize) -> String {
    format!("{path}[{at}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_or_refused() {
        let rows: [(&str, Option<&[&str]>); 9] = [
            ("http://h/api/2.0/serving-endpoints/", Some(&["api", "2.0", "serving-endpoints"])),
            ("http://h", Some(&[])),
            ("http://h/a%20b?x=1#f", Some(&["a b"])),
            ("http://h/a%2Fb", None),
            ("http://h/a%00b", None),
            ("http://h/%2e%2e/b", None),
            ("http://h/%zz", None),
            ("http://h/%ff", None),
            ("/relative", None),
        ];
        for (url, expected) in rows {
            let got = Location::parse(url).map(|location| location.segments);
            assert_eq!(
                got.as_deref(),
                expected.map(|parts| parts.iter().map(ToString::to_string).collect::<Vec<_>>()).as_deref(),
                "{url}"
            );
        }
        let location = Location::parse("http://h/x?api-version=1&scope=a%2Fb+c").unwrap();
        assert_eq!(location.query("scope"), Some("a/b c"));
        assert_eq!(location.query("none"), None);
    }

    #[test]
    fn only_the_administrators_bearer_token_commands() {
        let settings = Settings { admin_token_hash: Some(digest(b"secret")), ..Settings::default() };
        let rows = [
            (Some("Bearer secret"), Ok("admin")),
            (Some("bearer  secret "), Ok("admin")),
            (Some("Bearer other"), Err(Denied::Wrong)),
            (Some("Basic secret"), Err(Denied::Missing)),
            (Some("secret"), Err(Denied::Missing)),
            (Some("Bearer "), Err(Denied::Missing)),
            (None, Err(Denied::Missing)),
        ];
        for (header, expected) in rows {
            assert_eq!(admit(&settings, header), expected, "{header:?}");
        }
        assert_eq!(admit(&Settings::default(), Some("Bearer x")), Err(Denied::NotConfigured));
    }
}
