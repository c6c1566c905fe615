//! What can be wrong with a request before anyone looks at its meaning.
//!
//! Stage 1. Decides the kinds of fault and the facts they carry; not their status or text (`reply`).

use alloc::string::String;

/// Why a request's address or body is not one that Weir can act on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The address is longer than [`super::bounds::URL_BYTES_MAX`].
    #[error("the address is longer than {max} bytes")]
    UrlTooLong {
        /// Largest length in bytes.
        max: u32,
    },
    /// No route has this path.
    #[error("no route for {method} {path}")]
    UnknownRoute {
        /// The method, cut to a bounded length.
        method: String,
        /// The path, cut to a bounded length.
        path: String,
    },
    /// The path is a route, but not with this method.
    #[error("method {method} is not one of {allowed}")]
    WrongMethod {
        /// The method, cut to a bounded length.
        method: String,
        /// The path, cut to a bounded length.
        path: String,
        /// What an `Allow` header lists.
        allowed: &'static str,
    },
    /// The operation exists on the surface that was called, but not in this version of Weir.
    #[error("{what} is not supported here")]
    Unsupported {
        /// The operation, as a noun phrase.
        what: &'static str,
    },
    /// A dated surface was called without `api-version`, or with one that never was.
    #[error("the api-version is missing or unknown")]
    ApiVersion,
    /// A name in the path is not a legal name: bad percent-encoding, not UTF-8, control characters, slashes.
    #[error("the name in the path is not legal")]
    IllegalName,
    /// The body is longer than [`super::bounds::BODY_BYTES_MAX`].
    #[error("the body is longer than {max} bytes")]
    BodyTooLarge {
        /// Largest length in bytes.
        max: u32,
    },
    /// The body is not the form that its `content-type` says.
    #[error("the body is not a form")]
    BrokenForm,
    /// The form does not name its model within [`super::bounds::FORM_BYTES_MAX`].
    #[error("the form does not name its model within {max} bytes")]
    FormTooLong {
        /// How much was read, in bytes.
        max: u32,
    },
    /// The body is not JSON.
    #[error("the body is not JSON at byte {at}")]
    NotJson {
        /// Byte offset of the first fault.
        at: u32,
    },
    /// The body is not UTF-8.
    #[error("the body is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Byte offset of the first fault.
        at: u32,
    },
    /// The body is JSON, but not an object.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// Objects and arrays are nested deeper than [`super::bounds::DEPTH_MAX`].
    #[error("the body is nested deeper than {max} levels")]
    TooDeep {
        /// Largest depth.
        max: u32,
    },
    /// The body has more top-level members than [`super::bounds::MEMBERS_MAX`].
    #[error("the body has more than {max} members")]
    TooManyMembers {
        /// Largest count.
        max: u32,
    },
    /// A top-level member's name is longer than [`super::bounds::MEMBER_NAME_BYTES_MAX`].
    #[error("the name of a member is too long at byte {at}")]
    MemberNameTooLong {
        /// Byte offset of the name.
        at: u32,
    },
    /// A member is there twice, and it would depend on the reader which one counts.
    #[error("the member {member:?} is there twice")]
    DuplicateMember {
        /// The member's name, cut to a bounded length.
        member: String,
    },
    /// A member that must be there is not.
    #[error("the member {member} is missing")]
    MissingMember {
        /// The member's name.
        member: &'static str,
    },
    /// A member that Weir acts on has another type than it must have.
    #[error("the member {member} is not {expected}")]
    WrongType {
        /// The member's name; nested ones with a dot.
        member: &'static str,
        /// What it must be, e.g. `a string`.
        expected: &'static str,
        /// What is there, JSON, cut to a bounded length.
        got: String,
    },
    /// A value that the surface's schema does not allow.
    #[error("the member {member} is not {expected}")]
    NotSupported {
        /// Names and indices joined by dots, e.g. `messages.0.role`.
        member: String,
        /// What it must be, in words.
        expected: String,
        /// What is there, JSON, cut to a bounded length; nothing if it is missing.
        got: Option<String>,
    },
    /// Members that the surface's schema does not know, and the caller did not say what shall become of them.
    #[error("the members {names} are not known")]
    ExtraMembers {
        /// Their names, cut to a bounded length.
        names: String,
    },
    /// The header `extra-parameters` has a value that it cannot have.
    #[error("the header extra-parameters is none of its words")]
    ExtraParameters,
    /// A number that Weir acts on is outside its range.
    #[error("the member {member} is not between {min} and {max}")]
    OutOfRange {
        /// The member's name.
        member: &'static str,
        /// Smallest legal value.
        min: u64,
        /// Largest legal value.
        max: u64,
        /// What is there, JSON, cut to a bounded length.
        got: String,
    },
}

impl WireError {
    /// A short word for metrics; never changes with the request.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::UrlTooLong { .. } => "url_too_long",
            Self::UnknownRoute { .. } => "unknown_route",
            Self::WrongMethod { .. } => "wrong_method",
            Self::Unsupported { .. } => "unsupported",
            Self::ApiVersion => "api_version",
            Self::IllegalName => "illegal_name",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BrokenForm => "broken_form",
            Self::FormTooLong { .. } => "form_too_long",
            Self::NotJson { .. } => "not_json",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::NotAnObject => "not_an_object",
            Self::TooDeep { .. } => "too_deep",
            Self::TooManyMembers { .. } => "too_many_members",
            Self::MemberNameTooLong { .. } => "member_name_too_long",
            Self::DuplicateMember { .. } => "duplicate_member",
            Self::MissingMember { .. } => "missing_member",
            Self::WrongType { .. } => "wrong_type",
            Self::NotSupported { .. } => "not_supported",
            Self::ExtraMembers { .. } => "extra_members",
            Self::ExtraParameters => "extra_parameters",
            Self::OutOfRange { .. } => "out_of_range",
        }
    }
}

/// `text` cut to [`super::bounds::ECHO_BYTES_MAX`] at a character's border: what an error may repeat of a
/// request.
pub fn echo(text: &str) -> String {
    let mut kept = String::new();
    for character in text.chars() {
        if kept.len() >= super::bounds::ECHO_BYTES_MAX {
            kept.push('…');
            break;
        }
        kept.push(character);
    }
    kept
}
