//! The request headers that core reads, and which of them a route needs.
//!
//! Stage 0. Decides the list and, per route, the selection: each header that the driver reads costs a crossing,
//! so it reads only those that [`wanted`] names. Sources: `azure.md` A4, `databricks.md` 10.1.

use super::{Asks, DataRoute, Disposition, Surface};

/// A request header that core reads; its value is the place in [`HEADERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// `authorization`: a key or token as Bearer.
    Authorization,
    /// `api-key`: a key, on Azure's surfaces.
    ApiKey,
    /// `x-api-key`: a key, on Anthropic's surface.
    XApiKey,
    /// `x-ms-client-request-id`: echoed on Azure's surfaces.
    ClientRequestId,
    /// `x-ms-model-mesh-model-name`: names the deployment where the body does not.
    ModelMeshModelName,
    /// `azureml-model-deployment`: names the deployment where neither body nor the header above does.
    AzuremlModelDeployment,
    /// `extra-parameters`: what to do with members that the model inference API does not know.
    ExtraParameters,
    /// `cf-connecting-ip`: the caller's address as Cloudflare saw it; network rules are about it.
    ClientAddress,
    /// `content-type`: what a passed body is.
    ContentType,
    /// `openai-beta`: passed on with a passed call.
    OpenAiBeta,
    /// `x-weir-deployment`: names the deployment of a passed call that has no other place for it.
    Deployment,
    /// `x-weir-session`: names the caller's session; its calls stay with one entity.
    Session,
    /// `x-weir-explain`: the administrator asks how the answer came about.
    Explain,
    /// `x-goog-api-key`: a key, on the surface of the Gemini API.
    XGoogApiKey,
    /// `anthropic-version`: goes on to an upstream that speaks the caller's dialect.
    AnthropicVersion,
    /// `anthropic-beta`: as above.
    AnthropicBeta,
}

/// How many headers there are.
pub const HEADER_COUNT: usize = 16;

/// All request headers that core ever reads, lower case, in the order of [`Header`].
pub const HEADERS: [&str; HEADER_COUNT] = [
    "authorization",
    "api-key",
    "x-api-key",
    "x-ms-client-request-id",
    "x-ms-model-mesh-model-name",
    "azureml-model-deployment",
    "extra-parameters",
    "cf-connecting-ip",
    "content-type",
    "openai-beta",
    "x-weir-deployment",
    "x-weir-session",
    "x-weir-explain",
    "x-goog-api-key",
    "anthropic-version",
    "anthropic-beta",
];

impl Header {
    /// All headers, in the order of [`HEADERS`].
    pub const ALL: [Self; HEADER_COUNT] = [
        Self::Authorization,
        Self::ApiKey,
        Self::XApiKey,
        Self::ClientRequestId,
        Self::ModelMeshModelName,
        Self::AzuremlModelDeployment,
        Self::ExtraParameters,
        Self::ClientAddress,
        Self::ContentType,
        Self::OpenAiBeta,
        Self::Deployment,
        Self::Session,
        Self::Explain,
        Self::XGoogApiKey,
        Self::AnthropicVersion,
        Self::AnthropicBeta,
    ];

    /// The header's bit in [`wanted`].
    pub const fn bit(self) -> u32 {
        match self {
            Self::Authorization => 1,
            Self::ApiKey => 1 << 1,
            Self::XApiKey => 1 << 2,
            Self::ClientRequestId => 1 << 3,
            Self::ModelMeshModelName => 1 << 4,
            Self::AzuremlModelDeployment => 1 << 5,
            Self::ExtraParameters => 1 << 6,
            Self::ClientAddress => 1 << 7,
            Self::ContentType => 1 << 8,
            Self::OpenAiBeta => 1 << 9,
            Self::Deployment => 1 << 10,
            Self::Session => 1 << 11,
            Self::Explain => 1 << 12,
            Self::XGoogApiKey => 1 << 13,
            Self::AnthropicVersion => 1 << 14,
            Self::AnthropicBeta => 1 << 15,
        }
    }
}

/// The values of the headers that were read, by [`Header`]. An empty value counts as absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeaderValues<'a> {
    slots: [Option<&'a str>; HEADER_COUNT],
}

impl<'a> HeaderValues<'a> {
    /// Values in the order of [`HEADERS`]; `None` for those that were not read or not sent.
    pub const fn new(slots: [Option<&'a str>; HEADER_COUNT]) -> Self {
        Self { slots }
    }

    /// The header's value without surrounding white space; `None` if it is absent or empty.
    pub fn get(&self, header: Header) -> Option<&'a str> {
        let at = usize::try_from(header.bit().trailing_zeros()).ok()?;
        let value = self.slots.get(at).copied().flatten()?.trim_ascii();
        (!value.is_empty()).then_some(value)
    }
}

/// In [`wanted`]: the body is not to be read whole, but as far as core asks, and streamed from there.
pub const STREAMS: u32 = 1 << 30;

/// Which headers are to be read for this request: bit *i* stands for `HEADERS[i]`. Beside them [`STREAMS`].
pub fn wanted(disposition: &Disposition<'_>) -> u32 {
    let address = matches!(disposition, Disposition::Data(_)).then_some(Header::ClientAddress.bit());
    let passed = match disposition {
        Disposition::Data(DataRoute { asks: Asks::Pass(passage), .. }) => {
            let streams = if passage.form { STREAMS } else { 0 };
            Header::ContentType.bit() | Header::OpenAiBeta.bit() | Header::Deployment.bit() | streams
        }
        Disposition::Data(_)
        | Disposition::Management(_)
        | Disposition::Infra(_)
        | Disposition::Refused { .. } => 0,
    };
    address.unwrap_or(0) | passed | named(disposition)
}

/// Those that the route itself needs.
fn named(disposition: &Disposition<'_>) -> u32 {
    const KEYS: u32 = Header::Authorization.bit() | Header::ApiKey.bit();
    const AZURE: u32 = KEYS | Header::ClientRequestId.bit();
    match disposition {
        Disposition::Data(route) => match route.surface {
            Surface::ModelInference => {
                AZURE
                    | Header::ModelMeshModelName.bit()
                    | Header::AzuremlModelDeployment.bit()
                    | Header::ExtraParameters.bit()
            }
            Surface::Serverless => AZURE | Header::ExtraParameters.bit(),
            Surface::AzureOpenAi | Surface::AzureOpenAiV1 => AZURE,
            Surface::Anthropic => {
                KEYS | Header::XApiKey.bit() | Header::AnthropicVersion.bit() | Header::AnthropicBeta.bit()
            }
            Surface::Gemini => KEYS | Header::XGoogApiKey.bit(),
            Surface::OpenAi
            | Surface::ServingEndpoints
            | Surface::MlflowGateway
            | Surface::Arm
            | Surface::DatabricksApi
            | Surface::Weir => KEYS,
        },
        Disposition::Management(_) => KEYS,
        Disposition::Infra(_) => Header::Authorization.bit(),
        Disposition::Refused { surface, .. } => match surface {
            Surface::ModelInference | Surface::Serverless | Surface::AzureOpenAi | Surface::AzureOpenAiV1 => {
                Header::ClientRequestId.bit()
            }
            Surface::Anthropic
            | Surface::Gemini
            | Surface::OpenAi
            | Surface::ServingEndpoints
            | Surface::MlflowGateway
            | Surface::Arm
            | Surface::DatabricksApi
            | Surface::Weir => 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_list_agree() {
        for (at, header) in Header::ALL.into_iter().enumerate() {
            assert_eq!(header.bit(), 1 << at, "{}", HEADERS[at]);
            let mut slots = [None; HEADER_COUNT];
            slots[at] = Some(" v ");
            assert_eq!(HeaderValues::new(slots).get(header), Some("v"));
        }
    }
}
