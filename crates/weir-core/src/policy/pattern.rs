//! Regular expressions of blocklists: reading them.
//!
//! Stage `policy`. Decides which expressions are understood (literals, `.`, classes, the escapes `\d \w \s \b` and
//! their opposites, groups, alternation, `* + ? {m,n}`, `^ $` for the text's ends) and what is said about the others;
//! how they are matched is `matcher`'s. Letters match in either case, as literal items do. Written by hand, because a
//! general engine would add more to the script than all of this stage. Source: ECMA-262, 22.2.1, of which this is a
//! part; what needs more than one pass over the text (back-references, look-around) is refused.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Deepest nesting of groups.
const DEPTH_MAX: u32 = 16;
/// Largest count of a repetition.
const COUNT_MAX: u32 = 200;

/// A part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Nothing.
    Empty,
    /// One character of a set.
    One(Set),
    /// A place, not a character.
    At(Place),
    /// One after the other.
    All(Vec<Self>),
    /// One of them.
    Any(Vec<Self>),
    /// So many times, at least and at most.
    Times(Box<Self>, u32, Option<u32>),
}

/// A place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Its beginning.
    Start,
    /// Its end.
    End,
    /// Where a word begins or ends.
    Edge,
    /// Anywhere else.
    Within,
}

/// Characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    /// From each first to its last. Letters in one case stand for both.
    pub(super) ranges: Vec<(char, char)>,
    /// Characters of a kind, or of none.
    pub(super) kinds: Vec<(Kind, bool)>,
    /// All others instead.
    pub(super) negated: bool,
}

/// Kinds of characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `\d`.
    Digit,
    /// `\w`.
    Word,
    /// `\s`.
    Space,
}

impl Kind {
    /// Letters and digits of every script are of a word.
    pub(super) fn has(self, c: char) -> bool {
        match self {
            Self::Digit => c.is_ascii_digit(),
            Self::Word => {
                c == '_' || if c.is_ascii() { c.is_ascii_alphanumeric() } else { c.is_alphanumeric() }
            }
            Self::Space => c.is_whitespace(),
        }
    }
}

impl Set {
    fn of(c: char) -> Self {
        Self { ranges: Vec::from([(c, c)]), ..Self::default() }
    }

    fn kind(kind: Kind, has: bool) -> Self {
        Self { kinds: Vec::from([(kind, has)]), ..Self::default() }
    }

    /// Whether `c` is one of them, in either case.
    pub(super) fn has(&self, c: char) -> bool {
        let within = |c: char| self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&c));
        let found = within(c)
            || other_case(c).is_some_and(within)
            || self.kinds.iter().any(|(kind, has)| kind.has(c) == *has);
        found != self.negated
    }
}

/// The other case of a letter of Latin, Greek or Cyrillic, if it is one character away by rule.
fn other_case(c: char) -> Option<char> {
    let code = u32::from(c);
    let other = match code {
        0x41..=0x5a | 0xc0..=0xd6 | 0xd8..=0xde | 0x391..=0x3a9 | 0x410..=0x42f => code.saturating_add(0x20),
        0x61..=0x7a | 0xe0..=0xf6 | 0xf8..=0xfe | 0x3b1..=0x3c9 | 0x430..=0x44f => code.saturating_sub(0x20),
        0x100..=0x137 | 0x14a..=0x177 => code ^ 1,
        _ => return None,
    };
    char::from_u32(other)
}

/// Reads an expression.
///
/// # Errors
/// What is wrong with it, with the place: a sentence without its subject.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut parser = Parser { rest: text, at: 1, depth: 0 };
    let node = parser.any()?;
    match parser.rest.chars().next() {
        None => Ok(node),
        Some(_) => Err(parser.fault("closes a group that was not opened")),
    }
}

struct Parser<'a> {
    rest: &'a str,
    /// Of the next character, counted from 1.
    at: u32,
    depth: u32,
}

impl Parser<'_> {
    fn fault(&self, what: &str) -> String {
        format!("is not understood: character {} {what}", self.at)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        self.at = self.at.saturating_add(1);
        Some(c)
    }

    fn take(&mut self, wanted: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(wanted) else { return false };
        self.rest = rest;
        self.at = self.at.saturating_add(u32::try_from(wanted.chars().count()).unwrap_or(0));
        true
    }

    fn any(&mut self) -> Result<Node, String> {
        let mut choices = Vec::from([self.all()?]);
        while self.take("|") {
            choices.push(self.all()?);
        }
        let alone = choices.len() == 1;
        Ok(if alone { choices.pop().unwrap_or(Node::Empty) } else { Node::Any(choices) })
    }

    fn all(&mut self) -> Result<Node, String> {
        let mut parts = Vec::new();
        while let Some(c) = self.peek().filter(|c| !matches!(c, '|' | ')')) {
            let part = self.one(c)?;
            parts.push(self.repeated(part)?);
        }
        Ok(if parts.is_empty() { Node::Empty } else { Node::All(parts) })
    }

    fn one(&mut self, c: char) -> Result<Node, String> {
        match c {
            '(' => return self.group(),
            '[' => return self.class().map(Node::One),
            '*' | '+' | '?' | '{' => return Err(self.fault("repeats nothing")),
            _ => {}
        }
        self.next();
        Ok(match c {
            '.' => Node::One(Set {
                ranges: Vec::from([('\n', '\n'), ('\r', '\r')]),
                negated: true,
                ..Set::default()
            }),
            '^' => Node::At(Place::Start),
            '$' => Node::At(Place::End),
            '\\' if self.take("b") => Node::At(Place::Edge),
            '\\' if self.take("B") => Node::At(Place::Within),
            '\\' => Node::One(self.escape()?),
            c => Node::One(Set::of(c)),
        })
    }

    fn group(&mut self) -> Result<Node, String> {
        let open = self.fault("begins a group of a kind that is not supported; write ( or (?:");
        self.next();
        if !self.take("?:") && self.peek() == Some('?') {
            return Err(open);
        }
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEPTH_MAX {
            return Err(self.fault("is nested too deep"));
        }
        let inner = self.any()?;
        self.depth = self.depth.saturating_sub(1);
        if self.take(")") { Ok(inner) } else { Err(self.fault("should close a group")) }
    }

    fn repeated(&mut self, part: Node) -> Result<Node, String> {
        let (least, most) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => return self.counted(part),
            Some(_) | None => return Ok(part),
        };
        self.next();
        self.quantified(part, least, most)
    }

    fn counted(&mut self, part: Node) -> Result<Node, String> {
        let fault = self
            .fault("begins no repetition {m}, {m,} or {m,n} with counts up to 200; a brace itself is \\{");
        self.next();
        let Some((inside, _)) = self.rest.split_once('}') else { return Err(fault) };
        let count = |text: &str| {
            let digits =
                !text.is_empty() && text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u32>().ok().filter(|count| digits && *count <= COUNT_MAX)
        };
        let (least, most) = match inside.split_once(',') {
            None => (count(inside), count(inside).map(Some)),
            Some((least, "")) => (count(least), Some(None)),
            Some((least, most)) => (count(least), count(most).map(Some)),
        };
        let (Some(least), Some(most)) = (least, most) else { return Err(fault) };
        if most.is_some_and(|most| most < least) {
            return Err(fault);
        }
        let taken = format!("{inside}}}");
        self.take(&taken);
        self.quantified(part, least, most)
    }

    fn quantified(&mut self, part: Node, least: u32, most: Option<u32>) -> Result<Node, String> {
        // Whether it takes much or little makes no difference to whether there is a match.
        self.take("?");
        match self.peek() {
            Some('*' | '+' | '?' | '{') => Err(self.fault("repeats a repetition")),
            Some(_) | None => Ok(Node::Times(Box::new(part), least, most)),
        }
    }

    fn class(&mut self) -> Result<Set, String> {
        let open = self.fault("begins a class that does not end");
        self.next();
        let mut set = Set { negated: self.take("^"), ..Set::default() };
        let mut first = true;
        loop {
            let Some(c) = self.next() else { return Err(open) };
            if c == ']' && !first {
                break;
            }
            first = false;
            let Some(low) = self.class_part(c, &mut set)? else { continue };
            let goes_on = self.rest.starts_with('-') && !self.rest.starts_with("-]");
            if !goes_on || !self.take("-") {
                set.ranges.push((low, low));
                continue;
            }
            let Some(c) = self.next() else { return Err(open) };
            match self.class_part(c, &mut set)? {
                Some(high) if low <= high => set.ranges.push((low, high)),
                Some(_) | None => return Err(self.fault("comes after a range that is none")),
            }
        }
        Ok(set)
    }

    /// A character of a class; `None` for a kind, which is put into the set.
    fn class_part(&mut self, c: char, set: &mut Set) -> Result<Option<char>, String> {
        if c != '\\' {
            return Ok(Some(c));
        }
        if self.take("b") {
            return Ok(Some('\u{8}'));
        }
        let escaped = self.escape()?;
        set.kinds.extend(escaped.kinds);
        Ok(escaped.ranges.first().map(|(c, _)| *c))
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<Set, String> {
        let fault = self.fault("is no escape that is supported");
        let Some(c) = self.next() else { return Err(fault) };
        Ok(match c {
            'd' => Set::kind(Kind::Digit, true),
            'D' => Set::kind(Kind::Digit, false),
            'w' => Set::kind(Kind::Word, true),
            'W' => Set::kind(Kind::Word, false),
            's' => Set::kind(Kind::Space, true),
            'S' => Set::kind(Kind::Space, false),
            't' => Set::of('\t'),
            'n' => Set::of('\n'),
            'r' => Set::of('\r'),
            'f' => Set::of('\u{c}'),
            'v' => Set::of('\u{b}'),
            'x' => Set::of(self.code(2).ok_or(fault)?),
            'u' => Set::of(self.code(4).ok_or(fault)?),
            c if c.is_ascii_alphanumeric() => return Err(fault),
            c => Set::of(c),
        })
    }

    fn code(&mut self, digits: usize) -> Option<char> {
        let text = self.rest.get(..digits)?;
        let legal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let c = u32::from_str_radix(text, 16).ok().filter(|_| legal).and_then(char::from_u32)?;
        for _ in 0..digits {
            self.next();
        }
        Some(c)
    }
}
