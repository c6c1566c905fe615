//! Marks on the ids of what an upstream keeps: which upstream that is, written behind the id.
//!
//! Stage 1. The `OpenAI` API names what it keeps by ids that the upstream draws (`file-…`, `resp_…`). To come back to
//! the same upstream without remembering anything, an id leaves Weir as `{id}-w{mark}`, ten hexadecimal digits that
//! stand for one served entity; they are taken off wherever such an id comes in: paths, queries, bodies. Decides what
//! is an id, marks and unmarks; not what a mark stands for (`exchange`).

use super::edit::Edit;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// Digits of a mark.
const DIGITS: usize = 10;
/// What stands before them.
const SIGN: &str = "-w";
/// What ids of kept things begin with; `-` or `_` follows, then letters and digits.
const KINDS: [&str; 22] = [
    "resp",
    "file",
    "batch",
    "asst",
    "assistant",
    "thread",
    "msg",
    "run",
    "step",
    "vs",
    "vsfb",
    "upload",
    "part",
    "conv",
    "cntr",
    "cfile",
    "chatcmpl",
    "item",
    "ftjob",
    "ftevent",
    "ftckpt",
    "ftchkpt",
];
/// Shortest text behind an id's kind.
const TAIL_BYTES_MIN: usize = 6;

/// Ten digits that stand for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark([u8; DIGITS]);

impl Mark {
    /// The mark that stands for a name; the same name always has the same.
    pub fn of(names: &[&str]) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in names.iter().flat_map(|name| name.bytes().chain([0])) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash = (hash ^ (hash >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut digits = [b'0'; DIGITS];
        for digit in &mut digits {
            let nibble = u8::try_from(hash >> 60).unwrap_or(0);
            *digit = if nibble < 10 {
                b'0'.saturating_add(nibble)
            } else {
                b'a'.saturating_sub(10).saturating_add(nibble)
            };
            hash = hash.wrapping_shl(4);
        }
        Self(digits)
    }

    fn text(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// An id without its mark, and the mark; `None` if `text` is no marked id.
fn split(text: &str) -> Option<(&str, Mark)> {
    let at = text.len().checked_sub(SIGN.len().saturating_add(DIGITS))?;
    let (id, mark) = text.split_at_checked(at)?;
    let digits: [u8; DIGITS] = mark.strip_prefix(SIGN)?.as_bytes().try_into().ok()?;
    let legal = digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (legal && is_id(id)).then_some((id, Mark(digits)))
}

/// Whether a text is an id of something kept, without a mark.
fn is_id(text: &str) -> bool {
    let Some((kind, tail)) = text.split_once(['-', '_']) else { return false };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    KINDS.contains(&kind) && (TAIL_BYTES_MIN..=128).contains(&tail.len()) && tail.bytes().all(legal)
}

/// `text`, a path or a query, with the marks of its ids taken off, and the first of them.
pub fn unmark(text: &str) -> (Cow<'_, str>, Option<Mark>) {
    if !text.contains(SIGN) {
        return (Cow::Borrowed(text), None);
    }
    let (mut out, mut first) = (String::with_capacity(text.len()), None);
    for piece in text.split_inclusive(['/', '&', '=', ',']) {
        let word = piece.trim_end_matches(['/', '&', '=', ',']);
        let end = piece.get(word.len()..).unwrap_or_default();
        match split(word) {
            Some((id, mark)) => {
                first = first.or(Some(mark));
                out.push_str(id);
            }
            None => out.push_str(word),
        }
        out.push_str(end);
    }
    (Cow::Owned(out), first)
}

/// The strings of a JSON text, or of the events of a stream: their content without quotes, where it ends in
/// `text`, and whether it is the name of a member.
fn strings(text: &str) -> impl Iterator<Item = (&str, usize, bool)> {
    let bytes = text.as_bytes();
    let mut at = 0usize;
    core::iter::from_fn(move || {
        let open = at.saturating_add(memchr::memchr(b'"', bytes.get(at..)?)?);
        let start = open.saturating_add(1);
        let mut end = start;
        loop {
            end = end.saturating_add(memchr::memchr2(b'"', b'\\', bytes.get(end..)?)?);
            if bytes.get(end) == Some(&b'"') {
                break;
            }
            end = end.saturating_add(2);
        }
        at = end.saturating_add(1);
        let behind = bytes.get(at..).unwrap_or_default();
        let name = behind.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
        Some((text.get(start..end).unwrap_or_default(), end, name))
    })
}

/// A body of JSON, or of events of a stream, with `mark` behind every id that is a value.
pub fn mark(text: &str, mark: Mark) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(64));
    let mut from = 0usize;
    for (content, end, name) in strings(text) {
        if !name && is_id(content) && split(content).is_none() {
            out.push_str(text.get(from..end).unwrap_or_default());
            out.push_str(SIGN);
            out.push_str(mark.text());
            from = end;
        }
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// The changes that take the marks of all ids off a body of JSON, and the first mark.
pub fn unmark_body(text: &str) -> (Vec<Edit>, Option<Mark>) {
    let (mut edits, mut first) = (Vec::new(), None);
    if !text.contains(SIGN) {
        return (edits, first);
    }
    for (content, end, _) in strings(text) {
        if let Some((id, mark)) = split(content) {
            first = first.or(Some(mark));
            let from = end.saturating_sub(content.len()).saturating_add(id.len());
            let word = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
            edits.push(Edit { start: word(from), end: word(end), with: Vec::new() });
        }
    }
    (edits, first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn ids_are_marked_and_other_texts_are_not() {
        let own = Mark::of(&["d", "e"]);
        let rows = [
            (r#"{"id":"file-abc123XYZ","n":1}"#, r#"{"id":"file-abc123XYZ-wM","n":1}"#),
            (
                r#"{"id" : "resp_68a0c0ffee", "previous_response_id":null}"#,
                r#"{"id" : "resp_68a0c0ffee-wM", "previous_response_id":null}"#,
            ),
            (
                r#"{"file_ids":["file-abcdef","file-ghijkl"]}"#,
                r#"{"file_ids":["file-abcdef-wM","file-ghijkl-wM"]}"#,
            ),
            (
                r#"{"file-abcdef":{"text":"say \"file-abcdef\" twice"}}"#,
                r#"{"file-abcdef":{"text":"say \"file-abcdef\" twice"}}"#,
            ),
            (
                r#"{"text":"file-a b","purpose":"file","x":"filex-abcdef"}"#,
                r#"{"text":"file-a b","purpose":"file","x":"filex-abcdef"}"#,
            ),
            (
                "event: thread.run\ndata: {\"id\":\"run_abcdef\"}\n\n",
                "event: thread.run\ndata: {\"id\":\"run_abcdef-wM\"}\n\n",
            ),
            (r#"{"broken":"file-abcdef"#, r#"{"broken":"file-abcdef"#),
        ];
        for (text, expected) in rows {
            assert_eq!(mark(text, own).replace(own.text(), "M"), expected, "{text}");
        }
    }

    #[test]
    fn marks_come_off_paths_and_queries() {
        let own = Mark::of(&["d", "e"]);
        let marked = |text: &str| text.replace("M!", &format!("-w{}", own.text()));
        let rows = [
            ("files/file-abcdefM!/content", "files/file-abcdef/content", true),
            ("threads/thread_abcdefM!/runs/run_abcdefM!", "threads/thread_abcdef/runs/run_abcdef", true),
            ("after=file-abcdefM!&limit=2", "after=file-abcdef&limit=2", true),
            ("files/file-abcdef", "files/file-abcdef", false),
            ("files/file-abc-white", "files/file-abc-white", false),
        ];
        for (text, expected, found) in rows {
            let text = marked(text);
            let (bare, mark) = unmark(&text);
            assert_eq!((bare.as_ref(), mark), (expected, found.then_some(own)), "{text}");
        }
        assert_ne!(Mark::of(&["d", "e"]), Mark::of(&["de", ""]));
    }

    proptest! {
        /// Whatever is in a body: unmarking what was marked gives the body again.
        #[test]
        fn marking_is_undone(ids in proptest::collection::vec("(file-|resp_|msg_|x)[a-zA-Z0-9]{4,12}", 0..6), text in "[ -~]{0,30}") {
            let body = serde_json::json!({"a": ids, "text": text, "nested": {"id": ids.first()}}).to_string();
            let own = Mark::of(&["deployment", "entity"]);
            let marked = mark(&body, own);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&marked).is_ok());
            let (edits, first) = unmark_body(&marked);
            let back = Edit::apply(marked.as_bytes(), &edits);
            prop_assert_eq!(core::str::from_utf8(&back).unwrap(), &body);
            prop_assert_eq!(first.is_some(), marked != body);
        }

        #[test]
        fn any_text_is_survived(text in ".{0,80}") {
            let own = Mark::of(&["d"]);
            let _ = (mark(&text, own), unmark_body(&text), unmark(&text));
        }
    }
}
