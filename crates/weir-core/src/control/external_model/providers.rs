//! Providers with a dialect of their own: what their config objects hold (`databricks.md`, 3.3; `design.md`, section 8,
//! "Providers' addresses").
//!
//! Decides members, addresses and where the credential goes, and which tasks a provider does; not how it is spoken to
//! (`translate`). Where an address may be given with a version at its end, it is kept without.

use super::super::command::Desk;
use super::super::document::{Faults, Members};
use super::credential::{Form, credential, seal};
use super::{Compiled, check_base, config, word};
use crate::snapshot::token::TokenSource;
use crate::snapshot::{Target, Task, Upstream, UpstreamAuth, UpstreamPaths};
use crate::sorted::SortedMap;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Map, Value};

/// All providers that are read here.
const NAMES: [&str; 9] = [
    "anthropic",
    "cohere",
    "ai21labs",
    "amazon-bedrock",
    "google-cloud-vertex-ai",
    "databricks-model-serving",
    "palm",
    "mistral",
    "workers-ai",
];

/// A provider with one key.
struct Simple {
    name: &'static str,
    config: &'static str,
    key: &'static str,
    base: &'static str,
    /// Its address; without one `base` must be given.
    address: Option<&'static str>,
    /// The header of the key; `Authorization: Bearer` if absent.
    header: Option<&'static str>,
}

const SIMPLE: [Simple; 6] = [
    Simple {
        name: "anthropic",
        config: "anthropic_config",
        key: "anthropic_api_key",
        base: "anthropic_api_base",
        address: Some("https://api.anthropic.com"),
        header: Some("x-api-key"),
    },
    Simple {
        name: "cohere",
        config: "cohere_config",
        key: "cohere_api_key",
        base: "cohere_api_base",
        address: Some("https://api.cohere.com"),
        header: None,
    },
    Simple {
        name: "ai21labs",
        config: "ai21labs_config",
        key: "ai21labs_api_key",
        base: "ai21labs_api_base",
        address: Some("https://api.ai21.com/studio"),
        header: None,
    },
    Simple {
        name: "palm",
        config: "palm_config",
        key: "palm_api_key",
        base: "palm_api_base",
        address: Some("https://generativelanguage.googleapis.com"),
        header: Some("x-goog-api-key"),
    },
    Simple {
        name: "mistral",
        config: "mistral_config",
        key: "mistral_api_key",
        base: "mistral_api_base",
        address: Some("https://api.mistral.ai"),
        header: None,
    },
    Simple {
        name: "databricks-model-serving",
        config: "databricks_model_serving_config",
        key: "databricks_api_token",
        base: "databricks_workspace_url",
        address: None,
        header: None,
    },
];

/// Versions that a base address may end with.
const VERSIONS: [&str; 3] = ["/v1beta", "/v1", "/v2"];
/// `bedrock_provider`, in lower case.
const BEDROCK_PROVIDERS: [&str; 4] = ["anthropic", "cohere", "ai21labs", "amazon"];

/// Reads the config of the provider `name`; a name of no provider is a fault.
pub(super) fn read(
    name: &str,
    members: &Members<'_>,
    desk: &mut Desk<'_>,
    faults: &mut Faults,
) -> Option<Compiled> {
    if let Some(known) = SIMPLE.iter().find(|known| known.name == name) {
        let config = config(members, known.config, faults)?;
        return simple(known, &config, desk, faults);
    }
    match name {
        "amazon-bedrock" => {
            config(members, "amazon_bedrock_config", faults).and_then(|config| bedrock(&config, desk, faults))
        }
        "google-cloud-vertex-ai" => config(members, "google_cloud_vertex_ai_config", faults)
            .and_then(|config| vertex(&config, desk, faults)),
        "workers-ai" => workers_ai(members, desk, faults),
        _ => {
            let known = NAMES.join(", ");
            let text = format!("is '{name}', which is no provider; use openai, custom, simulator, {known}");
            faults.note(&members.path("provider"), text);
            None
        }
    }
}

/// Whether a provider does a task (`databricks.md`, 3.3, "Task support").
pub(super) fn does(provider: &str, target: Option<&Target>, task: Task) -> bool {
    let family = match target {
        Some(Target::Http(Upstream { paths: UpstreamPaths::Native(members), .. })) => {
            members.get("bedrock_provider").map_or("", String::as_str)
        }
        Some(Target::Http(_) | Target::Simulator(_)) | None => "",
    };
    match (provider, task, family) {
        ("anthropic" | "ai21labs", Task::Embeddings, _)
        | ("mistral", Task::Completions, _)
        | ("amazon-bedrock", Task::Embeddings, "anthropic" | "ai21labs")
        | ("amazon-bedrock", Task::Chat, "ai21labs") => false,
        (_, Task::Chat | Task::Completions | Task::Embeddings, _) => true,
    }
}

fn simple(
    known: &Simple,
    config: &Members<'_>,
    desk: &mut Desk<'_>,
    faults: &mut Faults,
) -> Option<Compiled> {
    let mut shown = Map::new();
    let base = address(config, known.base, known.address.map(ToOwned::to_owned), desk, faults, &mut shown);
    let key = credential(config, known.key, Form::Header, desk, faults, &mut shown);
    let (base, key) = (base?, key?);
    let sealed = seal(&key, &base, &config.path(known.key), desk, faults)?;
    let auth = match known.header {
        Some(name) => UpstreamAuth::Header { name: name.to_owned(), sealed },
        None => UpstreamAuth::Bearer { sealed },
    };
    let references = Vec::from([key.reference]);
    Some(Compiled { member: known.config, shown, target: native(base, SortedMap::new(), auth), references })
}

fn bedrock(config: &Members<'_>, desk: &mut Desk<'_>, faults: &mut Faults) -> Option<Compiled> {
    const ID: &str = "aws_access_key_id";
    const SECRET: &str = "aws_secret_access_key";
    // Weir's own: keys that AWS gives for a while are three.
    const TOKEN: &str = "aws_session_token";
    const KEY: &str = "bedrock_api_key";
    let mut shown = Map::new();
    let region = word(config, "aws_region", faults);
    let family = config.required_text("bedrock_provider", faults);
    let folded = family.map(str::to_ascii_lowercase);
    if folded.as_ref().is_some_and(|family| !BEDROCK_PROVIDERS.contains(&family.as_str())) {
        faults.note(&config.path("bedrock_provider"), "must be anthropic, cohere, ai21labs or amazon");
    }
    for (member, text) in [("aws_region", region), ("bedrock_provider", family)] {
        text.map(|text| shown.insert(member.to_owned(), text.into()));
    }
    let default = region.map(|region| format!("https://bedrock-runtime.{region}.amazonaws.com"));
    let base = address(config, "bedrock_api_base", default, desk, faults, &mut shown);
    let roles = ["instance_profile_arn", "uc_service_credential_name"];
    let named: Vec<&str> = roles.into_iter().filter(|name| config.get(name).is_some()).collect();
    let given = |name: &str| config.get(name).is_some() || config.get(&format!("{name}_plaintext")).is_some();
    let kinds =
        [given(ID) || given(SECRET) || given(TOKEN), given(KEY)].into_iter().filter(|kind| *kind).count();
    if kinds.saturating_add(named.len()) > 1 {
        faults.note(&config.path(ID), "must not be given beside another kind of credential; give one");
        return None;
    }
    if let Some(name) = named.first() {
        let text = "cannot be used here: Weir runs in no AWS account; give aws_access_key_id and aws_secret_access_key, or bedrock_api_key";
        faults.note(&config.path(name), text);
        return None;
    }
    let (auth, references) = if given(KEY) {
        let key = credential(config, KEY, Form::Header, desk, faults, &mut shown)?;
        let sealed = seal(&key, base.as_deref()?, &config.path(KEY), desk, faults)?;
        (UpstreamAuth::Bearer { sealed }, Vec::from([key.reference]))
    } else {
        let id = credential(config, ID, Form::Header, desk, faults, &mut shown);
        let secret = credential(config, SECRET, Form::Text, desk, faults, &mut shown);
        let token = given(TOKEN).then(|| credential(config, TOKEN, Form::Header, desk, faults, &mut shown));
        let (base, id, secret, token) =
            (base.as_deref()?, id?, secret?, token.map_or(Some(None), |t| t.map(Some))?);
        let sealed_id = seal(&id, base, &config.path(ID), desk, faults)?;
        let sealed_secret = seal(&secret, base, &config.path(SECRET), desk, faults)?;
        let mut references = Vec::from([id.reference, secret.reference]);
        let token = match token {
            Some(token) => {
                let sealed = seal(&token, base, &config.path(TOKEN), desk, faults)?;
                references.push(token.reference);
                Some(sealed)
            }
            None => None,
        };
        (UpstreamAuth::Aws { id: sealed_id, secret: sealed_secret, token }, references)
    };
    let members = SortedMap::from([
        ("region".to_owned(), region?.to_owned()),
        ("bedrock_provider".to_owned(), folded?),
    ]);
    let target = native(base?, members, auth);
    Some(Compiled { member: "amazon_bedrock_config", shown, target, references })
}

fn vertex(config: &Members<'_>, desk: &mut Desk<'_>, faults: &mut Faults) -> Option<Compiled> {
    let (mut shown, mut members) = (Map::new(), SortedMap::new());
    let (project, region) = (word(config, "project_id", faults), word(config, "region", faults));
    let email = config.text("client_email", faults);
    for (member, text) in [("project_id", project), ("region", region), ("client_email", email)] {
        if let Some(text) = text {
            shown.insert(member.to_owned(), text.into());
            members.insert(member.to_owned(), text.to_owned());
        }
    }
    let default = region.map(|region| match region {
        "global" => "https://aiplatform.googleapis.com".to_owned(),
        region => format!("https://{region}-aiplatform.googleapis.com"),
    });
    let base = address(config, "vertex_api_base", default, desk, faults, &mut shown);
    let key = credential(config, "private_key", Form::Text, desk, faults, &mut shown);
    let (base, key) = (base?, key?);
    check_account(&key.value, email, config, desk, faults)?;
    let sealed = seal(&key, &base, &config.path("private_key"), desk, faults)?;
    project.and(region)?;
    let target = native(base, members, UpstreamAuth::ServiceAccount { sealed });
    let references = Vec::from([key.reference]);
    Some(Compiled { member: "google_cloud_vertex_ai_config", shown, target, references })
}

/// The address that a service account's tokens come from is an upstream's like any. A key that is no account's is kept
/// as it is: what it is worth shows when it is used.
fn check_account(
    secret: &str,
    email: Option<&str>,
    config: &Members<'_>,
    desk: &Desk<'_>,
    faults: &mut Faults,
) -> Option<()> {
    let place = email.map(|email| ("client_email".to_owned(), email.to_owned())).into_iter().collect();
    match TokenSource::account(secret, &place) {
        Some(source) => check_base(source.url(), &config.path("private_key"), desk, faults).map(|_| ()),
        None => Some(()),
    }
}

/// With an account and its token by HTTP, else by the Worker's own binding.
fn workers_ai(members: &Members<'_>, desk: &mut Desk<'_>, faults: &mut Faults) -> Option<Compiled> {
    const MEMBER: &str = "workers_ai_config";
    let mut shown = Map::new();
    let own = match members.get(MEMBER) {
        Some(_) => Some(config(members, MEMBER, faults)?),
        None => None,
    };
    let by_http = |config: &&Members<'_>| {
        ["account_id", "api_token", "api_token_plaintext"].iter().any(|name| config.get(name).is_some())
    };
    let Some(config) = own.as_ref().filter(by_http) else {
        let target = native(String::new(), SortedMap::new(), UpstreamAuth::None);
        return Some(Compiled { member: MEMBER, shown, target, references: Vec::new() });
    };
    let account = word(config, "account_id", faults);
    account.map(|account| shown.insert("account_id".to_owned(), account.into()));
    let default =
        account.map(|account| format!("https://api.cloudflare.com/client/v4/accounts/{account}/ai"));
    let base = address(config, "workers_ai_api_base", default, desk, faults, &mut shown);
    let token = credential(config, "api_token", Form::Header, desk, faults, &mut shown);
    let (base, token) = (base?, token?);
    let sealed = seal(&token, &base, &config.path("api_token"), desk, faults)?;
    account?;
    let target = native(base, SortedMap::new(), UpstreamAuth::Bearer { sealed });
    Some(Compiled { member: MEMBER, shown, target, references: Vec::from([token.reference]) })
}

fn native(base: String, members: SortedMap<String, String>, auth: UpstreamAuth) -> Target {
    Target::Http(Upstream { base, paths: UpstreamPaths::Native(members), auth, organization: None })
}

/// The base address: the member's, else the default one; without the version at its end.
fn address(
    config: &Members<'_>,
    member: &str,
    default: Option<String>,
    desk: &Desk<'_>,
    faults: &mut Faults,
    shown: &mut Map<String, Value>,
) -> Option<String> {
    let given = config.text(member, faults);
    if let Some(text) = given {
        shown.insert(member.to_owned(), text.into());
    }
    let text = match (given, default) {
        (Some(text), _) => text.to_owned(),
        (None, Some(text)) => text,
        (None, None) => {
            if config.get(member).is_none() && member == "databricks_workspace_url" {
                faults.note(&config.path(member), "is required");
            }
            return None;
        }
    };
    let base = check_base(&text, &config.path(member), desk, faults)?;
    let version = VERSIONS.iter().find(|version| base.ends_with(**version));
    let end = base.len().saturating_sub(version.map_or(0, |version| version.len()));
    base.get(..end).map(ToOwned::to_owned)
}
