//! Stage 0: what callers speak. Method, host, path and query become one [`Disposition`].
//!
//! Decides the surface, the operation and the names that the address holds, for every route of `design.md`,
//! section 1; what is known and not served yet is refused here, in words, never by a bare 404. It does not look
//! at headers or bodies. On the data path it allocates nothing, except a name that was percent-encoded.
//!
//! Literal segments match byte for byte: an encoded, doubled, missing or trailing slash, `..` and the like match
//! no route or are part of a name, and a name is looked up, never followed.

mod address;
mod azure;
mod databricks;
mod gemini;
mod headers;
mod openai;
mod passage;

use crate::snapshot::Task;
use crate::wire::bounds::URL_BYTES_MAX;
use crate::wire::error::{WireError, echo};
use crate::wire::inference::Schema;
use address::{Address, Host, Segments};
use alloc::borrow::Cow;

pub use gemini::GeminiAsk;
pub use headers::{HEADER_COUNT, HEADERS, Header, HeaderValues, STREAMS, wanted};
pub use passage::{AUDIO, IMAGES, Matter, Passage, RESPONSES, query_without_version};

/// A set of routes with a dialect, an auth form and an error form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Surface {
    /// Azure AI model inference, `/models/*` (`azure.md`, A).
    ModelInference,
    /// Azure `OpenAI`, dated, `/openai/*` (`azure.md`, B1).
    AzureOpenAi,
    /// Azure `OpenAI`, `/openai/v1/*` (`azure.md`, B2).
    AzureOpenAiV1,
    /// A serverless endpoint by its host, or under `/serverless/{name}` (`azure.md`, A).
    Serverless,
    /// Databricks' query plane, `/serving-endpoints/*` and `/ai-gateway/*` (`databricks.md`, 10).
    ServingEndpoints,
    /// `OpenAI`, `/v1/*` (`providers.md`, 2).
    OpenAi,
    /// Anthropic Messages, `/v1/messages` (`providers.md`, 4).
    Anthropic,
    /// The Gemini API below a base of Databricks (`databricks.md`, 1.2, Q7).
    Gemini,
    /// `MLflow`'s generic gateway (`databricks.md`, 11.5).
    MlflowGateway,
    /// Azure Resource Manager (`azure.md`, C).
    Arm,
    /// Databricks' management plane, `/api/2.0/*` (`databricks.md`, 1.1).
    DatabricksApi,
    /// Weir's own management API, and everything that is nobody's.
    Weir,
}

impl Surface {
    /// The word for records and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ModelInference => "model_inference",
            Self::AzureOpenAi => "azure_openai",
            Self::AzureOpenAiV1 => "azure_openai_v1",
            Self::Serverless => "serverless",
            Self::ServingEndpoints => "serving_endpoints",
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::MlflowGateway => "mlflow_gateway",
            Self::Arm => "arm",
            Self::DatabricksApi => "databricks_api",
            Self::Weir => "weir",
        }
    }
}

/// Operation of a chat completion, as Azure's texts name it (`azure.md`, B7).
pub const CHAT: &str = "ChatCompletions_Create";
/// Operation of a text completion.
pub const COMPLETIONS: &str = "Completions_Create";
/// Operation of embeddings.
pub const EMBEDDINGS: &str = "Embeddings_Create";
/// Operation of `/serving-endpoints/{name}/invocations`, whose task is the endpoint's.
pub const INVOCATIONS: &str = "ServingEndpoints_Query";
/// Operation of a message in Anthropic's dialect.
pub const MESSAGES: &str = "Messages_Create";
/// Operation of a call of the Gemini API.
pub const GENERATE: &str = "GenerateContent";
/// Operation of everything that has no name of its own.
pub const OTHER: &str = "Request";

/// What a request is, by its method and address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition<'a> {
    /// A call of a model.
    Data(DataRoute<'a>),
    /// A call of a management API.
    Management(ManagementRoute<'a>),
    /// A call about the installation itself.
    Infra(Infra),
    /// Nothing that is served; the error goes out in `surface`'s form.
    Refused {
        /// Whose error form.
        surface: Surface,
        /// For the error's text and form, as in [`DataRoute::operation`].
        operation: &'static str,
        /// Why.
        error: WireError,
    },
}

/// What a call of the data path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks<'a> {
    /// A model's answer to a JSON body in the dialect of the route's task.
    Answer,
    /// As [`Self::Answer`], by the schema of the model inference API (`azure.md`, A5): what is not in it is refused,
    /// or what the header `extra-parameters` says.
    Schema(Schema),
    /// A model's answer in the dialect of Anthropic Messages, or how many tokens the question for it has.
    Messages {
        /// Whether only the count is asked for.
        counts: bool,
    },
    /// What a model behind the Gemini API answers to a body of that API.
    Gemini(GeminiAsk),
    /// The deployments that the caller may query, or the one of this name (`azure.md`, B1 and B2).
    Models {
        /// The one that is asked for; all, if absent.
        id: Option<Cow<'a, str>>,
        /// Whether the form is the older one: that of `/openai/deployments`, of `MLflow`'s routes.
        deployments: bool,
    },
    /// What the deployment's model is (`azure.md`, A7).
    Info,
    /// The deployment's `OpenAPI` document (`azure.md`, A1).
    Document,
    /// Whatever the upstream answers.
    Pass(Passage<'a>),
}

impl Asks<'_> {
    /// Whether only the count of a question's tokens is asked for.
    pub fn counts(&self) -> bool {
        match self {
            Self::Messages { counts } => *counts,
            Self::Pass(passage) => passage.counts(),
            // The upstream counts for callers of the Gemini API.
            Self::Answer
            | Self::Schema(_)
            | Self::Gemini(_)
            | Self::Models { .. }
            | Self::Info
            | Self::Document => false,
        }
    }
}

/// A call of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataRoute<'a> {
    /// What the caller speaks.
    pub surface: Surface,
    /// What is asked for; `None` where the deployment's own task decides (`…/invocations`).
    pub task: Option<Task>,
    /// What kind of call it is.
    pub asks: Asks<'a>,
    /// The deployment, where the address names it.
    pub name: Option<Cow<'a, str>>,
    /// The account, where the host names it; unchecked text.
    pub account: Option<&'a str>,
    /// One of this module's constants.
    pub operation: &'static str,
}

/// A call of a management API. What its path means is decided by `control`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManagementRoute<'a> {
    /// [`Surface::Arm`], [`Surface::DatabricksApi`] or [`Surface::Weir`].
    pub surface: Surface,
    /// With its leading slash, as it was written.
    pub path: &'a str,
    /// Without the question mark, as it was written.
    pub query: &'a str,
    /// The account, where the host names it; unchecked text.
    pub account: Option<&'a str>,
}

/// A call about the installation itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Infra {
    /// `GET /healthz`: the Worker answers.
    Healthz,
    /// `GET /readyz`: a snapshot is at hand.
    Readyz,
    /// `GET /metrics`: Prometheus text, for the administrator.
    Metrics,
    /// `GET /health`: what `MLflow`'s gateway answers there (`databricks.md`, 11.5).
    Health,
    /// `GET /.well-known/databricks-config`: for everyone, always fast (`databricks.md`, 11.3 and 12.1).
    DatabricksConfig,
}

/// A request on its way through this stage.
#[derive(Clone, Copy)]
struct Asked<'a> {
    method: &'a str,
    path: &'a str,
    address: Address<'a>,
    account: Option<&'a str>,
}

/// Decides what a request is. `url` is absolute, as JavaScript's `request.url` gives it. Never fails: what is no
/// route is [`Disposition::Refused`].
pub fn classify<'a>(method: &'a str, url: &'a str) -> Disposition<'a> {
    let too_long = u32::try_from(url.len()).map_or(true, |length| length > URL_BYTES_MAX);
    let Some(address) = Address::parse(url) else {
        return refuse(Surface::Weir, OTHER, unknown_route(method, url));
    };
    let account = match address.host {
        Host::Account(account) => Some(account),
        Host::Plain | Host::Serverless(_) => None,
    };
    let asked = Asked { method, path: address.path, address, account };
    if too_long {
        return refuse(surface_of(&address), OTHER, WireError::UrlTooLong { max: URL_BYTES_MAX });
    }
    let segments = Segments::of(address.path);
    let segments = segments.as_slice();
    if let Host::Serverless(name) = address.host {
        return match segments {
            ["healthz" | "readyz" | "metrics"] => asked.infra(segments),
            rest => azure::serverless(&asked, name, rest),
        };
    }
    match segments {
        ["models", rest @ ..] => azure::model_inference(&asked, rest),
        ["openai", "v1", rest @ ..] => openai::v1(&asked, Surface::AzureOpenAiV1, rest),
        ["openai", rest @ ..] => azure::dated(&asked, rest),
        ["v1", "messages", rest @ ..] => openai::messages(&asked, rest),
        ["v1", rest @ ..] => openai::v1(&asked, Surface::OpenAi, rest),
        ["serving-endpoints", rest @ ..] => databricks::serving_endpoints(&asked, rest),
        ["ai-gateway", rest @ ..] => databricks::ai_gateway(&asked, rest),
        ["serverless", name, rest @ ..] => azure::serverless(&asked, name, rest),
        ["endpoints" | "gateway", rest @ ..] => databricks::mlflow_query(&asked, rest),
        ["api", "weir", ..] => asked.management(Surface::Weir),
        ["api", rest @ ..] => databricks::api(&asked, rest),
        ["oidc", ..] => asked.management(Surface::DatabricksApi),
        [first, ..] if is_arm(first) => asked.management(Surface::Arm),
        rest => asked.infra(rest),
    }
}

/// Whose error form an address calls for, whatever its method.
pub fn form_of(url: &str) -> Surface {
    Address::parse(url).map_or(Surface::Weir, |address| surface_of(&address))
}

/// Whether a path's first segment is one of Azure Resource Manager, which compares without case.
fn is_arm(first: &str) -> bool {
    first.eq_ignore_ascii_case("subscriptions") || first.eq_ignore_ascii_case("providers")
}

/// The surface that an address belongs to, for errors about the address as a whole.
fn surface_of(address: &Address<'_>) -> Surface {
    if let Host::Serverless(_) = address.host {
        return Surface::Serverless;
    }
    let segments = Segments::of(address.path);
    match segments.as_slice() {
        ["models", ..] => Surface::ModelInference,
        ["openai", "v1", ..] => Surface::AzureOpenAiV1,
        ["openai", ..] => Surface::AzureOpenAi,
        ["v1", "messages", ..] | ["serving-endpoints" | "ai-gateway", "anthropic", "v1", ..] => {
            Surface::Anthropic
        }
        ["v1", ..] => Surface::OpenAi,
        ["serving-endpoints" | "ai-gateway" | "gateway", "gemini", version, ..]
            if gemini::is_version(version) =>
        {
            Surface::Gemini
        }
        ["serving-endpoints" | "ai-gateway", ..] => Surface::ServingEndpoints,
        ["serverless", _, ..] => Surface::Serverless,
        ["endpoints" | "gateway", ..]
        | ["api", "2.0", "endpoints", ..]
        | ["api", "2.0" | "3.0", "gateway", ..] => Surface::MlflowGateway,
        ["api", "weir", ..] => Surface::Weir,
        ["api" | "oidc" | ".well-known", ..] => Surface::DatabricksApi,
        [first, ..] if is_arm(first) => Surface::Arm,
        _ => match address.host {
            Host::Account(_) => Surface::AzureOpenAi,
            Host::Plain | Host::Serverless(_) => Surface::Weir,
        },
    }
}

fn refuse<'a>(surface: Surface, operation: &'static str, error: WireError) -> Disposition<'a> {
    Disposition::Refused { surface, operation, error }
}

fn unknown_route(method: &str, path: &str) -> WireError {
    WireError::UnknownRoute { method: echo(method), path: echo(path) }
}

impl<'a> Asked<'a> {
    /// A call of a model; only POST will do. `name` is a segment of the path, or a host's label.
    fn data(
        &self,
        surface: Surface,
        task: Option<Task>,
        operation: &'static str,
        name: Option<&'a str>,
    ) -> Disposition<'a> {
        if self.method != "POST" {
            return self.wrong_method(surface, operation, "POST");
        }
        self.named(surface, task, Asks::Answer, operation, name)
    }

    /// As [`Self::data`], of a chat in another dialect; the body names the deployment.
    fn posted(&self, surface: Surface, asks: Asks<'a>, operation: &'static str) -> Disposition<'a> {
        if self.method != "POST" {
            return self.wrong_method(surface, operation, "POST");
        }
        self.named(surface, Some(Task::Chat), asks, operation, None)
    }

    /// As [`Self::data`], by a schema of the model inference API.
    fn checked(
        &self,
        surface: Surface,
        schema: Schema,
        operation: &'static str,
        name: Option<&'a str>,
    ) -> Disposition<'a> {
        if self.method != "POST" {
            return self.wrong_method(surface, operation, "POST");
        }
        let task = match schema {
            Schema::Chat => Task::Chat,
            Schema::Completions => Task::Completions,
            Schema::Embeddings | Schema::ImageEmbeddings => Task::Embeddings,
        };
        self.named(surface, Some(task), Asks::Schema(schema), operation, name)
    }

    /// A question that the snapshot answers; only GET will do.
    fn read(&self, surface: Surface, asks: Asks<'a>, name: Option<&'a str>) -> Disposition<'a> {
        if self.method != "GET" {
            return self.wrong_method(surface, OTHER, "GET");
        }
        self.named(surface, None, asks, OTHER, name)
    }

    /// The list of models, or one of it.
    fn models(&self, surface: Surface, id: Option<&'a str>, deployments: bool) -> Disposition<'a> {
        let id = match id.map(address::name) {
            None => None,
            Some(Some(id)) => Some(id),
            Some(None) => return refuse(surface, OTHER, WireError::IllegalName),
        };
        self.read(surface, Asks::Models { id, deployments }, None)
    }

    fn named(
        &self,
        surface: Surface,
        task: Option<Task>,
        asks: Asks<'a>,
        operation: &'static str,
        name: Option<&'a str>,
    ) -> Disposition<'a> {
        let name = match name.map(address::name) {
            None => None,
            Some(Some(name)) => Some(name),
            Some(None) => return refuse(surface, operation, WireError::IllegalName),
        };
        Disposition::Data(DataRoute { surface, task, asks, name, account: self.account, operation })
    }

    fn management(&self, surface: Surface) -> Disposition<'a> {
        Disposition::Management(ManagementRoute {
            surface,
            path: self.path,
            query: self.address.query,
            account: self.account,
        })
    }

    /// What is known and not served; with a method that the operation has, else that is the first complaint.
    fn unsupported(&self, surface: Surface, allowed: &'static str, what: &'static str) -> Disposition<'a> {
        if allowed.split(", ").any(|method| method == self.method) {
            refuse(surface, OTHER, WireError::Unsupported { what })
        } else {
            self.wrong_method(surface, OTHER, allowed)
        }
    }

    fn unknown(&self, surface: Surface) -> Disposition<'a> {
        refuse(surface, OTHER, unknown_route(self.method, self.path))
    }

    fn wrong_method(
        &self,
        surface: Surface,
        operation: &'static str,
        allowed: &'static str,
    ) -> Disposition<'a> {
        let (method, path) = (echo(self.method), echo(self.path));
        refuse(surface, operation, WireError::WrongMethod { method, path, allowed })
    }

    /// Calls about the installation, and whatever is nobody's.
    fn infra(&self, segments: &[&str]) -> Disposition<'a> {
        let infra = match segments {
            ["healthz"] => Infra::Healthz,
            ["readyz"] => Infra::Readyz,
            ["metrics"] => Infra::Metrics,
            ["health"] => Infra::Health,
            [".well-known", "databricks-config"] => Infra::DatabricksConfig,
            _ => return self.unknown(surface_of(&self.address)),
        };
        if matches!(self.method, "GET" | "HEAD") {
            Disposition::Infra(infra)
        } else {
            self.wrong_method(surface_of(&self.address), OTHER, "GET, HEAD")
        }
    }
}

#[cfg(test)]
mod tests;
