//! Embeddings of a simulated model.
//!
//! Decides a unit vector for each text: every token, without regard to case, adds 16 signed parts at places that
//! its hash names, so that texts which share words are near each other and equal texts are equal. All sums are
//! integers; the only floating-point steps are one division and one rounding a number, which IEEE 754 fixes, so
//! vectors are equal on every machine.

use super::config::{DIMENSIONS_MAX, SimulatorConfig, UsageReport};
use super::random::{hash, mix};
use super::request::{BadRequest, Members};
use super::script::{Script, plain};
use super::shape::{Embedding, EmbeddingList, Vector, WireUsage, json};
use super::tokenize;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Most inputs of one request (`azure.md` B3).
const INPUTS_MAX: usize = 2_048;
/// Most numbers of all vectors of one answer.
const NUMBERS_MAX: u64 = 1 << 20;
/// Parts that a token adds to a vector.
const PARTS: u32 = 16;

/// The answer to a request for embeddings.
pub(super) fn answer(
    config: &SimulatorConfig,
    model: &str,
    members: Members<'_>,
    random: u64,
) -> Result<Script, BadRequest> {
    let inputs = inputs(members)?;
    let dimensions = members
        .integer("dimensions", 1, DIMENSIONS_MAX.into())?
        .unwrap_or_else(|| config.dimensions.unwrap_or(256).clamp(1, DIMENSIONS_MAX).into());
    let count = u64::try_from(inputs.len()).unwrap_or(u64::MAX);
    if count.saturating_mul(dimensions) > NUMBERS_MAX {
        let problem = format!("times the number of inputs must be at most {NUMBERS_MAX}");
        return Err(BadRequest::member("dimensions", &problem));
    }
    let base64 = match members.text("encoding_format")? {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(BadRequest::member("encoding_format", "must be 'float' or 'base64'")),
    };
    let mut tokens = 0u64;
    let mut data = Vec::with_capacity(inputs.len());
    for (index, input) in (0u64..).zip(&inputs) {
        tokens = tokens.saturating_add(input.tokens());
        let numbers = unit_vector(input, dimensions);
        let embedding = if base64 { Vector::Base64(encode(&numbers)) } else { Vector::Float(numbers) };
        data.push(Embedding { object: "embedding", index, embedding });
    }
    super::check_context(config, tokens, "input")?;
    let usage = WireUsage { prompt_tokens: tokens, completion_tokens: None, total_tokens: tokens };
    let usage = (config.usage != UsageReport::Omit).then_some(usage);
    Ok(plain(config, json(&EmbeddingList { object: "list", data, model, usage }), 0, random))
}

/// One input.
enum Input<'a> {
    Text(&'a str),
    Tokens(Vec<u64>),
}

impl Input<'_> {
    fn tokens(&self) -> u64 {
        match self {
            Self::Text(text) => tokenize::count(text),
            Self::Tokens(tokens) => u64::try_from(tokens.len()).unwrap_or(u64::MAX),
        }
    }

    fn for_each_hash(&self, mut add: impl FnMut(u64)) {
        match self {
            Self::Text(text) => tokenize::tokens(text)
                .map(str::trim)
                .filter(|token| !token.is_empty())
                .for_each(|token| add(hash(token.to_lowercase().as_bytes()))),
            Self::Tokens(tokens) => tokens.iter().for_each(|token| add(mix(*token))),
        }
    }
}

/// A string, tokens, or an array of either.
fn inputs(members: Members<'_>) -> Result<Vec<Input<'_>>, BadRequest> {
    const RULE: &str =
        "must be a string, an array of tokens, or an array of 1 to 2048 of these, none of them empty";
    let wrong = || BadRequest::member("input", RULE);
    let items = match members.get("input") {
        Some(Value::String(text)) if !text.is_empty() => return Ok(vec![Input::Text(text)]),
        Some(Value::Array(items)) if !items.is_empty() => items,
        Some(_) | None => return Err(wrong()),
    };
    if items.iter().all(Value::is_number) {
        return Ok(vec![Input::Tokens(tokens(items).ok_or_else(wrong)?)]);
    }
    if items.len() > INPUTS_MAX {
        return Err(wrong());
    }
    items.iter().map(one).collect::<Option<_>>().ok_or_else(wrong)
}

fn one(item: &Value) -> Option<Input<'_>> {
    match item {
        Value::String(text) if !text.is_empty() => Some(Input::Text(text)),
        Value::Array(items) if !items.is_empty() => tokens(items).map(Input::Tokens),
        // An image, by its text if it has one (`azure.md`, A7).
        Value::Object(members) => {
            let text = |name| members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            text("image").map(|image| Input::Text(text("text").unwrap_or(image)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

/// An array of token numbers.
pub(super) fn tokens(items: &[Value]) -> Option<Vec<u64>> {
    items.iter().map(Value::as_u64).collect()
}

fn unit_vector(input: &Input<'_>, dimensions: u64) -> Vec<f32> {
    let length = usize::try_from(dimensions).unwrap_or(1);
    let mut sums = vec![0i64; length];
    input.for_each_hash(|token| {
        let mut word = token;
        for _ in 0..PARTS {
            word = mix(word);
            let place = word.checked_rem(dimensions).and_then(|place| usize::try_from(place).ok());
            let part = i64::from(u8::try_from(word >> 56).unwrap_or(0)).saturating_sub(128);
            if let Some(sum) = place.and_then(|place| sums.get_mut(place)) {
                *sum = sum.saturating_add(part);
            }
        }
    });
    if sums.iter().all(|sum| *sum == 0)
        && let Some(first) = sums.first_mut()
    {
        *first = 1;
    }
    let square = |sum: &i64| u128::from(sum.unsigned_abs()).saturating_mul(u128::from(sum.unsigned_abs()));
    let squares = sums.iter().map(square).fold(0u128, u128::saturating_add);
    // The root of 2^32 times the squares is 2^16 times the norm: precise enough for binary32.
    let norm = squares.saturating_mul(1 << 32).isqrt();
    sums.iter().map(|sum| ratio(sum.saturating_mul(1 << 16), norm)).collect()
}

#[expect(
    clippy::float_arithmetic,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the numbers of a vector are floats by contract; each conversion and the division round as IEEE 754 says"
)]
fn ratio(part: i64, norm: u128) -> f32 {
    (part as f64 / norm as f64) as f32
}

fn encode(numbers: &[f32]) -> alloc::string::String {
    STANDARD.encode(numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn vectors_have_length_one_and_like_texts_are_near() {
        let vector = |text| unit_vector(&Input::Text(text), 256);
        for text in ["a", "The quick brown fox", "東京", "  ", "!?"] {
            assert!((dot(&vector(text), &vector(text)) - 1.0).abs() < 1e-4, "{text:?}");
        }
        let cat = vector("the cat sat on the mat");
        assert!(dot(&cat, &vector("The cat lay on the mat")) > 0.6);
        assert!(dot(&cat, &vector("quarterly revenue grew strongly")).abs() < 0.3);
        assert_eq!(vector("Weir"), vector("weir"));
    }

    #[test]
    fn base64_is_that_of_the_documented_check_value() {
        assert_eq!(encode(&[0.5, -0.25]), "AAAAPwAAgL4=");
    }
}
