//! An absolute URL taken apart without copying: what its host says, its path's segments, its query.
//!
//! Stage 0. Decides which account or endpoint a host names (`design.md`, section 5, "serverless hosts", "other
//! hosts"); not what the path means.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// Most segments that a path of the data plane has, and one more to notice that there are others.
const SEGMENTS_MAX: usize = 10;

/// What the host of a request selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host<'a> {
    /// Nothing.
    Plain,
    /// An account: `{account}.services.ai.*`, `{account}.openai.*`, `{account}.cognitiveservices.*`.
    Account(&'a str),
    /// A serverless endpoint: `{name}.{region}.models.*`.
    Serverless(&'a str),
}

/// The parts of an absolute URL that routing reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address<'a> {
    pub(super) host: Host<'a>,
    pub(super) path: &'a str,
    /// Without the question mark.
    pub(super) query: &'a str,
}

impl<'a> Address<'a> {
    /// Takes `url` apart; `None` if it is not an absolute URL with a host.
    pub(super) fn parse(url: &'a str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let ends = |byte: u8| matches!(byte, b'/' | b'?' | b'#');
        let end = rest.bytes().position(ends).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at_checked(end)?;
        let tail = tail.split_once('#').map_or(tail, |(before, _)| before);
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = host.split_once(':').map_or(host, |(name, _)| name);
        if host.is_empty() {
            return None;
        }
        Some(Self { host: Host::of(host), path, query })
    }

    /// The first value of a query parameter, as it was written.
    pub(super) fn query_value(&self, name: &str) -> Option<&'a str> {
        self.query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key == name).then_some(value)
        })
    }
}

impl<'a> Host<'a> {
    /// Reads the labels of a host name. A service label counts only with a first label before it and a domain
    /// after it.
    fn of(host: &'a str) -> Self {
        let mut labels = host.split('.');
        let (Some(first), Some(second), Some(third)) = (labels.next(), labels.next(), labels.next()) else {
            return Self::Plain;
        };
        let domain_follows = labels.next().is_some_and(|label| !label.is_empty());
        if first.is_empty() || third.is_empty() {
            return Self::Plain;
        }
        if third.eq_ignore_ascii_case("models") && domain_follows {
            return Self::Serverless(first);
        }
        let is = |label: &str, word: &str| label.eq_ignore_ascii_case(word);
        if is(second, "openai")
            || is(second, "cognitiveservices")
            || (is(second, "services") && is(third, "ai") && domain_follows)
        {
            return Self::Account(first);
        }
        Self::Plain
    }
}

/// The segments of a path, on the stack.
pub(super) struct Segments<'a> {
    kept: [&'a str; SEGMENTS_MAX],
    count: usize,
}

impl<'a> Segments<'a> {
    /// Cuts `path` at its slashes. Empty segments stay, so `//` and a trailing slash match no route; what is
    /// beyond the longest route only makes the count too high for any.
    pub(super) fn of(path: &'a str) -> Self {
        let mut kept = [""; SEGMENTS_MAX];
        let mut count: usize = 0;
        let inner = path.strip_prefix('/').unwrap_or(path);
        for (slot, segment) in kept.iter_mut().zip(inner.split('/')) {
            *slot = segment;
            count = count.saturating_add(1);
        }
        Self { kept, count }
    }

    /// The segments, in order.
    pub(super) fn as_slice(&self) -> &[&'a str] {
        self.kept.get(..self.count).unwrap_or(&[])
    }
}

/// A name out of a path's segment: borrowed unless it was percent-encoded. `None` if the encoding is broken or
/// what it hides could not be a name in any API: nothing, a slash, a control character.
pub(super) fn name(segment: &str) -> Option<Cow<'_, str>> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'%' | b'/' | b'\\');
    if !segment.is_empty() && segment.bytes().all(plain) {
        return Some(Cow::Borrowed(segment));
    }
    let decoded = if segment.contains('%') { Cow::Owned(decode(segment)?) } else { Cow::Borrowed(segment) };
    let illegal = |c: char| c.is_control() || c == '/' || c == '\\';
    (!decoded.is_empty() && !decoded.contains(illegal)).then_some(decoded)
}

/// Undoes percent-encoding.
fn decode(segment: &str) -> Option<String> {
    let mut bytes = segment.bytes();
    let mut decoded = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            decoded.push(u8::try_from((high << 4) | low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_names_an_account_or_an_endpoint_or_nothing() {
        let rows = [
            ("127.0.0.1", Host::Plain),
            ("localhost", Host::Plain),
            ("weir.example.workers.dev", Host::Plain),
            ("contoso.services.ai.azure.com", Host::Account("contoso")),
            ("contoso.openai.azure.com", Host::Account("contoso")),
            ("contoso.openai.localhost", Host::Account("contoso")),
            ("contoso.cognitiveservices.azure.com", Host::Account("contoso")),
            ("llama.eastus2.models.ai.azure.com", Host::Serverless("llama")),
            ("llama.eastus2.models.localhost", Host::Serverless("llama")),
            ("llama.eastus2.models", Host::Plain),
            ("openai.com", Host::Plain),
            (".openai.com", Host::Plain),
            ("services.ai.example", Host::Plain),
        ];
        for (host, expected) in rows {
            assert_eq!(Host::of(host), expected, "{host}");
        }
    }

    #[test]
    fn a_name_is_decoded_or_refused() {
        let rows = [
            ("gpt-4o", Some("gpt-4o")),
            ("gpt%2D4o", Some("gpt-4o")),
            ("a%20b", Some("a b")),
            ("", None),
            ("a%2fb", None),
            ("a%2Fb", None),
            ("%00", None),
            ("a%0d%0aX-Evil: 1", None),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%ff", None),
            ("%c3%a9", Some("é")),
        ];
        for (segment, expected) in rows {
            assert_eq!(name(segment).as_deref(), expected, "{segment}");
        }
    }
}
