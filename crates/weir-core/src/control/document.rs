//! Reading management bodies: JSON that is bounded, whole and unambiguous, and the faults found in it.
//!
//! Decides what a well-formed management body is (at most 1 MiB, UTF-8, no member twice, at most 64 deep) and
//! how a fault is named: by the path of the member and a sentence. Does not decide what members mean.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Largest management body in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of a management body.
const DEPTH_MAX: u32 = 64;
/// Most faults that one answer names.
const FAULTS_MAX: usize = 50;

/// One thing that is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: member names and list positions joined as in `backends[0].external_model.name`; empty for the
    /// whole body.
    pub path: String,
    /// What: a sentence without its subject, e.g. `is required`.
    pub problem: String,
}

/// All that is wrong with a body, in the order it was found; at most 50.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// Notes a fault.
    pub fn note(&mut self, path: &str, problem: impl Into<String>) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(Fault { path: path.to_owned(), problem: problem.into() });
        }
    }

    /// Whether nothing is wrong.
    pub fn none(&self) -> bool {
        self.0.is_empty()
    }

    /// All faults in one sentence, e.g. `'name' is required; 'task' is unknown`.
    pub fn sentence(&self) -> String {
        let mut text = String::new();
        for fault in &self.0 {
            if !text.is_empty() {
                text.push_str("; ");
            }
            let subject = if fault.path.is_empty() { "the body" } else { fault.path.as_str() };
            text.extend([subject, " ", fault.problem.as_str()]);
        }
        text
    }
}

/// Why a body cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Larger than [`BODY_BYTES_MAX`].
    #[error("the body is larger than 1 MiB")]
    TooLarge,
    /// Not JSON, or with a member twice, or too deep.
    #[error("the body is not valid JSON: {0}")]
    Malformed(String),
    /// JSON, but not an object.
    #[error("the body must be a JSON object")]
    NotAnObject,
}

/// Reads a body that must be a JSON object.
///
/// # Errors
/// [`DocumentError`] with the position of the fault.
pub fn parse(body: &[u8]) -> Result<Map<String, Value>, DocumentError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(DocumentError::TooLarge);
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = Strict { depth: 0 }.deserialize(&mut reader);
    let value = value.and_then(|value| reader.end().map(|()| value));
    match value.map_err(|error| DocumentError::Malformed(format!("{error}")))? {
        Value::Object(map) => Ok(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(DocumentError::NotAnObject)
        }
    }
}

#[derive(Clone, Copy)]
struct Strict {
    depth: u32,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.saturating_add(1);
        if depth > DEPTH_MAX { Err(E::custom("nested deeper than 64 levels")) } else { Ok(Self { depth }) }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(seed)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(format!("member `{name}` appears twice")));
            }
            let value = members.next_value_seed(seed)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

/// The members of an object with the path at which it stands.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    map: &'a Map<String, Value>,
    path: String,
}

impl<'a> Members<'a> {
    /// The members of the whole body.
    pub const fn root(map: &'a Map<String, Value>) -> Self {
        Self { map, path: String::new() }
    }

    /// The members of `value`, which stands at `path`; notes a fault when it is not an object.
    pub fn of(value: &'a Value, path: &str, faults: &mut Faults) -> Option<Self> {
        let map = value.as_object();
        if map.is_none() {
            faults.note(path, "must be an object");
        }
        map.map(|map| Self { map, path: path.to_owned() })
    }

    /// The path of the member `name`.
    pub fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The names that are present.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.map.keys().map(String::as_str)
    }

    /// The member as it is; `None` if absent or null.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// The whole object.
    pub const fn map(&self) -> &'a Map<String, Value> {
        self.map
    }

    fn typed<T>(
        &self,
        name: &str,
        kind: &str,
        faults: &mut Faults,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(name)?;
        let read = read(value);
        if read.is_none() {
            faults.note(&self.path(name), format!("must be {kind}"));
        }
        read
    }

    /// A string; notes a fault when it is something else.
    pub fn text(&self, name: &str, faults: &mut Faults) -> Option<&'a str> {
        self.typed(name, "a string", faults, Value::as_str)
    }

    /// A string that must be there and not empty.
    pub fn required_text(&self, name: &str, faults: &mut Faults) -> Option<&'a str> {
        if self.get(name).is_none() {
            faults.note(&self.path(name), "is required");
            return None;
        }
        let text = self.text(name, faults)?;
        if text.is_empty() {
            faults.note(&self.path(name), "must not be empty");
            return None;
        }
        Some(text)
    }

    /// An integer from zero on.
    pub fn integer(&self, name: &str, faults: &mut Faults) -> Option<u64> {
        self.typed(name, "an integer that is not negative", faults, Value::as_u64)
    }

    /// True or false.
    pub fn boolean(&self, name: &str, faults: &mut Faults) -> Option<bool> {
        self.typed(name, "true or false", faults, Value::as_bool)
    }

    /// A list.
    pub fn list(&self, name: &str, faults: &mut Faults) -> Option<&'a Vec<Value>> {
        self.typed(name, "a list", faults, Value::as_array)
    }

    /// A list of strings.
    pub fn texts(&self, name: &str, faults: &mut Faults) -> Option<Vec<&'a str>> {
        let texts = |value: &'a Value| value.as_array()?.iter().map(Value::as_str).collect();
        self.typed(name, "a list of strings", faults, texts)
    }

    /// An object.
    pub fn members(&self, name: &str, faults: &mut Faults) -> Option<Self> {
        self.get(name).and_then(|value| Self::of(value, &self.path(name), faults))
    }

    /// An object that must be there.
    pub fn required_members(&self, name: &str, faults: &mut Faults) -> Option<Self> {
        if self.get(name).is_none() {
            faults.note(&self.path(name), "is required");
        }
        self.members(name, faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn bodies_are_read_or_refused() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(80), "]".repeat(80));
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(BODY_BYTES_MAX));
        let rows: [(&[u8], bool); 10] = [
            (b"{}", true),
            (br#"{"a":[1,-2,3.5,null,true,{"b":"c"}]}"#, true),
            (b"[]", false),
            (b"", false),
            (b"{} {}", false),
            (br#"{"a":1,"a":2}"#, false),
            (br#"{"a":{"b":1,"b":1}}"#, false),
            (b"{\"a\":\"\xff\"}", false),
            (deep.as_bytes(), false),
            (large.as_bytes(), false),
        ];
        for (body, good) in rows {
            let shown = String::from_utf8_lossy(body.get(..body.len().min(40)).unwrap());
            assert_eq!(parse(body).is_ok(), good, "{shown}");
        }
        let map = parse(br#"{"a":[1,-2,3.5,null,true,{"b":"c"}]}"#).unwrap();
        assert_eq!(Value::Object(map).to_string(), r#"{"a":[1,-2,3.5,null,true,{"b":"c"}]}"#);
    }
}
