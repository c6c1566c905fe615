//! Who may query by roles, as isolates get it: rights are bits, given at scopes.
//!
//! Base. Decides the shapes and what the rights are; which role gives them is `control::access::rights`, how they are
//! found is [`super::index`]. Source: `azure.md` C5, "Data actions per route".

use crate::id::PrincipalId;
use crate::time::UnixMillis;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Tokens and what their principals may query. All but `scope` is in the directory's snapshot only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The account's own scope: its resource id in lower case.
    #[serde(default)]
    pub scope: String,
    /// Every token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<TokenEntry>,
    /// Every secret of a service principal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<ClientEntry>,
    /// Every principal that was given something, by itself or through groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub principals: Vec<PrincipalEntry>,
    /// Whose tokens are taken beside the installation's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Issuer>,
}

/// An `OpenID` Connect issuer whose tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    /// Its name: `iss` of its tokens, and the address below which its metadata is.
    pub issuer: String,
    /// Audiences that are accepted beside Azure's.
    #[serde(default)]
    pub audiences: Vec<String>,
}

/// A token of a principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenEntry {
    /// SHA-256 of its text, 64 lower-case hex digits.
    pub hash: String,
    /// Its own id, for usage.
    pub id: PrincipalId,
    /// Whose.
    pub principal: PrincipalId,
    /// From this time on it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMillis>,
}

/// A secret of a service principal, without its text: the tokens that it gave hold as long as it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientEntry {
    /// Its own id, which its tokens name.
    pub id: String,
    /// Whose.
    pub principal: PrincipalId,
    /// From this time on its tokens are refused.
    pub expires_at: UnixMillis,
}

/// A principal and what it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrincipalEntry {
    /// Its id.
    pub id: String,
    /// What it was given.
    pub given: Vec<Given>,
    /// What it is called, in lower case; empty if nobody said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Ids and names, in lower case, of all groups that it is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// Rights at one scope and below.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// A resource id in lower case; empty for the whole installation.
    pub scope: String,
    /// [`Right`]s, as bits.
    pub rights: u32,
}

/// A way of querying that a role can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Chat by the `OpenAI` API.
    Chat,
    /// Text completions by the `OpenAI` API.
    Completions,
    /// Embeddings by the `OpenAI` API.
    Embeddings,
    /// Speech and transcription.
    Audio,
    /// Images.
    Images,
    /// Lists of models and deployments.
    Read,
    /// Everything else of the `OpenAI` API: responses, files, assistants.
    Other,
    /// Chat by the model inference API.
    ModelsChat,
    /// Text completions by the model inference API.
    ModelsCompletions,
    /// Embeddings by the model inference API, of images too.
    ModelsEmbeddings,
    /// Facts about models by the model inference API.
    ModelsRead,
}

impl Right {
    /// All, in the order of their bits.
    pub const ALL: [Self; 11] = [
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Audio,
        Self::Images,
        Self::Read,
        Self::Other,
        Self::ModelsChat,
        Self::ModelsCompletions,
        Self::ModelsEmbeddings,
        Self::ModelsRead,
    ];

    /// Its bit.
    pub const fn bit(self) -> u32 {
        match self {
            Self::Chat => 1,
            Self::Completions => 1 << 1,
            Self::Embeddings => 1 << 2,
            Self::Audio => 1 << 3,
            Self::Images => 1 << 4,
            Self::Read => 1 << 5,
            Self::Other => 1 << 6,
            Self::ModelsChat => 1 << 7,
            Self::ModelsCompletions => 1 << 8,
            Self::ModelsEmbeddings => 1 << 9,
            Self::ModelsRead => 1 << 10,
        }
    }

    /// The data action that gives it.
    pub const fn action(self) -> &'static str {
        match self {
            Self::Chat => "Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action",
            Self::Completions => "Microsoft.CognitiveServices/accounts/OpenAI/deployments/completions/action",
            Self::Embeddings => "Microsoft.CognitiveServices/accounts/OpenAI/deployments/embeddings/action",
            Self::Audio => "Microsoft.CognitiveServices/accounts/OpenAI/deployments/audio/action",
            Self::Images => "Microsoft.CognitiveServices/accounts/OpenAI/images/generations/action",
            Self::Read => "Microsoft.CognitiveServices/accounts/OpenAI/models/read",
            Self::Other => "Microsoft.CognitiveServices/accounts/OpenAI/responses/write",
            Self::ModelsChat => "Microsoft.CognitiveServices/accounts/MaaS/chat/completions/action",
            Self::ModelsCompletions => "Microsoft.CognitiveServices/accounts/MaaS/completions/action",
            Self::ModelsEmbeddings => "Microsoft.CognitiveServices/accounts/MaaS/embeddings/action",
            Self::ModelsRead => "Microsoft.CognitiveServices/accounts/MaaS/read",
        }
    }
}
