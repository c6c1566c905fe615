//! A value that fits a JSON schema: arguments of a simulated tool call, and answers in a directed format.
//!
//! Decides one instance for a schema, always the same. It follows `$ref` within the schema, `const`, `enum`,
//! `default`, `examples`, `anyOf`, `oneOf`, `allOf`, `type` and the bounds of strings, numbers and arrays, which
//! is more than strict structured output allows; `pattern`, `not`, `if`, `uniqueItems` and bounds of objects are
//! not followed. Required members are given, others too near the root. Depth and size are bounded, since a schema
//! may refer to itself: beyond the bounds a value is null.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Number, Value};

/// Deepest nesting of an instance.
const DEPTH_MAX: u32 = 24;
/// Up to this depth optional members are given too.
const OPTIONAL_DEPTH_MAX: u32 = 2;
/// Most schemas visited for one instance.
const VISITS_MAX: u32 = 2_000;
/// Bytes of a string that weigh as much as one visit.
const BYTES_PER_VISIT: usize = 64;
/// Most members that an object requires.
const REQUIRED_MAX: usize = 500;
/// Most items made for one `minItems`.
const ITEMS_MAX: u64 = 64;
/// Longest string made for one `minLength`, in characters.
const STRING_CHARS_MAX: u64 = 4_096;

/// An instance of `schema`; `text` is put where a string of no special form is asked for, if it fits.
pub(super) fn instance(schema: &Value, text: &str) -> Value {
    Maker { root: schema, text, visits: 0 }.value(schema, 0)
}

struct Maker<'a> {
    root: &'a Value,
    text: &'a str,
    visits: u32,
}

impl<'a> Maker<'a> {
    fn value(&mut self, schema: &'a Value, depth: u32) -> Value {
        self.visits = self.visits.saturating_add(1);
        let Some(schema) = schema.as_object() else { return Value::Null };
        if depth > DEPTH_MAX || self.visits > VISITS_MAX {
            return Value::Null;
        }
        if let Some(fixed) = fixed(schema) {
            return if self.affords(fixed) { fixed.clone() } else { Value::Null };
        }
        let below = depth.saturating_add(1);
        if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|path| self.resolve(path)) {
            return self.value(target, below);
        }
        if let Some(branch) = alternative(schema) {
            return self.value(branch, below);
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            return self.all_of(schema, parts, below);
        }
        match kind(schema) {
            "object" => Value::Object(self.object(schema, depth)),
            "array" => self.array(schema, below),
            "integer" => number(schema, true),
            "number" => number(schema, false),
            "boolean" => Value::Bool(true),
            "string" => Value::String(self.string(schema)),
            _ => Value::Null,
        }
    }

    /// Takes the size of `value` from what is left; `false` if it is too large.
    fn affords(&mut self, value: &Value) -> bool {
        let text = |text: &String| u32::try_from(text.len() / BYTES_PER_VISIT).unwrap_or(u32::MAX);
        self.visits = self.visits.saturating_add(1);
        self.visits = match value {
            Value::String(string) => self.visits.saturating_add(text(string)),
            Value::Array(_) | Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.visits
            }
        };
        if self.visits > VISITS_MAX {
            return false;
        }
        match value {
            Value::Array(items) => items.iter().all(|item| self.affords(item)),
            Value::Object(members) => members.values().all(|member| self.affords(member)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        }
    }

    /// `#`, `#/$defs/name` and the like; nothing outside the schema.
    fn resolve(&self, path: &str) -> Option<&'a Value> {
        self.root.pointer(path.strip_prefix('#')?)
    }

    fn all_of(&mut self, schema: &'a Map<String, Value>, parts: &'a [Value], depth: u32) -> Value {
        let mut whole = self.object(schema, depth);
        for part in parts {
            match self.value(part, depth) {
                Value::Object(members) => whole.extend(members),
                other if parts.len() == 1 => return other,
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {}
            }
        }
        Value::Object(whole)
    }

    fn object(&mut self, schema: &'a Map<String, Value>, depth: u32) -> Map<String, Value> {
        let names = schema.get("required").and_then(Value::as_array);
        let required: BTreeSet<&str> =
            names.into_iter().flatten().filter_map(Value::as_str).take(REQUIRED_MAX).collect();
        let mut members = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            self.visits = self.visits.saturating_add(1);
            if self.visits > VISITS_MAX {
                break;
            }
            if depth < OPTIONAL_DEPTH_MAX || required.contains(name.as_str()) {
                members.insert(name.clone(), self.value(property, depth.saturating_add(1)));
            }
        }
        for name in required {
            if !members.contains_key(name) {
                members.insert(name.to_owned(), Value::Null);
            }
        }
        members
    }

    fn array(&mut self, schema: &'a Map<String, Value>, depth: u32) -> Value {
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        let prefix =
            schema.get("prefixItems").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut items: Vec<Value> = prefix.iter().map(|item| self.value(item, depth)).collect();
        let wanted = bound("minItems").unwrap_or(1).min(bound("maxItems").unwrap_or(u64::MAX)).min(ITEMS_MAX);
        let item = schema.get("items").filter(|items| items.is_object());
        while u64::try_from(items.len()).is_ok_and(|length| length < wanted) {
            match item {
                Some(item) => items.push(self.value(item, depth)),
                None => items.push(Value::String(self.text.to_owned())),
            }
        }
        items.truncate(bound("maxItems").and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX));
        Value::Array(items)
    }

    fn string(&mut self, schema: &Map<String, Value>) -> String {
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        let text = match schema.get("format").and_then(Value::as_str) {
            Some("date-time") => return "2025-01-01T00:00:00Z".to_owned(),
            Some("date") => return "2025-01-01".to_owned(),
            Some("time") => return "00:00:00Z".to_owned(),
            Some("duration") => return "P1D".to_owned(),
            Some("email") => return "simulator@example.com".to_owned(),
            Some("hostname") => return "example.com".to_owned(),
            Some("ipv4") => return "192.0.2.1".to_owned(),
            Some("ipv6") => return "2001:db8::1".to_owned(),
            Some("uri" | "url") => return "https://example.com/".to_owned(),
            Some("uuid") => return "00000000-0000-4000-8000-000000000000".to_owned(),
            Some(_) | None => self.text,
        };
        let min = usize::try_from(bound("minLength").unwrap_or(0).min(STRING_CHARS_MAX)).unwrap_or(0);
        let max = bound("maxLength").and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
        self.visits = self.visits.saturating_add(u32::try_from(min / BYTES_PER_VISIT).unwrap_or(u32::MAX));
        let length = text.chars().count();
        let filling = core::iter::repeat_n('x', min.saturating_sub(length));
        text.chars().chain(filling).take(max).collect()
    }
}

/// A value that the schema names itself.
fn fixed(schema: &Map<String, Value>) -> Option<&Value> {
    let first = |name: &str| schema.get(name).and_then(Value::as_array).and_then(|values| values.first());
    schema
        .get("const")
        .or_else(|| first("enum"))
        .or_else(|| schema.get("default").filter(|value| !value.is_null()))
        .or_else(|| first("examples"))
}

/// The first alternative that is not null.
fn alternative(schema: &Map<String, Value>) -> Option<&Value> {
    let branches = schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array()?;
    let is_null = |branch: &&Value| branch.get("type").and_then(Value::as_str) == Some("null");
    branches.iter().find(|branch| !is_null(branch)).or_else(|| branches.first())
}

/// The type to make: the first that is not null, or what the other members suggest.
fn kind(schema: &Map<String, Value>) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("null")
        }
        _ if schema.contains_key("properties") || schema.contains_key("required") => "object",
        _ if schema.contains_key("items") || schema.contains_key("prefixItems") => "array",
        _ => "string",
    }
}

/// 1 if that is within the bounds; else the smallest number that is, else the largest.
fn number(schema: &Map<String, Value>, whole: bool) -> Value {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let step = schema.get("multipleOf").and_then(Value::as_i64).filter(|step| *step > 0).unwrap_or(1);
    let fits = |candidate: f64| {
        bound("minimum").is_none_or(|min| candidate >= min)
            && bound("maximum").is_none_or(|max| candidate <= max)
            && bound("exclusiveMinimum").is_none_or(|min| candidate > min)
            && bound("exclusiveMaximum").is_none_or(|max| candidate < max)
    };
    let near = ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"]
        .into_iter()
        .filter_map(|name| schema.get(name).and_then(Value::as_i64));
    let multiples = near.flat_map(|near| {
        let down = near.checked_div_euclid(step).unwrap_or(0).saturating_mul(step);
        [down, down.saturating_add(step), down.saturating_sub(step)]
    });
    let candidates =
        [step, 0].into_iter().chain(multiples).chain((2..=16).map(|times| step.saturating_mul(times)));
    for candidate in candidates {
        let Some(as_float) = i32::try_from(candidate).ok().map(f64::from) else { continue };
        if fits(as_float) {
            return Value::from(candidate);
        }
    }
    let inclusive = ["minimum", "maximum"].into_iter().filter_map(bound).find(|bound| fits(*bound));
    match inclusive.or_else(|| between(bound("exclusiveMinimum")?, bound("exclusiveMaximum")?)) {
        Some(fraction) if !whole => Number::from_f64(fraction).map_or(Value::Null, Value::Number),
        Some(_) | None => Value::from(step),
    }
}

fn between(low: f64, high: f64) -> Option<f64> {
    (low < high).then(|| f64::midpoint(low, high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn an_instance_fits_its_schema() {
        let rows = [
            (r#"{"type":"string"}"#, r#""text""#),
            (r#"{"type":"string","maxLength":2}"#, r#""te""#),
            (r#"{"type":"string","minLength":6}"#, r#""textxx""#),
            (r#"{"type":"string","format":"date"}"#, r#""2025-01-01""#),
            (r#"{"enum":["c","f"]}"#, r#""c""#),
            (r#"{"const":7}"#, "7"),
            (r#"{"type":["null","integer"]}"#, "1"),
            (r#"{"type":"integer","minimum":5}"#, "5"),
            (r#"{"type":"integer","exclusiveMinimum":5,"multipleOf":4}"#, "8"),
            (r#"{"type":"integer","maximum":-3}"#, "-3"),
            (r#"{"type":"integer","exclusiveMaximum":-3}"#, "-4"),
            (r#"{"type":"integer","minimum":1.5,"maximum":2.5}"#, "2"),
            (r#"{"type":"number","minimum":1.5,"maximum":1.75}"#, "1.5"),
            (r#"{"type":"number","exclusiveMinimum":0.25,"exclusiveMaximum":0.75}"#, "0.5"),
            (r#"{"anyOf":[{"type":"null"},{"type":"boolean"}]}"#, "true"),
            (r#"{"type":"array","items":{"type":"integer"},"minItems":2}"#, "[1,1]"),
            (r#"{"type":"array","maxItems":0}"#, "[]"),
            (r#"{"type":"array","prefixItems":[{"const":1},{"const":2}],"maxItems":1}"#, "[1]"),
            (
                r#"{"allOf":[{"properties":{"a":{"const":1}}},{"properties":{"b":{"const":2}}}]}"#,
                r#"{"a":1,"b":2}"#,
            ),
            (
                r#"{"properties":{"a":{"type":"string"},"b":{"type":"boolean"}},"required":["b"]}"#,
                r#"{"a":"text","b":true}"#,
            ),
            (
                r##"{"$defs":{"n":{"type":"integer"}},"type":"object","properties":{"a":{"$ref":"#/$defs/n"}}}"##,
                r#"{"a":1}"#,
            ),
            (r##"{"type":"object","properties":{"next":{"$ref":"#"}}}"##, r#"{"next":{}}"#),
            ("{}", r#""text""#),
            ("true", "null"),
        ];
        for (schema, wanted) in rows {
            let schema: Value = serde_json::from_str(schema).unwrap();
            assert_eq!(instance(&schema, "text").to_string(), wanted, "{schema}");
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_many_times_over_ends() {
        let schema: Value = serde_json::from_str(
            r##"{"type":"object","required":["a","b","c"],"properties":
                {"a":{"$ref":"#"},"b":{"$ref":"#"},"c":{"type":"array","minItems":60,"items":{"$ref":"#"}}}}"##,
        )
        .unwrap();
        assert!(instance(&schema, "x").to_string().len() < 100_000);
        let huge: Value = serde_json::from_str(
            r#"{"type":"array","minItems":18446744073709551615,"items":{"type":"string","minLength":1e99}}"#,
        )
        .unwrap();
        assert!(instance(&huge, "x").to_string().len() < 100_000);
    }
}
