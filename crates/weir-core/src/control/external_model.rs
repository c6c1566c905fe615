//! Reading an `external_model` object: one description of an upstream for the catalog and for serving endpoints.
//!
//! Decides what such an object must hold (`databricks.md`, 3.3 and 5.3 points 4 to 9; `design.md`, section 8,
//! "Providers' addresses") and compiles it to what isolates need. Its secrets are sealed here for the upstream's
//! base address; what is kept to be shown again is built from known members only, so that nothing secret that was
//! put in a wrong place is ever echoed. `OpenAI`, Azure and custom upstreams are here, all others in `providers`.

pub(super) mod credential;
mod providers;

pub use credential::{is_header_value, is_secret_name, parse_reference, with_credential};

use super::address;
use super::command::Desk;
use super::document::{Faults, Members};
use super::state::Backend;
use crate::simulate::SimulatorConfig;
use crate::snapshot::{ServedEntity, Target, Task, Upstream, UpstreamAuth, UpstreamPaths};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use credential::{Form, credential, seal};
use serde_json::{Map, Value};

/// Where `OpenAI` answers when no base is given.
const OPENAI_BASE: &str = "https://api.openai.com/v1";
/// Longest name of an upstream model, in bytes.
const MODEL_BYTES_MAX: usize = 256;
/// Ends of a custom upstream's address that is one operation's and not a base.
const OPERATIONS: [&str; 3] = ["/chat/completions", "/completions", "/embeddings"];
/// Headers that a custom upstream's key cannot travel in: they frame the request or belong to the platform.
const HEADERS_TAKEN: [&str; 10] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "accept-encoding",
    "expect",
    "te",
    "upgrade",
];

/// Reads the object at `path`; every fault is noted. `None` when there was one.
pub fn read(value: &Value, path: &str, desk: &mut Desk<'_>, faults: &mut Faults) -> Option<Backend> {
    let before = faults.0.len();
    let members = Members::of(value, path, faults)?;
    let name = upstream_name(&members, "name", faults);
    let task = members.required_text("task", faults);
    let task = task.and_then(|text| read_task(text, &members.path("task"), faults));
    let provider = members.required_text("provider", faults)?;
    let compiled = match provider {
        "openai" => {
            config(&members, "openai_config", faults).and_then(|config| openai(&config, desk, faults))
        }
        "custom" => config(&members, "custom_provider_config", faults)
            .and_then(|config| custom(&config, desk, faults)),
        "simulator" => simulator(&members, faults),
        other => providers::read(other, &members, desk, faults),
    };
    if let Some(task) = task
        && !providers::does(provider, compiled.as_ref().map(|compiled| &compiled.target), task)
    {
        let text = format!("is '{}', which '{provider}' does not do", task_text(task));
        faults.note(&members.path("task"), text);
    }
    let (Some(name), Some(task), Some(compiled)) = (name, task, compiled) else { return None };
    if faults.0.len() > before {
        return None;
    }
    let mut shown = Map::new();
    for (member, value) in [("name", name), ("provider", provider), ("task", task_text(task))] {
        shown.insert(member.to_owned(), value.into());
    }
    shown.insert(compiled.member.to_owned(), Value::Object(compiled.shown));
    let entity = ServedEntity {
        name: default_name(name),
        provider: provider.to_owned(),
        upstream_model: name.to_owned(),
        weight: 100,
        priority: 0,
        target: compiled.target,
        price: None,
    };
    Some(Backend { shown, task, entity, references: compiled.references })
}

/// The name of a task on the wire.
pub const fn task_text(task: Task) -> &'static str {
    match task {
        Task::Chat => "llm/v1/chat",
        Task::Completions => "llm/v1/completions",
        Task::Embeddings => "llm/v1/embeddings",
    }
}

/// Reads a task's name.
pub fn read_task(text: &str, path: &str, faults: &mut Faults) -> Option<Task> {
    let task =
        [Task::Chat, Task::Completions, Task::Embeddings].into_iter().find(|task| task_text(*task) == text);
    if task.is_none() {
        let text = "is unknown; use llm/v1/chat, llm/v1/completions or llm/v1/embeddings";
        faults.note(path, text);
    }
    task
}

/// The served entity's name when none is given (`databricks.md`, 2.4): the model's, with `-` for what a name
/// cannot hold.
pub fn default_name(model: &str) -> String {
    model.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect()
}

/// A provider's config, compiled.
struct Compiled {
    member: &'static str,
    shown: Map<String, Value>,
    target: Target,
    references: Vec<Option<String>>,
}

/// The provider's own config; a config of another provider is a fault.
fn config<'a>(members: &Members<'a>, own: &str, faults: &mut Faults) -> Option<Members<'a>> {
    for other in members.names().filter(|name| name.ends_with("_config") && *name != own) {
        if members.get(other).is_some() {
            faults.note(&members.path(other), "belongs to another provider");
        }
    }
    members.required_members(own, faults)
}

fn simulator(members: &Members<'_>, faults: &mut Faults) -> Option<Compiled> {
    const MEMBER: &str = "simulator_config";
    let shown = match members.get(MEMBER) {
        Some(_) => config(members, MEMBER, faults)?.map().clone(),
        None => Map::new(),
    };
    let path = members.path(MEMBER);
    let config = match serde_json::from_value::<SimulatorConfig>(Value::Object(shown.clone())) {
        Ok(config) => config,
        Err(error) => {
            faults.note(&path, format!("is not a simulator's configuration: {error}"));
            return None;
        }
    };
    if let Err(problem) = config.check() {
        faults.note(&format!("{path}.{}", problem.member), format!("must be {}", problem.rule));
        return None;
    }
    Some(Compiled { member: MEMBER, shown, target: Target::Simulator(config), references: Vec::new() })
}

fn openai(config: &Members<'_>, desk: &mut Desk<'_>, faults: &mut Faults) -> Option<Compiled> {
    const PLAIN: [&str; 5] = [
        "openai_api_type",
        "openai_api_base",
        "openai_api_version",
        "openai_deployment_name",
        "openai_organization",
    ];
    let mut shown = Map::new();
    for name in PLAIN {
        if let Some(text) = config.text(name, faults) {
            shown.insert(name.to_owned(), text.into());
        }
    }
    let kind = config.text("openai_api_type", faults).unwrap_or("openai");
    let azure = match kind {
        "openai" => false,
        "azure" => true,
        "azuread" => return entra(config, desk, faults, shown),
        _ => {
            faults.note(&config.path("openai_api_type"), "must be openai, azure or azuread");
            return None;
        }
    };
    let base = if azure {
        config.required_text("openai_api_base", faults)
    } else {
        config.text("openai_api_base", faults)
    };
    let base = check_base(base.unwrap_or(OPENAI_BASE), &config.path("openai_api_base"), desk, faults);
    let paths = if azure { azure_paths(config, faults) } else { Some(UpstreamPaths::OpenAi) };
    let organization = config.text("openai_organization", faults);
    if organization.is_some_and(|text| !is_header_value(text)) {
        faults.note(&config.path("openai_organization"), "must be visible ASCII characters");
    }
    let credential = credential(config, "openai_api_key", Form::Header, desk, faults, &mut shown);
    let (base, paths, credential) = (base?, paths?, credential?);
    let sealed = seal(&credential, &base, &config.path("openai_api_key"), desk, faults)?;
    let auth = if azure {
        UpstreamAuth::Header { name: "api-key".to_owned(), sealed }
    } else {
        UpstreamAuth::Bearer { sealed }
    };
    let organization = organization.map(ToOwned::to_owned);
    let target = Target::Http(Upstream { base, paths, auth, organization });
    Some(Compiled { member: "openai_config", shown, target, references: Vec::from([credential.reference]) })
}

/// Azure with a client of Microsoft Entra instead of a key.
fn entra(
    config: &Members<'_>,
    desk: &mut Desk<'_>,
    faults: &mut Faults,
    mut shown: Map<String, Value>,
) -> Option<Compiled> {
    const SECRET: &str = "microsoft_entra_client_secret";
    let base = config.required_text("openai_api_base", faults);
    let base = base.and_then(|base| check_base(base, &config.path("openai_api_base"), desk, faults));
    let paths = azure_paths(config, faults);
    let mut id = |name: &str| {
        let text = word(config, name, faults)?;
        shown.insert(name.to_owned(), text.into());
        Some(text.to_owned())
    };
    let (tenant, client) = (id("microsoft_entra_tenant_id"), id("microsoft_entra_client_id"));
    // Weir's own, for clouds beside the public one.
    let authority = config.text("microsoft_entra_authority", faults);
    let authority = match authority {
        Some(text) => {
            shown.insert("microsoft_entra_authority".to_owned(), text.into());
            Some(check_base(text, &config.path("microsoft_entra_authority"), desk, faults)?)
        }
        None => None,
    };
    let credential = credential(config, SECRET, Form::Text, desk, faults, &mut shown);
    let (base, paths, tenant, client, credential) = (base?, paths?, tenant?, client?, credential?);
    let sealed = seal(&credential, &base, &config.path(SECRET), desk, faults)?;
    let auth = UpstreamAuth::Entra { tenant, client, sealed, authority };
    let target = Target::Http(Upstream { base, paths, auth, organization: None });
    Some(Compiled { member: "openai_config", shown, target, references: Vec::from([credential.reference]) })
}

fn azure_paths(config: &Members<'_>, faults: &mut Faults) -> Option<UpstreamPaths> {
    let mut part = |name: &str| word(config, name, faults).map(ToOwned::to_owned);
    let (api_version, deployment) = (part("openai_api_version"), part("openai_deployment_name"));
    Some(UpstreamPaths::AzureOpenAi { deployment: deployment?, api_version: api_version? })
}

/// A member that becomes part of an address: letters, digits, '.', '_' or '-'.
fn word<'a>(config: &Members<'a>, name: &str, faults: &mut Faults) -> Option<&'a str> {
    let text = config.required_text(name, faults)?;
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.chars().all(legal) && text.len() <= 128 && text != "." && text != ".." {
        return Some(text);
    }
    faults.note(&config.path(name), "must be letters, digits, '.', '_' or '-'");
    None
}

fn custom(config: &Members<'_>, desk: &mut Desk<'_>, faults: &mut Faults) -> Option<Compiled> {
    let mut shown = Map::new();
    let url = config.required_text("custom_provider_url", faults);
    let base = url.and_then(|url| check_base(url, &config.path("custom_provider_url"), desk, faults));
    if let Some(url) = url {
        shown.insert("custom_provider_url".to_owned(), url.into());
    }
    let bearer = config.members("bearer_token_auth", faults);
    let header = config.members("api_key_auth", faults);
    if bearer.is_some() && header.is_some() {
        faults.note(&config.path("api_key_auth"), "must not be given beside bearer_token_auth");
        return None;
    }
    let mut references = Vec::new();
    let auth = if let Some(auth) = bearer {
        let mut inner = Map::new();
        let credential = credential(&auth, "token", Form::Header, desk, faults, &mut inner)?;
        shown.insert("bearer_token_auth".to_owned(), Value::Object(inner));
        let sealed = seal(&credential, base.as_deref()?, &auth.path("token"), desk, faults)?;
        references.push(credential.reference);
        UpstreamAuth::Bearer { sealed }
    } else if let Some(auth) = header {
        let mut inner = Map::new();
        let name = header_name(&auth, faults);
        if let Some(name) = &name {
            inner.insert("key".to_owned(), name.as_str().into());
        }
        let credential = credential(&auth, "value", Form::Header, desk, faults, &mut inner)?;
        shown.insert("api_key_auth".to_owned(), Value::Object(inner));
        let sealed = seal(&credential, base.as_deref()?, &auth.path("value"), desk, faults)?;
        references.push(credential.reference);
        UpstreamAuth::Header { name: name?, sealed }
    } else {
        UpstreamAuth::None
    };
    let base = base?;
    let exact = OPERATIONS.iter().any(|operation| base.ends_with(operation));
    let paths = if exact { UpstreamPaths::Exact } else { UpstreamPaths::OpenAi };
    let target = Target::Http(Upstream { base, paths, auth, organization: None });
    Some(Compiled { member: "custom_provider_config", shown, target, references })
}

fn header_name(auth: &Members<'_>, faults: &mut Faults) -> Option<String> {
    let name = auth.required_text("key", faults)?.to_ascii_lowercase();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let taken =
        HEADERS_TAKEN.contains(&name.as_str()) || name.starts_with("cf-") || name.starts_with("proxy-");
    if name.len() > 64 || !name.bytes().all(legal) || taken {
        faults.note(&auth.path("key"), "must be the name of a header that Weir does not set itself");
        return None;
    }
    Some(name)
}

fn check_base(text: &str, path: &str, desk: &Desk<'_>, faults: &mut Faults) -> Option<String> {
    let checked = address::check(text, desk.settings.allow_private_upstreams);
    checked.map_err(|fault| faults.note(path, fault.to_string())).ok()
}

fn upstream_name<'a>(members: &Members<'a>, member: &str, faults: &mut Faults) -> Option<&'a str> {
    let name = members.required_text(member, faults)?;
    if name.len() > MODEL_BYTES_MAX || name.chars().any(char::is_control) {
        faults.note(&members.path(member), "must be at most 256 bytes without control characters");
        return None;
    }
    Some(name)
}
