//! Content policies as isolates get them: which filters look at prompts and answers, and what they do.
//!
//! Base. Decides the shape that `control` writes and the stage `policy` reads; not how a text is judged. Sources:
//! `azure.md` B5 and C4.

use crate::time::Millis;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What a filter looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Hate and its calls.
    Hate,
    /// Sexual content.
    Sexual,
    /// Violence.
    Violence,
    /// Harm to oneself.
    SelfHarm,
    /// Attempts of the person who asks to lift the model's rules.
    Jailbreak,
    /// The same in a document or a tool's answer.
    IndirectAttack,
    /// Coarse words.
    Profanity,
    /// Personal data.
    PersonalData,
}

/// How bad a text is in a category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing was found.
    Safe,
    /// Mild or ambiguous.
    Low,
    /// Plain.
    Medium,
    /// The worst.
    High,
}

/// When a stream's text is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilterMode {
    /// Before it is passed on.
    Buffered,
    /// Beside it: text is passed on at once, and what is found is told after it.
    Asynchronous,
}

/// One filter of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What it looks for.
    pub filter: Filter,
    /// From this severity on a text is filtered, if `blocking`.
    pub threshold: Severity,
    /// Whether it filters; else it is only told.
    pub blocking: bool,
}

/// A blocklist within a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRule {
    /// The blocklist's name.
    pub list: String,
    /// Whether a hit filters; else it is only told.
    pub blocking: bool,
    /// Whether it looks at prompts.
    pub prompt: bool,
    /// Whether it looks at answers.
    pub completion: bool,
}

/// A content policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentPolicy {
    /// As it is named by deployments.
    pub name: String,
    /// When a stream's text is judged.
    pub mode: FilterMode,
    /// What looks at prompts, in the order of [`Filter`].
    pub prompt: Vec<Rule>,
    /// What looks at answers, in the order of [`Filter`].
    pub completion: Vec<Rule>,
    /// Blocklists; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ListRule>,
    /// The classifier that is asked beside the built-in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<String>,
    /// Given if it is an endpoint's guardrails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
}

/// What only guardrails do (`databricks.md`, 7.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// Personal data of prompts gives way to placeholders before a model sees it.
    #[serde(default)]
    pub mask_prompt: bool,
    /// That of answers, before the caller sees it.
    #[serde(default)]
    pub mask_completion: bool,
    /// What prompts may be about; anything, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompt_topics: Vec<String>,
    /// What answers may be about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub completion_topics: Vec<String>,
}

/// What a classifier's service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Azure AI Content Safety.
    ContentSafety,
    /// `OpenAI`'s moderation.
    Moderation,
    /// A chat deployment of the account that answers `safe` or `unsafe` and categories.
    Deployment,
}

/// A classifier beside the built-in lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classifier {
    /// As policies name it.
    pub name: String,
    /// What it is.
    pub service: Service,
    /// Base address of the service without a trailing slash; or the deployment's name, folded.
    pub place: String,
    /// The service's key, sealed for `place`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
    /// The moderation's model.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// What the deployment is told before the text; nothing, if it was trained for its task.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instructions: String,
    /// What the categories that the deployment answers mean here, beside the known ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hazards: Vec<(String, Filter)>,
    /// Whether prompts are shown to the service's shield against attacks.
    #[serde(default)]
    pub shield: bool,
    /// How long one answer may take.
    pub deadline: Millis,
    /// Whether a text goes on unjudged when the classifier fails; else it is refused.
    #[serde(default)]
    pub open: bool,
}

/// The classifier of policies that cannot name one: the system's, and guardrails.
pub const DEFAULT_CLASSIFIER: &str = "default";

/// An account's own list of words and phrases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocklist {
    /// Its name.
    pub name: String,
    /// Its words and phrases.
    pub items: Vec<String>,
    /// Its regular expressions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<String>,
}

/// All that an account's own policies need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentRules {
    /// Its own policies; the system's are known by name.
    pub policies: Vec<ContentPolicy>,
    /// The blocklists that they name.
    pub blocklists: Vec<Blocklist>,
    /// The classifiers that they name, and the default one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classifiers: Vec<Classifier>,
}

impl ContentRules {
    /// Whether there is nothing.
    pub const fn is_empty(&self) -> bool {
        self.policies.is_empty() && self.blocklists.is_empty() && self.classifiers.is_empty()
    }
}

impl Severity {
    /// 0 to 3.
    pub const fn rank(self) -> u16 {
        match self {
            Self::Safe => 0,
            Self::Low => 1,
            Self::Medium => 2,
            Self::High => 3,
        }
    }

    /// The severity of a rank; everything above 3 is the worst.
    pub const fn from_rank(rank: u16) -> Self {
        match rank {
            0 => Self::Safe,
            1 => Self::Low,
            2 => Self::Medium,
            _ => Self::High,
        }
    }

    /// The word of answers (`azure.md`, B5).
    pub const fn word(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// Names of the policies that always exist and cannot be changed.
pub const SYSTEM_POLICIES: [&str; 2] = ["Microsoft.Default", "Microsoft.DefaultV2"];

impl ContentPolicy {
    /// A policy that always exists, by its name in any case (`azure.md`, C4).
    pub fn system(name: &str) -> Option<Self> {
        let known = SYSTEM_POLICIES.iter().find(|known| known.eq_ignore_ascii_case(name))?;
        let mut policy = Self::default_v2();
        if !known.ends_with("V2") {
            policy.prompt.pop();
        }
        (*known).clone_into(&mut policy.name);
        Some(policy)
    }

    /// `Microsoft.DefaultV2`: the four categories at [`Severity::Medium`], prompt and answer, and no jailbreaks;
    /// `Microsoft.Default` is the same without the last.
    pub fn default_v2() -> Self {
        let rule = |filter| Rule { filter, threshold: Severity::Medium, blocking: true };
        let completion = [Filter::Hate, Filter::Sexual, Filter::Violence, Filter::SelfHarm].map(rule);
        let mut prompt = Vec::from(completion);
        prompt.push(rule(Filter::Jailbreak));
        Self {
            name: "Microsoft.DefaultV2".to_owned(),
            mode: FilterMode::Buffered,
            prompt,
            completion: Vec::from(completion),
            lists: Vec::new(),
            classifier: None,
            guard: None,
        }
    }
}
