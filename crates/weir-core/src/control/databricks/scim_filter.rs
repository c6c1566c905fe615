//! Filters of SCIM lists: `attribute op "value"`, joined by `and` and `or` (RFC 7644, 3.4.2.2, without groups in
//! parentheses, which databricks-sdk's documentation excludes).
//!
//! Decides which documents a filter means; texts compare without case.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::Value;

/// A filter: one of these lists must hold, and each of its terms. An empty one holds always.
#[derive(Debug)]
pub struct Filter(Vec<Vec<Term>>);

#[derive(Debug)]
struct Term {
    path: String,
    test: Test,
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Equals,
    Differs,
    Contains,
    Begins,
    Ends,
    Present,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words = words(text)?;
        if words.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let (mut any, mut all) = (Vec::new(), Vec::new());
        let mut rest = words.as_slice();
        loop {
            let (term, after) = Term::parse(rest)?;
            all.push(term);
            let Some((joint, after)) = after.split_first() else { break };
            rest = after;
            if joint.eq_ignore_ascii_case("or") {
                any.push(core::mem::take(&mut all));
            } else if !joint.eq_ignore_ascii_case("and") {
                return Err(format!("The filter has '{joint}' where and or or belongs."));
            }
        }
        any.push(all);
        Ok(Self(any))
    }

    /// Whether it means this document.
    pub fn holds(&self, document: &Value) -> bool {
        self.0.is_empty() || self.0.iter().any(|all| all.iter().all(|term| term.holds(document)))
    }
}

impl Term {
    fn parse(words: &[String]) -> Result<(Self, &[String]), String> {
        let short = || "The filter ends too early.".to_owned();
        let (path, rest) = words.split_first().ok_or_else(short)?;
        let (operator, rest) = rest.split_first().ok_or_else(short)?;
        let test = match operator.to_ascii_lowercase().as_str() {
            "eq" => Test::Equals,
            "ne" => Test::Differs,
            "co" => Test::Contains,
            "sw" => Test::Begins,
            "ew" => Test::Ends,
            "pr" => Test::Present,
            _ => return Err(format!("The filter's operator '{operator}' is not supported.")),
        };
        if test == Test::Present {
            return Ok((Self { path: path.clone(), test, value: String::new() }, rest));
        }
        let (value, rest) = rest.split_first().ok_or_else(short)?;
        Ok((Self { path: path.clone(), test, value: value.to_lowercase() }, rest))
    }

    fn holds(&self, document: &Value) -> bool {
        let mut found = Vec::new();
        collect(document, &self.path, &mut found);
        let any = |test: fn(&str, &str) -> bool| found.iter().any(|text| test(text, &self.value));
        match self.test {
            Test::Equals => any(|text, value| text == value),
            Test::Differs => !any(|text, value| text == value),
            Test::Contains => any(|text, value| text.contains(value)),
            Test::Begins => any(|text, value| text.starts_with(value)),
            Test::Ends => any(|text, value| text.ends_with(value)),
            Test::Present => !found.is_empty(),
        }
    }
}

/// Texts at a path, in lower case; of lists, those of each entry.
fn collect(value: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(items) = value.as_array() {
        for item in items {
            collect(item, path, found);
        }
    } else if path.is_empty() {
        match value {
            Value::String(text) => found.push(text.to_lowercase()),
            Value::Bool(_) | Value::Number(_) => found.push(format!("{value}")),
            Value::Object(members) => {
                found.extend(members.get("value").and_then(Value::as_str).map(str::to_lowercase));
            }
            Value::Null | Value::Array(_) => {}
        }
    } else if let Some(members) = value.as_object() {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let named = members.iter().find(|(name, _)| name.eq_ignore_ascii_case(first));
        if let Some((_, member)) = named {
            collect(member, rest, found);
        }
    }
}

/// Words and quoted texts.
fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        let (word, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let (word, after) = quoted.split_once('"').ok_or("The filter has an open quote.")?;
            (word, after)
        } else {
            rest.split_once(' ').unwrap_or((rest, ""))
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn filters_mean_what_they_say_or_are_refused() {
        let ana = json!({"userName": "Ana@x.com", "active": true, "id": "7",
            "emails": [{"value": "a@x.com"}, {"value": "b@y.com"}], "groups": [{"display": "team a"}]});
        let rows = [
            ("", Some(true)),
            ("userName eq \"ana@x.com\"", Some(true)),
            ("username EQ 'x'", Some(false)),
            ("userName eq ana@x.com", Some(true)),
            ("userName ne \"bob\"", Some(true)),
            ("userName co \"@X\"", Some(true)),
            ("userName sw \"an\" and active eq true", Some(true)),
            ("userName sw \"b\" or id eq 7", Some(true)),
            ("id eq 7 and userName sw \"b\" or id eq 8", Some(false)),
            ("emails.value eq \"b@y.com\"", Some(true)),
            ("emails eq \"a@x.com\"", Some(true)),
            ("groups.display eq \"team a\"", Some(true)),
            ("externalId pr", Some(false)),
            ("emails pr", Some(true)),
            ("userName", None),
            ("userName eq", None),
            ("userName gt \"a\"", None),
            ("userName eq \"a", None),
            ("id eq 7 id eq 8", None),
        ];
        for (text, expected) in rows {
            assert_eq!(Filter::parse(text).ok().map(|filter| filter.holds(&ana)), expected, "{text}");
        }
    }
}
