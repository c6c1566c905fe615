//! Every bound on what comes from outside, by name and with its reason.
//!
//! Stage 1. Decides numbers only.

/// Longest address: method, host, path and query of every documented call fit ten times over, and Cloudflare
/// itself stops at 16 KiB.
pub const URL_BYTES_MAX: u32 = 8192;

/// Largest JSON body (`design.md`, section 8, "Body sizes").
pub const BODY_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// How much of a form is read to find the field that names its model: OpenAI takes 25 MB of sound, and some clients
/// put the file first. The rest is streamed.
pub const FORM_BYTES_MAX: u32 = 32 * 1024 * 1024;

/// Deepest nesting of a body. Tool schemas reach 20 to 30; `serde_json` stops at 128 as well.
pub const DEPTH_MAX: u32 = 128;

/// Most top-level members of a body. The longest documented request has about 40.
pub const MEMBERS_MAX: u32 = 256;

/// Longest name of a top-level member, in bytes with its quotes: bounds the search for names that come twice.
pub const MEMBER_NAME_BYTES_MAX: usize = 256;

/// Most choices of one request, `n` (`azure.md`, B3).
pub const CHOICES_MAX: u64 = 128;

/// Largest `best_of` (`azure.md`, B3).
pub const BEST_OF_MAX: u64 = 20;

/// Largest `max_tokens`: far above every model's context, far below what sums could overflow.
pub const MAX_TOKENS_MAX: u64 = 1_000_000_000;

/// How much of a request's own text an error repeats, in bytes.
pub const ECHO_BYTES_MAX: usize = 128;

/// Longest credential that is looked at, in bytes. Keys have 64; tokens of identity providers up to a few KiB.
pub const CREDENTIAL_BYTES_MAX: usize = 8192;
