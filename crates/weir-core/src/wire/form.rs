//! One field of a form (`multipart/form-data`), found in as much of it as has been read.
//!
//! Stage 1. Decides where a field's value is, or that more must be read to know; files in the form are passed over,
//! never kept. Sources: RFC 7578, RFC 2046 section 5.1.

use memchr::memmem;

/// Longest boundary (RFC 2046).
const BOUNDARY_BYTES_MAX: usize = 70;

/// What is known of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Its value is the bytes `start..end` of the form.
    At {
        /// First byte.
        start: usize,
        /// First byte after it.
        end: usize,
    },
    /// The form ends without it.
    Absent,
    /// What was read does not tell yet.
    More,
    /// This is no form.
    Broken,
}

/// The boundary that a `content-type` header names; `None` if it is not a form's.
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then_some(value.trim())
    })?;
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    (1..=BOUNDARY_BYTES_MAX).contains(&value.len()).then_some(value)
}

/// Where the field `name` is in `form`, of which `whole` says that nothing follows.
pub fn find(form: &[u8], boundary: &str, name: &str, whole: bool) -> Field {
    let more = if whole { Field::Broken } else { Field::More };
    let boundary = boundary.as_bytes();
    let Some(first) = form.strip_prefix(b"--").and_then(|rest| rest.strip_prefix(boundary)) else {
        let short = form.len() < boundary.len().saturating_add(2);
        return if short { more } else { Field::Broken };
    };
    let mut rest = first;
    loop {
        // Behind a boundary: the end of the form, or a part's head.
        if rest.starts_with(b"--") {
            return Field::Absent;
        }
        let Some(head_end) = memmem::find(rest, b"\r\n\r\n") else { return more };
        let head = rest.get(..head_end).unwrap_or_default();
        let start = head_end.saturating_add(4);
        let Some(length) = next_boundary(rest.get(start..).unwrap_or_default(), boundary) else {
            return more;
        };
        let end = start.saturating_add(length);
        if is_field(head, name) {
            let before = form.len().saturating_sub(rest.len());
            return Field::At { start: before.saturating_add(start), end: before.saturating_add(end) };
        }
        let skip = end.saturating_add(4).saturating_add(boundary.len());
        rest = rest.get(skip..).unwrap_or_default();
        if rest.len() < 2 {
            return more;
        }
    }
}

/// How many bytes stand before the next line that is the boundary.
fn next_boundary(bytes: &[u8], boundary: &[u8]) -> Option<usize> {
    memmem::find_iter(bytes, b"\r\n--")
        .find(|at| bytes.get(at.saturating_add(4)..).is_some_and(|rest| rest.starts_with(boundary)))
}

/// Whether a part's head names the field, and no file.
fn is_field(head: &[u8], name: &str) -> bool {
    let Ok(head) = core::str::from_utf8(head) else { return false };
    head.split("\r\n").any(|line| {
        let Some((header, value)) = line.split_once(':') else { return false };
        header.trim().eq_ignore_ascii_case("content-disposition")
            && !value.contains("filename=")
            && value.split(';').skip(1).any(|parameter| {
                let Some((key, text)) = parameter.split_once('=') else { return false };
                let text = text.trim();
                let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
                key.trim().eq_ignore_ascii_case("name") && text == name
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORM: &str = "--bb\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
        Content-Type: audio/wav\r\n\r\nmodel\r\n--b\r\nxx\r\n--bb\r\ncontent-disposition: form-data; name=model\r\n\r\n\
        whisper\r\n--bb--\r\n";

    #[test]
    fn a_boundary_is_read_from_its_header() {
        let rows = [
            ("multipart/form-data; boundary=bb", Some("bb")),
            ("Multipart/Form-Data; charset=utf-8; Boundary=\"b b\"", Some("b b")),
            ("multipart/form-data", None),
            ("multipart/mixed; boundary=bb", None),
            ("application/json", None),
            ("multipart/form-data; boundary=", None),
        ];
        for (header, expected) in rows {
            assert_eq!(boundary(header), expected, "{header}");
        }
    }

    proptest! {
        /// However much was read: the field's place, or that more must be read; never another place.
        #[test]
        fn a_field_is_found_once_it_was_read(cut in 0usize..=FORM.len()) {
            let start = FORM.find("whisper").unwrap();
            let end = start + 7;
            let enough = FORM[start..].find("\r\n--bb").unwrap() + start + 6;
            let expected = if cut >= enough { Field::At { start, end } } else { Field::More };
            prop_assert_eq!(find(&FORM.as_bytes()[..cut], "bb", "model", false), expected);
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), whole: bool) {
            let mut form = b"--bb\r\n".to_vec();
            form.extend(bytes);
            if let Field::At { start, end } = find(&form, "bb", "model", whole) {
                prop_assert!(start <= end && end <= form.len());
            }
        }
    }

    #[test]
    fn a_form_without_the_field_says_so() {
        let form = "--bb\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--bb--\r\n";
        assert_eq!(find(form.as_bytes(), "bb", "model", true), Field::Absent);
        assert_eq!(find(form.as_bytes(), "bb", "purpose", true), Field::At { start: 56, end: 61 });
        assert_eq!(find(b"{\"a\":1}", "bb", "model", true), Field::Broken);
        assert_eq!(find(b"--bb\r\nno end", "bb", "model", true), Field::Broken);
        assert_eq!(find(b"--b", "bb", "model", false), Field::More);
    }
}
