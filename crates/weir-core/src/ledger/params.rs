//! The parameters of a query string, each read once, every fault noted.
//!
//! Decides what a well-formed query string is; not what its values mean.

use super::answer::Fault;
use crate::sorted::SortedMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// The parameters given, and what was wrong so far.
pub(super) struct Params {
    values: SortedMap<&'static str, String>,
    pub(super) faults: Vec<Fault>,
}

impl Params {
    /// Reads the part of an address after `?`. A parameter that is not `known`, is given twice or is not UTF-8 is
    /// a fault; one without a value is as if not given, and so is `account`.
    pub(super) fn parse(query: &str, known: &[&'static str]) -> Self {
        let mut params = Self { values: SortedMap::new(), faults: Vec::new() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                params.fault("query", "has a malformed percent escape");
                continue;
            };
            // Whose ledger it is was read before.
            if name == "account" {
                continue;
            }
            let Some(&known) = known.iter().find(|known| **known == name) else {
                let list = known.join(", ");
                params.fault(&clip(&name), format!("is not a parameter here; there are {list}"));
                continue;
            };
            if value.is_empty() {
                continue;
            }
            if params.values.insert(known, value).is_some() {
                params.fault(known, "is given twice");
            }
        }
        params
    }

    pub(super) fn fault(&mut self, path: &str, problem: impl Into<String>) {
        self.faults.push(Fault::new(path, problem));
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The value as `read` understands it; `absent` if it is not given or wrong, which is noted.
    pub(super) fn read<T, E: core::fmt::Display>(
        &mut self,
        name: &'static str,
        absent: T,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> T {
        match self.values.get(name).map(|value| read(value)) {
            None => absent,
            Some(Ok(value)) => value,
            Some(Err(problem)) => {
                self.fault(name, format!("{problem}"));
                absent
            }
        }
    }

    /// A number of rows, 1..=`max`.
    pub(super) fn limit(&mut self, absent: u32, max: u32) -> u32 {
        self.read("limit", absent, |value| match value.parse::<u32>() {
            Ok(limit) if (1..=max).contains(&limit) => Ok(limit),
            Ok(_) | Err(_) => Err(format!("is not a whole number from 1 to {max}")),
        })
    }
}

/// A cursor: where a page ended, opaque to callers.
pub(super) fn write_cursor<T: Serialize>(value: &T) -> String {
    URL_SAFE_NO_PAD.encode(super::message::json(value))
}

/// A cursor that [`write_cursor`] wrote.
pub(super) fn read_cursor<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, &'static str> {
    let problem = "is not a cursor of this list; take next_cursor of the page before";
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| problem)?;
    serde_json::from_slice(&json).map_err(|_| problem)
}

/// Enough of a name to know it again.
fn clip(name: &str) -> String {
    name.chars().take(40).collect()
}

/// Undoes `%XX` and `+`.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || u8::try_from(char::from(bytes.next()?).to_digit(16)?).ok();
                let (high, low) = (digit()?, digit()?);
                (high << 4) | low
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}
