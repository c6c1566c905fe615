//! Addresses of upstreams: which may be called at all.
//!
//! Decides from the text alone (`design.md`, section 5, "private upstreams", and section 8, "Addresses"); names
//! are not resolved here. Link-local and metadata addresses are refused always; loopback and private ones unless
//! the installation allows them. Written strictly: what a browser would still accept in odd spellings (decimal
//! or octal IPv4, a user before the host) is refused, so that no two readers see two hosts in one text.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::net::{Ipv4Addr, Ipv6Addr};

/// Longest base address, in bytes.
const ADDRESS_BYTES_MAX: usize = 2048;

/// Why an address cannot be an upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// Not `http://` or `https://`.
    #[error("must begin with https:// or http://")]
    Scheme,
    /// A character that has no place in an address, or a query or fragment.
    #[error("must be a plain base address without query, fragment, spaces or control characters")]
    Character,
    /// Longer than 2048 bytes.
    #[error("is longer than 2048 bytes")]
    TooLong,
    /// A user name or password before the host.
    #[error("must not contain a user name or password")]
    UserInfo,
    /// The host is missing or malformed.
    #[error("has no valid host name")]
    Host,
    /// The port is not 1 to 65535.
    #[error("has no valid port")]
    Port,
    /// `..` or an encoded dot in the path.
    #[error("must not contain dot segments")]
    DotSegment,
    /// Loopback or private, and the installation does not allow it.
    #[error(
        "is a loopback or private address; set WEIR_ALLOW_PRIVATE_UPSTREAMS=true to allow such upstreams"
    )]
    Private,
    /// Link-local or a cloud's metadata service: never allowed.
    #[error("is a link-local or metadata address, which is never called")]
    Metadata,
}

/// Checks an upstream's base address and gives it without a trailing slash, scheme and host in lower case.
///
/// # Errors
/// [`AddressFault`] with what is wrong.
pub fn check(text: &str, allow_private: bool) -> Result<String, AddressFault> {
    if text.len() > ADDRESS_BYTES_MAX {
        return Err(AddressFault::TooLong);
    }
    let (scheme, rest) = text.split_once("://").ok_or(AddressFault::Scheme)?;
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "https" && scheme != "http" {
        return Err(AddressFault::Scheme);
    }
    if !rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\\"<>^`{|}".contains(&byte)) {
        return Err(AddressFault::Character);
    }
    let (authority, path) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err(AddressFault::UserInfo);
    }
    let path = path.trim_end_matches('/');
    let dotted = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    if path.split('/').any(dotted) {
        return Err(AddressFault::DotSegment);
    }
    let authority = authority.to_ascii_lowercase();
    match reach(&authority)? {
        Reach::Forbidden => return Err(AddressFault::Metadata),
        Reach::Private if !allow_private => return Err(AddressFault::Private),
        Reach::Private | Reach::Public => {}
    }
    let mut base = scheme;
    base.push_str("://");
    base.push_str(&authority);
    base.push_str(path);
    Ok(base)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Public,
    Private,
    Forbidden,
}

/// Judges a lower-case `host[:port]`.
fn reach(authority: &str) -> Result<Reach, AddressFault> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or(AddressFault::Host)?;
        if !port.is_empty() {
            check_port(port.strip_prefix(':').ok_or(AddressFault::Port)?)?;
        }
        return host.parse().map(of_v6).map_err(|_| AddressFault::Host);
    }
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    port.map_or(Ok(()), check_port)?;
    let host = host.strip_suffix('.').unwrap_or(host);
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(of_v4(address));
    }
    let label_is_legal = |label: &str| {
        let edges = !label.starts_with('-') && !label.ends_with('-');
        let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        edges && letters && (1..=63).contains(&label.len())
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    if host.len() > 253 || numeric || !host.split('.').all(label_is_legal) {
        return Err(AddressFault::Host);
    }
    Ok(of_name(host))
}

fn check_port(port: &str) -> Result<(), AddressFault> {
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let number = port.parse::<u16>().ok().filter(|number| digits && *number > 0);
    number.map(|_| ()).ok_or(AddressFault::Port)
}

fn of_name(host: &str) -> Reach {
    const METADATA: [&str; 3] = ["metadata.google.internal", "metadata", "instance-data"];
    const PRIVATE_ENDS: [&str; 6] = ["localhost", "local", "internal", "lan", "home.arpa", "localdomain"];
    if METADATA.contains(&host) {
        return Reach::Forbidden;
    }
    let ends = |end: &&str| host == *end || host.strip_suffix(*end).is_some_and(|rest| rest.ends_with('.'));
    let single_label = !host.contains('.');
    if single_label || PRIVATE_ENDS.iter().any(ends) { Reach::Private } else { Reach::Public }
}

fn of_v4(address: Ipv4Addr) -> Reach {
    let [a, b, c, _] = address.octets();
    // Azure's wire server and Alibaba's metadata service lie outside the link-local range.
    let metadata = [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200)].contains(&address);
    if address.is_link_local() || metadata {
        return Reach::Forbidden;
    }
    let shared = a == 100 && (64..=127).contains(&b);
    let reserved = a == 0 || a >= 224 || (a, b, c) == (192, 0, 0) || (a == 198 && (18..=19).contains(&b));
    let private = address.is_loopback() || address.is_private() || address.is_documentation();
    if private || shared || reserved { Reach::Private } else { Reach::Public }
}

fn of_v6(address: Ipv6Addr) -> Reach {
    let metadata = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    let [first, second, third, rest @ .., high, low] = address.segments();
    if first & 0xffc0 == 0xfe80 || address == metadata {
        return Reach::Forbidden;
    }
    if address.is_loopback() || address.is_unspecified() {
        return Reach::Private;
    }
    // IPv4 addresses in IPv6 clothes: mapped, compatible, and the NAT64 prefix.
    let clothed = (first, second, third) == (0, 0, 0) && matches!(rest, [0, 0, 0 | 0xffff]);
    if clothed || ((first, second, third) == (0x64, 0xff9b, 0) && rest == [0, 0, 0]) {
        return of_v4(joined(high, low));
    }
    if first == 0x2002 {
        return of_v4(joined(second, third));
    }
    let private = first & 0xfe00 == 0xfc00 || first & 0xff00 == 0xff00 || first & 0xffc0 == 0xfec0;
    let documentation = (first, second) == (0x2001, 0xdb8);
    if private || documentation { Reach::Private } else { Reach::Public }
}

/// The IPv4 address that two groups of an IPv6 address hold.
fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

/// The authority and scheme of an absolute URL as the caller used it, e.g. `https://gate.example:8443`.
pub fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())?;
    let mut origin = scheme.to_owned();
    origin.push_str("://");
    origin.push_str(authority);
    Some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_judged_from_their_text() {
        use AddressFault::{Character, DotSegment, Host, Metadata, Port, Private, Scheme, UserInfo};
        let rows: [(&str, Result<&str, AddressFault>); 43] = [
            ("https://api.openai.com/v1/", Ok("https://api.openai.com/v1")),
            ("HTTPS://API.OpenAI.com/V1", Ok("https://api.openai.com/V1")),
            ("http://8.8.8.8:8080", Ok("http://8.8.8.8:8080")),
            ("https://[2606:4700::1111]/v1", Ok("https://[2606:4700::1111]/v1")),
            ("ftp://a.example", Err(Scheme)),
            ("api.openai.com", Err(Scheme)),
            ("", Err(Scheme)),
            ("https://", Err(Host)),
            ("https:///v1", Err(Host)),
            ("https://a..example", Err(Host)),
            ("https://-a.example", Err(Host)),
            ("https://user:pw@a.example", Err(UserInfo)),
            ("https://a.example@127.0.0.1", Err(UserInfo)),
            ("https://a.example/v1?x=1", Err(Character)),
            ("https://a.example/v1#x", Err(Character)),
            ("https://a.example\\@127.0.0.1", Err(Character)),
            ("https://a.example/\r\nX: 1", Err(Character)),
            ("https://a.example/é", Err(Character)),
            ("https://a.example:0", Err(Port)),
            ("https://a.example:65536", Err(Port)),
            ("https://a.example:+80", Err(Port)),
            ("https://a.example/v1/../admin", Err(DotSegment)),
            ("https://a.example/v1/%2E%2e/admin", Err(DotSegment)),
            ("http://127.0.0.1:9/v1", Err(Private)),
            ("http://127.1", Err(Host)),
            ("http://2130706433", Err(Host)),
            ("http://0x7f000001", Err(Host)),
            ("http://0177.0.0.1", Err(Host)),
            ("http://localhost", Err(Private)),
            ("http://a.localhost.", Err(Private)),
            ("http://printer.local", Err(Private)),
            ("http://intranet/v1", Err(Private)),
            ("http://10.1.2.3", Err(Private)),
            ("http://172.16.0.1", Err(Private)),
            ("http://192.168.1.1", Err(Private)),
            ("http://100.64.0.1", Err(Private)),
            ("http://0.0.0.0", Err(Private)),
            ("http://[::1]", Err(Private)),
            ("http://[fd00::1]", Err(Private)),
            ("http://[::ffff:10.0.0.1]", Err(Private)),
            ("http://[::ffff:169.254.169.254]", Err(Metadata)),
            ("http://169.254.169.254/latest", Err(Metadata)),
            ("http://metadata.google.internal/", Err(Metadata)),
        ];
        for (text, expected) in rows {
            let got = check(text, false);
            assert_eq!(got.as_deref().map_err(|fault| *fault), expected, "{text:?}");
        }
    }

    #[test]
    fn private_addresses_can_be_allowed_but_metadata_cannot() {
        for text in ["http://127.0.0.1:9/v1", "http://[::1]:1", "http://localhost:8080", "http://10.0.0.1"] {
            assert!(check(text, true).is_ok(), "{text}");
        }
        for text in
            ["http://169.254.1.1", "http://[fe80::1]", "http://[fd00:ec2::254]", "http://[2002:a9fe:a9fe::]"]
        {
            assert_eq!(check(text, true), Err(AddressFault::Metadata), "{text}");
        }
    }
}
