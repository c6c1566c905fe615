//! Names and identifiers, checked where they are born. Decides what a legal name is; not who may use it.
//!
//! Base file, used by all stages. A name that reaches a URL, a header or an object's name has passed here.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The text is empty or shorter than the kind's minimum.
    #[error("is too short (at least {min} characters)")]
    TooShort {
        /// Smallest legal length in bytes.
        min: u32,
    },
    /// The text is longer than the kind's maximum.
    #[error("is too long (at most {max} characters)")]
    TooLong {
        /// Largest legal length in bytes.
        max: u32,
    },
    /// A character outside the kind's alphabet.
    #[error("has an illegal character at position {at}")]
    IllegalCharacter {
        /// Byte offset of the first illegal character.
        at: u32,
    },
}

/// Checks length and alphabet: ASCII letters and digits anywhere, `extra` anywhere but first.
fn check(text: &str, min: u32, max: u32, extra: &[u8]) -> Result<(), InvalidName> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    if length < min {
        return Err(InvalidName::TooShort { min });
    }
    if length > max {
        return Err(InvalidName::TooLong { max });
    }
    for (at, byte) in (0u32..).zip(text.bytes()) {
        let legal = byte.is_ascii_alphanumeric() || (at > 0 && extra.contains(&byte));
        if !legal {
            return Err(InvalidName::IllegalCharacter { at });
        }
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $min:literal, $max:literal, $extra:literal, $fold:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(String);

        impl $type {
            /// Checks `text` and keeps it.
            ///
            /// # Errors
            /// [`InvalidName`] with what is wrong and where.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                check(text, $min, $max, $extra)?;
                let fold: fn(&str) -> String = $fold;
                Ok(Self(fold(text)))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// An account of the installation (`design.md`, section 2): 2 to 64 of `[a-z0-9._-]`, lower case, because
    /// it is a host label and compares without case (`azure.md`, C0).
    AccountId, 2, 64, b"._-", str::to_ascii_lowercase
);

name!(
    /// A deployment's name as it was written: 1 to 64 of `[A-Za-z0-9._-]`. Two names that differ only in case
    /// are the same deployment (`azure.md`, A3): compare [`DeploymentName::folded`].
    DeploymentName, 1, 64, b"._-", str::to_owned
);

impl DeploymentName {
    /// The form by which deployments are found: lower case.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

name!(
    /// A principal's or a key's identifier: 1 to 64 of `[A-Za-z0-9._@-]`.
    PrincipalId, 1, 64, b"._@-", str::to_owned
);

impl AccountId {
    /// The account that always exists and that is meant when nothing names another.
    pub fn default_account() -> Self {
        Self("default".to_owned())
    }
}

/// One exchange: unique in the installation. Written as a UUID (version 4 layout) wherever a text is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u128);

impl RequestId {
    /// A request id from 128 random bits.
    pub const fn from_random(random: u128) -> Self {
        Self((random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every exchange writes one: a table, since a formatted byte costs as much as this whole.
        let digit =
            |nibble: u8| char::from(b"0123456789abcdef".get(usize::from(nibble)).copied().unwrap_or(b'0'));
        let mut text = String::with_capacity(36);
        for (at, byte) in self.0.to_be_bytes().into_iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push(digit(byte >> 4));
            text.push(digit(byte & 0xf));
        }
        f.write_str(&text)
    }
}

/// One isolate's life: 64 random bits drawn when its core was made. A restart is another isolate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IsolateId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn names_are_accepted_or_refused_with_the_position() {
        let rows: [(&str, Option<InvalidName>); 8] = [
            ("gpt-4o", None),
            ("Mistral-large", None),
            ("a.b_c", None),
            ("", Some(InvalidName::TooShort { min: 1 })),
            ("-x", Some(InvalidName::IllegalCharacter { at: 0 })),
            ("a/b", Some(InvalidName::IllegalCharacter { at: 1 })),
            ("a\r\nX-Evil: 1", Some(InvalidName::IllegalCharacter { at: 1 })),
            ("é", Some(InvalidName::IllegalCharacter { at: 0 })),
        ];
        for (text, problem) in rows {
            assert_eq!(DeploymentName::parse(text).err(), problem, "{text:?}");
        }
    }

    #[test]
    fn a_request_id_reads_as_a_version_4_uuid() {
        let text = format!("{}", RequestId::from_random(u128::MAX));
        assert_eq!(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
