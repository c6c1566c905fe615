//! What callers speak where it is not the canonical dialect: Anthropic Messages, and the Responses API of `OpenAI`.
//!
//! Stage 6. The one seam for all of them: a request is heard as a canonical chat ([`hear`]), and whatever comes of it is
//! canonical until a [`Teller`] tells it to the caller, whole or event by event. Nothing between the two knows who asks.

use super::{Form, Notes, messages, responses};
use crate::wire::WireError;
use crate::wire::raw::Raw;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A dialect of callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerDialect {
    /// Anthropic Messages.
    Messages,
    /// The Responses API.
    Responses,
}

/// What a caller asked for.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The canonical chat.
    pub canonical: String,
    /// What of the request is not in it.
    pub notes: Notes,
    caller: CallerDialect,
    /// What an answer repeats of its request; empty where it repeats nothing.
    echo: String,
    /// Where each message of the canonical chat begins in the request.
    places: Vec<Place>,
}

/// A place in a caller's request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// The member.
    pub of: &'static str,
    /// The item of it, if it has items.
    pub at: Option<u32>,
    /// Whether the parts of that item are those of the message that became of it.
    pub parts: bool,
}

impl Place {
    /// A whole member.
    pub const fn named(of: &'static str) -> Self {
        Self { of, at: None, parts: false }
    }
}

/// Members of the canonical chat that callers know by another name.
const NAMES: [(CallerDialect, &str, &str); 8] = [
    (CallerDialect::Responses, "max_tokens", "max_output_tokens"),
    (CallerDialect::Responses, "response_format", "text.format"),
    (CallerDialect::Responses, "reasoning_effort", "reasoning.effort"),
    (CallerDialect::Responses, "verbosity", "text.verbosity"),
    (CallerDialect::Messages, "stop", "stop_sequences"),
    (CallerDialect::Messages, "response_format", "output_config.format"),
    (CallerDialect::Messages, "reasoning_effort", "thinking"),
    (CallerDialect::Messages, "user", "metadata.user_id"),
];

/// The canonical chat that `body` asks for.
///
/// # Errors
/// [`WireError::MissingMember`] and [`WireError::NotSupported`], with the place in the caller's own terms.
pub fn hear(caller: CallerDialect, body: Raw<'_>) -> Result<Heard, WireError> {
    let mut notes = Notes::default();
    let ((canonical, places), echo) = match caller {
        CallerDialect::Messages => (messages::request(body)?, String::new()),
        CallerDialect::Responses => (responses::request(body, &mut notes)?, responses::echo(body)),
    };
    Ok(Heard { canonical, notes, caller, echo, places })
}

/// What stands for a request that no canonical chat can say: for those who need only its size and its model.
pub fn unheard(caller: CallerDialect, body: Raw<'_>) -> Heard {
    let (canonical, notes) = (body.as_str().to_owned(), Notes::default());
    Heard { canonical, notes, caller, echo: String::new(), places: Vec::new() }
}

impl Heard {
    /// What stands against the canonical chat, said of the request that it was made of.
    pub fn placed(&self, mut error: WireError) -> WireError {
        let named = |member: &str| {
            let known = NAMES.iter().find(|(caller, name, _)| *caller == self.caller && *name == member);
            known.map(|(_, _, own)| *own)
        };
        if let WireError::NotSupported { member, .. } = &mut error {
            let own = named(member).map(ToOwned::to_owned).or_else(|| self.place_of(member));
            *member = own.unwrap_or_else(|| core::mem::take(member));
        }
        if let WireError::WrongType { member, .. } | WireError::OutOfRange { member, .. } = &mut error {
            *member = named(member).unwrap_or(*member);
        }
        error
    }

    /// The place of what the canonical chat has at `member`, if that is in a message.
    fn place_of(&self, member: &str) -> Option<String> {
        let path = member.strip_prefix("messages.")?;
        let (number, rest) = path.split_once('.').unwrap_or((path, ""));
        let place = self.places.get(number.parse::<usize>().ok()?)?;
        let mut own = place.at.map_or_else(|| place.of.to_owned(), |at| format!("{}.{at}", place.of));
        if place.parts && !rest.is_empty() {
            own.extend([".", rest]);
        }
        Some(own)
    }

    /// What tells the answer. `form` has the exchange's id, its time, and what the input is taken for until it is counted.
    pub fn teller(&self, form: &Form) -> Teller {
        match self.caller {
            CallerDialect::Messages => Teller::Messages(messages::Encoder::new(form.input_tokens)),
            CallerDialect::Responses => {
                Teller::Responses(Box::new(responses::Encoder::new(form, self.echo.clone())))
            }
        }
    }

    /// The answer to a question for a count of tokens.
    pub fn counted(&self, tokens: u64) -> String {
        match self.caller {
            CallerDialect::Messages => messages::counted(tokens),
            CallerDialect::Responses => responses::counted(tokens),
        }
    }
}

/// A canonical answer on its way to a caller.
#[derive(Debug)]
pub enum Teller {
    /// To one who speaks Anthropic Messages.
    Messages(messages::Encoder),
    /// To one who speaks the Responses API.
    Responses(Box<responses::Encoder>),
}

impl Teller {
    /// Takes whole canonical events, each one line of data; gives the events that tell the same.
    pub fn push(&mut self, events: &[u8]) -> Vec<u8> {
        match self {
            Self::Messages(encoder) => encoder.push(events),
            Self::Responses(encoder) => encoder.push(events),
        }
    }

    /// A whole canonical answer.
    pub fn answer(&self, body: Raw<'_>) -> String {
        match self {
            Self::Messages(encoder) => encoder.answer(body),
            Self::Responses(encoder) => encoder.answer(body),
        }
    }

    /// The number of the next event, where the caller's events are numbered.
    pub const fn next_number(&self) -> Option<u64> {
        match self {
            Self::Messages(_) => None,
            Self::Responses(encoder) => Some(encoder.next_number()),
        }
    }
}
