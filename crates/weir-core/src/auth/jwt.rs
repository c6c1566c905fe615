//! Tokens of a configured `OpenID` Connect issuer: what they say, before anybody checked that it is true.
//!
//! Stage 2. Decides which tokens are worth checking: RS256 or ES256, of the issuer, for this gateway, in force
//! (RFC 7519; `azure.md` A4 for the audiences). The signature is checked with `WebCrypto`, as `control::access::oidc`
//! says; nothing here may be believed until then.

use crate::snapshot::access::Issuer;
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// Audiences that Azure's SDKs ask their tokens for, for models (`azure.md`, A4).
const AUDIENCES: [&str; 3] =
    ["https://cognitiveservices.azure.com", "https://ai.azure.com", "https://ml.azure.com"];
/// And for managing.
const MANAGEMENT_AUDIENCES: [&str; 2] =
    ["https://management.azure.com", "https://management.core.windows.net"];
/// How far the issuer's clock may be ahead.
const SKEW_SECONDS: u64 = 60;
/// Most groups that a token may name: Entra writes at most 200.
const GROUPS_MAX: usize = 250;
/// Longest id of a principal or group.
const ID_BYTES_MAX: usize = 128;

/// The algorithm of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA with PKCS#1 v1.5 and SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl Algorithm {
    /// Its name in a token's header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

/// Why a token is refused before its signature is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Not three parts of base64url with JSON in the first two.
    #[error("the token cannot be read")]
    Form,
    /// Another algorithm than RS256 and ES256.
    #[error("the token is signed by an algorithm that is not accepted")]
    Algorithm,
    /// Of another issuer.
    #[error("the token is of another issuer")]
    Issuer,
    /// For somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// Over, or without an end.
    #[error("the token has expired")]
    Expired,
    /// Not yet in force.
    #[error("the token is not valid yet")]
    Early,
    /// It names nobody.
    #[error("the token names no principal")]
    Nobody,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `oid`, else `sub`.
    pub principal: String,
    /// What the principal is called; empty if the token does not say.
    pub name: String,
    /// `groups`.
    pub groups: Vec<String>,
    /// `exp`.
    pub until: UnixMillis,
    /// Which key signed it; empty if it does not say.
    pub key_id: String,
    /// How.
    pub algorithm: Algorithm,
    /// The signature.
    pub signature: Vec<u8>,
}

/// Whether a credential has the form of such a token.
pub fn is_token(credential: &str) -> bool {
    credential.starts_with("eyJ") && credential.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Reads a token. `management`: it may be one for managing, too.
///
/// # Errors
/// [`TokenFault`].
pub fn read(token: &str, issuer: &Issuer, management: bool, now: UnixMillis) -> Result<Claims, TokenFault> {
    let mut parts = token.split('.');
    let mut next = || URL_SAFE_NO_PAD.decode(parts.next()?).ok();
    let (Some(header), Some(claims), Some(signature)) = (next(), next(), next()) else {
        return Err(TokenFault::Form);
    };
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok().filter(Value::is_object);
    let (Some(header), Some(claims)) = (json(&header), json(&claims)) else { return Err(TokenFault::Form) };
    let text =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let algorithm = match text(&header, "alg").as_str() {
        "RS256" => Algorithm::Rs256,
        "ES256" => Algorithm::Es256,
        _ => return Err(TokenFault::Algorithm),
    };
    // An extension that must be understood is not.
    if header.get("crit").is_some() {
        return Err(TokenFault::Form);
    }
    if text(&claims, "iss") != issuer.issuer {
        return Err(TokenFault::Issuer);
    }
    if !is_for_us(claims.get("aud"), issuer, management) {
        return Err(TokenFault::Audience);
    }
    let seconds = |name: &str| claims.get(name).and_then(whole);
    let until = seconds("exp").map(|end| UnixMillis(end.saturating_mul(1000)));
    let Some(until) = until.filter(|until| now < *until) else { return Err(TokenFault::Expired) };
    let begins = seconds("nbf").unwrap_or(0).saturating_sub(SKEW_SECONDS).saturating_mul(1000);
    if now.0 < begins {
        return Err(TokenFault::Early);
    }
    let ids = ["oid", "sub"].map(|name| text(&claims, name));
    let principal = ids.into_iter().find(|id| !id.is_empty()).filter(|id| is_somebody(id));
    let Some(principal) = principal else { return Err(TokenFault::Nobody) };
    let names = ["preferred_username", "upn", "unique_name", "name", "appid"].map(|name| text(&claims, name));
    let printable = |name: &String| {
        !name.is_empty()
            && name.len() <= ID_BYTES_MAX.saturating_mul(2)
            && !name.chars().any(char::is_control)
    };
    let groups = claims.get("groups").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let groups = groups.iter().filter_map(Value::as_str).filter(|id| is_somebody(id)).take(GROUPS_MAX);
    Ok(Claims {
        principal,
        name: names.into_iter().find(printable).unwrap_or_default(),
        groups: groups.map(ToOwned::to_owned).collect(),
        until,
        key_id: text(&header, "kid"),
        algorithm,
        signature,
    })
}

/// Whole seconds; some issuers write them with a fraction.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let text = alloc::format!("{value}");
        text.split('.').next().and_then(|whole| whole.parse().ok())
    })
}

/// Whether an id can be a principal's of an issuer: not one that means something here.
fn is_somebody(id: &str) -> bool {
    let own = ["admin", "key1", "key2"].contains(&id) || id.starts_with("key-") || id.starts_with("token-");
    !id.is_empty() && id.len() <= ID_BYTES_MAX && !own && !id.chars().any(char::is_control)
}

fn is_for_us(audience: Option<&Value>, issuer: &Issuer, management: bool) -> bool {
    let ours = |audience: &str| {
        let audience = audience.strip_suffix('/').unwrap_or(audience);
        AUDIENCES.contains(&audience)
            || (management && MANAGEMENT_AUDIENCES.contains(&audience))
            || issuer.audiences.iter().any(|own| own.strip_suffix('/').unwrap_or(own) == audience)
    };
    match audience {
        Some(Value::String(audience)) => ours(audience),
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).any(ours),
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec;
    use serde_json::json;

    const NOW: UnixMillis = UnixMillis(1_000_000_000);

    fn token(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode(b"signature"))
    }

    fn issuer() -> Issuer {
        Issuer { issuer: "https://login.example".to_string(), audiences: vec!["api://weir".to_string()] }
    }

    /// A good token's claims with one member changed.
    fn with(name: &str, value: Value) -> Value {
        let mut claims = json!({"iss": "https://login.example", "aud": "https://ai.azure.com", "exp": 1_000_001,
            "oid": "o", "sub": "s"});
        claims.as_object_mut().unwrap().insert(name.to_string(), value);
        claims
    }

    fn said(header: &Value, claims: &Value) -> Result<String, TokenFault> {
        read(&token(header, claims), &issuer(), false, NOW).map(|claims| claims.principal)
    }

    #[test]
    fn algorithms_that_are_not_asymmetric_are_refused() {
        let rows = [
            (json!({"alg": "RS256", "kid": "k"}), Ok("o".to_string())),
            (json!({"alg": "ES256"}), Ok("o".to_string())),
            (json!({"alg": "none"}), Err(TokenFault::Algorithm)),
            (json!({"alg": "HS256"}), Err(TokenFault::Algorithm)),
            (json!({}), Err(TokenFault::Algorithm)),
            (json!({"alg": "RS256", "crit": ["b64"]}), Err(TokenFault::Form)),
        ];
        for (header, expected) in rows {
            assert_eq!(said(&header, &with("x", Value::Null)), expected, "{header}");
        }
    }

    #[test]
    fn only_tokens_of_the_issuer_for_this_gateway_in_force_are_worth_checking() {
        let rows = [
            ("oid", json!("o"), Ok("o")),
            ("oid", json!(""), Ok("s")),
            ("aud", json!("https://cognitiveservices.azure.com/"), Ok("o")),
            ("aud", json!("https://ml.azure.com"), Ok("o")),
            ("aud", json!("api://weir"), Ok("o")),
            ("aud", json!(["x", "api://weir"]), Ok("o")),
            ("nbf", json!(1_000_060), Ok("o")),
            ("exp", json!(1_000_001.5), Ok("o")),
            ("iss", json!("https://login.example/"), Err(TokenFault::Issuer)),
            ("aud", json!("https://graph.microsoft.com"), Err(TokenFault::Audience)),
            ("aud", json!("https://management.azure.com"), Err(TokenFault::Audience)),
            ("aud", json!(7), Err(TokenFault::Audience)),
            ("exp", json!(1_000_000), Err(TokenFault::Expired)),
            ("exp", Value::Null, Err(TokenFault::Expired)),
            ("exp", json!(-1), Err(TokenFault::Expired)),
            ("nbf", json!(1_000_061), Err(TokenFault::Early)),
            ("oid", json!("admin"), Err(TokenFault::Nobody)),
            ("oid", json!("key-1"), Err(TokenFault::Nobody)),
            ("oid", json!("a\nb"), Err(TokenFault::Nobody)),
        ];
        for (name, value, expected) in rows {
            let got = said(&json!({"alg": "RS256"}), &with(name, value.clone()));
            assert_eq!(got.as_deref().map_err(|fault| *fault), expected, "{name} {value}");
        }
        let managing = with("aud", json!("https://management.azure.com/"));
        assert!(read(&token(&json!({"alg": "RS256"}), &managing), &issuer(), true, NOW).is_ok());
    }

    #[test]
    fn a_token_tells_groups_key_and_signature_or_cannot_be_read() {
        let full = token(&json!({"alg": "RS256", "kid": "k"}), &with("groups", json!(["g1", 2, "g2"])));
        let claims = read(&full, &issuer(), false, NOW).unwrap();
        assert_eq!((claims.groups, claims.key_id.as_str()), (vec!["g1".to_string(), "g2".to_string()], "k"));
        assert_eq!(claims.signature, b"signature");
        for text in ["", "a.b.c", "eyJ.eyJ.x", "eyJh.e30", "bnVsbA.e30.AA", "e30.bnVsbA.AA"] {
            assert_eq!(read(text, &issuer(), false, NOW).err(), Some(TokenFault::Form), "{text}");
        }
    }

    #[test]
    fn keys_are_no_tokens() {
        for (text, expected) in [
            ("eyJhbGciOiJSUzI1NiJ9.e30.AA", true),
            ("wk_default_abc", false),
            ("a.b.c", false),
            ("eyJ.x", false),
        ] {
            assert_eq!(is_token(text), expected, "{text}");
        }
    }
}
