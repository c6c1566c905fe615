//! Credentials of upstreams: secret references or plain text, sealed for the upstream's base address.
//!
//! Decides what a reference is (`databricks.md`, 9.1), that exactly one of a pair is given (5.3, points 6 to 8), and
//! which texts can be sent; not where a provider's credential goes.

use super::super::command::{Desk, SecretFault};
use super::super::document::{Faults, Members};
use super::super::state::Backend;
use crate::snapshot::{Target, UpstreamAuth};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use serde_json::{Map, Value};

/// Longest credential, in bytes.
const CREDENTIAL_BYTES_MAX: usize = 8192;

/// A credential as it was given.
pub(in crate::control) struct Credential {
    pub(super) value: String,
    /// `scope/key` of the secret that it was read from.
    pub(in crate::control) reference: Option<String>,
}

/// Where a credential goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::control) enum Form {
    /// Into a header, as it is.
    Header,
    /// Into a signature or a form: it may be any text.
    Text,
}

/// Reads the pair `{name}` (a reference) and `{name}_plaintext`: exactly one must be there.
pub(in crate::control) fn credential(
    members: &Members<'_>,
    name: &str,
    form: Form,
    desk: &Desk<'_>,
    faults: &mut Faults,
    shown: &mut Map<String, Value>,
) -> Option<Credential> {
    let plain_name = format!("{name}_plaintext");
    let path = members.path(name);
    let (reference, plain) = (members.text(name, faults), members.text(&plain_name, faults));
    let credential = match (reference, plain) {
        (Some(_), Some(_)) => {
            faults.note(&path, format!("must not be given beside {plain_name}"));
            return None;
        }
        (None, None) => {
            if members.get(name).is_none() && members.get(&plain_name).is_none() {
                faults.note(&path, format!("is required (a secret reference), or {plain_name}"));
            }
            return None;
        }
        (Some(text), None) => {
            let Some(secret) = parse_reference(text) else {
                let text = format!(
                    "must be a reference of the form {{{{secrets/scope/key}}}}; a key itself goes to {plain_name}"
                );
                faults.note(&path, text);
                return None;
            };
            shown.insert(name.to_owned(), text.into());
            match desk.secret(&secret) {
                Ok(value) => Credential { value, reference: Some(secret) },
                Err(fault) => {
                    faults.note(&path, fault.to_string());
                    return None;
                }
            }
        }
        (None, Some(value)) => Credential { value: value.to_owned(), reference: None },
    };
    let path = if credential.reference.is_some() { path } else { members.path(&plain_name) };
    match form {
        Form::Header if !is_header_value(&credential.value) => {
            faults.note(&path, "must be 1 to 8192 visible ASCII characters, because it is sent in a header");
            None
        }
        Form::Text if !(1..=CREDENTIAL_BYTES_MAX).contains(&credential.value.len()) => {
            faults.note(&path, "must be 1 to 8192 bytes");
            None
        }
        Form::Header | Form::Text => Some(credential),
    }
}

/// `scope/key` of a text of the form `{{secrets/scope/key}}` (`databricks.md`, 9.1).
pub fn parse_reference(text: &str) -> Option<String> {
    let inner = text.strip_prefix("{{secrets/")?.strip_suffix("}}")?;
    let (scope, key) = inner.split_once('/')?;
    (is_secret_name(scope, true) && is_secret_name(key, false)).then(|| inner.to_owned())
}

/// Whether a text can name a scope (which may hold `@`) or a secret.
pub fn is_secret_name(text: &str, scope: bool) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c) || (scope && c == '@');
    (1..=128).contains(&text.len()) && text.chars().all(legal)
}

/// Whether a text can be sent as the value of a header.
pub fn is_header_value(text: &str) -> bool {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    visible && text == text.trim() && (1..=CREDENTIAL_BYTES_MAX).contains(&text.len())
}

/// Seals a credential for the upstream at `base`.
pub(in crate::control) fn seal(
    credential: &Credential,
    base: &str,
    path: &str,
    desk: &mut Desk<'_>,
    faults: &mut Faults,
) -> Option<String> {
    let sealed = desk.seal(base, &credential.value);
    sealed.map_err(|fault| faults.note(path, fault.to_string())).ok()
}

/// The backend with the credentials that were read from `secret` replaced by `value`, sealed anew for its upstream.
///
/// # Errors
/// [`SecretFault::NoSealKey`]; [`SecretFault::Unsendable`] if it goes into a header and cannot.
pub fn with_credential(
    backend: &Backend,
    secret: &str,
    value: &str,
    desk: &mut Desk<'_>,
) -> Result<Backend, SecretFault> {
    let mut backend = backend.clone();
    if let Target::Http(upstream) = &mut backend.entity.target {
        let base = upstream.base.clone();
        let any_text = matches!(
            upstream.auth,
            UpstreamAuth::Aws { .. } | UpstreamAuth::ServiceAccount { .. } | UpstreamAuth::Entra { .. }
        );
        for (sealed, reference) in upstream.auth.sealed_mut().into_iter().zip(&backend.references) {
            if reference.as_deref() == Some(secret) {
                if !any_text && !is_header_value(value) {
                    return Err(SecretFault::Unsendable);
                }
                *sealed = desk.seal(&base, value)?;
            }
        }
    }
    Ok(backend)
}
