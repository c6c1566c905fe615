//! Signing a request as Amazon asks for: Signature Version 4, with the secret key never leaving this process.
//!
//! Base. Decides the headers that show who calls; not when a call is made. Covers what Weir sends: a POST without a
//! query, its whole body, and the headers it is given. HMAC is eight lines over the SHA-256 that core has anyway (RFC
//! 2104), which saves a crate and its block buffers. Source: AWS, "Signature Version 4 signing process"; `providers.md`
//! 8.1. The canonical path is the path on the wire encoded once more: that is the rule for every service but S3.

use crate::ledger::calendar;
use crate::seal::{digest, hex};
use crate::time::UnixMillis;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use sha2::{Digest, Sha256};

/// The service's name in a credential scope (not that of its host, which is `bedrock-runtime`).
pub const SERVICE: &str = "bedrock";
/// Bytes of SHA-256's block.
const BLOCK_BYTES: usize = 64;

/// Long-term or temporary keys of an AWS account. Shows nothing when printed.
#[derive(Clone, PartialEq, Eq)]
pub struct AwsKeys {
    /// `AKIA…` or `ASIA…`.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
    /// Given with temporary keys only.
    pub session_token: Option<String>,
}

impl core::fmt::Debug for AwsKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("AwsKeys(..)")
    }
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// HTTP method, upper case.
    pub method: &'a str,
    /// The address that is called: scheme, host, path; no query.
    pub url: &'a str,
    /// The region of the credential's scope, e.g. `us-east-1`.
    pub region: &'a str,
    /// The service of the credential's scope, [`SERVICE`].
    pub service: &'a str,
    /// The headers that are signed beside `host` and those added here; lower-case names.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, whole.
    pub body: &'a [u8],
}

/// The headers to add: `x-amz-date`, `authorization`, and `x-amz-security-token` with temporary keys.
pub fn sign(keys: &AwsKeys, now: UnixMillis, request: &Signed<'_>) -> Vec<(&'static str, String)> {
    let time = timestamp(now);
    let day = time.get(..8).unwrap_or_default();
    let (host, path) = parts(request.url);
    let mut headers: Vec<(&str, &str)> = request.headers.to_vec();
    headers.extend([("host", host), ("x-amz-date", time.as_str())]);
    if let Some(token) = &keys.session_token {
        headers.push(("x-amz-security-token", token));
    }
    headers.sort_unstable();
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let mut canonical = [request.method, "\n", &encoded(path), "\n\n"].concat();
    for (name, value) in headers {
        canonical.extend([name, ":", value.trim(), "\n"]);
    }
    canonical.extend(["\n", &names, "\n", &hex(&digest(request.body))]);
    let scope = [day, request.region, request.service, "aws4_request"].join("/");
    let text = ["AWS4-HMAC-SHA256", &time, &scope, &hex(&digest(canonical.as_bytes()))].join("\n");
    let secret = format!("AWS4{}", keys.secret_access_key);
    let key = scope.split('/').fold(secret.into_bytes(), |key, part| hmac(&key, part.as_bytes()).to_vec());
    let signature = hex(&hmac(&key, text.as_bytes()));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        keys.access_key_id
    );
    let mut added = Vec::from([("x-amz-date", time), ("authorization", authorization)]);
    added.extend(keys.session_token.iter().map(|token| ("x-amz-security-token", token.clone())));
    added
}

/// `20260102T030405Z`.
fn timestamp(now: UnixMillis) -> String {
    let seconds = UnixMillis(now.seconds().saturating_mul(1000));
    calendar::format_rfc3339(seconds).replace(['-', ':'], "")
}

/// Host (with its port, if the address has one) and path of an address.
fn parts(url: &str) -> (&str, &str) {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    let at = behind.find('/').unwrap_or(behind.len());
    let (host, path) = behind.split_at_checked(at).unwrap_or((behind, ""));
    (host, if path.is_empty() { "/" } else { path })
}

/// A path with every byte but letters, digits, `-`, `.`, `_`, `~` and `/` percent-encoded, also those of an encoding that
/// it has already.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            push_escape(&mut out, byte);
        }
    }
    out
}

fn push_escape(out: &mut String, byte: u8) {
    out.push('%');
    out.push_str(&hex(&[byte]).to_ascii_uppercase());
}

/// HMAC-SHA256 (RFC 2104).
pub fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0u8; BLOCK_BYTES];
    let hashed = digest(key);
    let key = if key.len() > BLOCK_BYTES { &hashed } else { key };
    for (slot, byte) in block.iter_mut().zip(key) {
        *slot = *byte;
    }
    let keyed = |mask: u8| Sha256::new().chain_update(block.map(|byte| byte ^ mask));
    let inner = keyed(0x36).chain_update(message).finalize();
    keyed(0x5c).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned;
    use alloc::string::ToString;
    use proptest::prelude::*;

    const KEYS: (&str, &str) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");

    fn keys(token: Option<&str>) -> AwsKeys {
        AwsKeys {
            access_key_id: KEYS.0.to_owned(),
            secret_access_key: KEYS.1.to_owned(),
            session_token: token.map(ToOwned::to_owned),
        }
    }

    fn signature(keys: &AwsKeys, now: u64, request: &Signed<'_>) -> (String, String) {
        let added = sign(keys, UnixMillis(now), request);
        let (_, value) = added.iter().find(|(name, _)| *name == "authorization").unwrap();
        let (head, signature) = value.split_once(", Signature=").unwrap();
        let (_, names) = head.split_once("SignedHeaders=").unwrap();
        (names.to_string(), signature.to_string())
    }

    /// RFC 4231, test cases 1, 2, 6 (a key longer than the block).
    #[test]
    fn hmac_is_that_of_the_rfc() {
        let long = [0xaa; 131];
        let rows: [(&[u8], &[u8], &str); 3] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &long,
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, message, wanted) in rows {
            assert_eq!(hex(&hmac(key, message)), wanted);
        }
    }

    /// AWS's published test suite (`aws-sig-v4-test-suite`, 2015-08-30), the cases that have no query.
    #[test]
    fn the_published_vectors_hold() {
        const AT: u64 = 1_440_938_160_000;
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let request = |method, headers, body| Signed {
            method,
            url: "https://example.amazonaws.com/",
            region: "us-east-1",
            service: "service",
            headers,
            body,
        };
        let token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
        let rows = [
            (
                None,
                request("GET", &[][..], &b""[..]),
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                None,
                request("POST", &[], b""),
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                None,
                request("POST", &form, b"Param1=value1"),
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
            (
                Some(token),
                request("POST", &[], b""),
                "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
            ),
        ];
        for (token, request, wanted) in rows {
            assert_eq!(signature(&keys(token), AT, &request).1, wanted, "{request:?}");
        }
    }

    /// `providers.md` 8.1, computed with botocore 1.44.5 on 2026-10.
    #[test]
    fn a_call_of_bedrock_is_signed_as_botocore_signs_it() {
        let body = br#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#;
        assert_eq!(hex(&digest(body)), "c3335e07d6e89650bf94cb98664be69f8774dbc3198df221f113db0a59ea14f0");
        let url = [
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/",
            "anthropic.claude-3-haiku-20240307-v1%3A0",
            "/converse",
        ]
        .concat();
        let request = Signed {
            method: "POST",
            url: &url,
            region: "us-east-1",
            service: SERVICE,
            headers: &[("content-type", "application/json")],
            body,
        };
        let (names, signature) = signature(&keys(None), 1_767_323_045_678, &request);
        assert_eq!(names, "content-type;host;x-amz-date");
        assert_eq!(signature, "1d46b853950ada1236d7f19ff7fa4766dda53e3e07916e6dea4affdb3c67879a");
    }

    #[test]
    fn paths_and_hosts_are_taken_from_the_address() {
        for (url, host, path) in [
            ("https://a.example/model/x%3A0/converse", "a.example", "/model/x%253A0/converse"),
            ("http://127.0.0.1:8080/é b", "127.0.0.1:8080", "/%C3%A9%20b"),
            ("https://a.example", "a.example", "/"),
        ] {
            let (found, rest) = parts(url);
            assert_eq!((found, encoded(rest).as_str()), (host, path));
        }
        assert_eq!(format!("{:?}", keys(Some("t"))), "AwsKeys(..)");
    }

    proptest! {
        /// Another body, key, time, region, path or header is another signature; the secret is in no header.
        #[test]
        fn all_that_matters_is_signed(body: Vec<u8>, at in 0u64..4_000_000_000_000) {
            let one = |change: usize| {
                let mut keys = keys(Some("token"));
                let mut body = body.clone();
                if change == 1 { body.push(b'x'); }
                if change == 2 { keys.secret_access_key.push('x'); }
                let request = Signed {
                    method: if change == 3 { "PUT" } else { "POST" },
                    url: if change == 4 { "https://a.example/b" } else { "https://a.example/a" },
                    region: if change == 5 { "eu-west-1" } else { "us-east-1" },
                    service: SERVICE,
                    headers: if change == 6 { &[("content-type", "x")] } else { &[("content-type", "y")] },
                    body: &body,
                };
                let at = if change == 7 { at + 1000 } else { at };
                let added = sign(&keys, UnixMillis(at), &request);
                assert!(added.iter().all(|(_, value)| !value.contains(KEYS.1)));
                signature(&keys, at, &request).1
            };
            for change in 1..8 {
                prop_assert_ne!(one(0), one(change), "{}", change);
            }
        }
    }
}
