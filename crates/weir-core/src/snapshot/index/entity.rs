//! A served entity made ready to be called: its addresses, its opened credential, what is wrong with it.
//!
//! Base. Decides which headers show to an upstream who calls, and what address a call goes to; not whether it is
//! called (`route`) nor what is said (`translate`).

use crate::seal::{SealKey, open};
use crate::sigv4::AwsKeys;
use crate::snapshot::token::TokenSource;
use crate::snapshot::{Dialect, ServedEntity, Target, Task, Upstream, UpstreamAuth, UpstreamPaths};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Why a served entity cannot be called as it is configured. The rest of the snapshot is not affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntityFault {
    /// Its credential does not open: another seal key, or damaged.
    #[error("the credential cannot be opened")]
    Sealed,
    /// A header made from it would have characters that no header may have.
    #[error("a header would have illegal characters")]
    IllegalHeader,
    /// Its provider is called in a dialect or with a credential that is not spoken here yet.
    #[error("the provider is not supported yet")]
    Unspoken,
}

/// A served entity, ready to be called. Its headers hold an opened credential: `Debug` does not show them.
pub struct ReadyEntity {
    urls: [String; 3],
    headers: Vec<(String, String)>,
    aws: Option<AwsKeys>,
    /// Why it cannot be called; its headers are empty then.
    pub fault: Option<EntityFault>,
    /// Where the token comes from that it asks for beside its headers.
    pub token: Option<TokenSource>,
}

impl core::fmt::Debug for ReadyEntity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ReadyEntity").field("fault", &self.fault).finish_non_exhaustive()
    }
}

impl ReadyEntity {
    pub(super) fn new(entity: &ServedEntity, seal_key: Option<&SealKey>) -> Self {
        let upstream = match &entity.target {
            Target::Simulator(_) => {
                return Self {
                    urls: [const { String::new() }; 3],
                    headers: Vec::new(),
                    aws: None,
                    fault: None,
                    token: None,
                };
            }
            Target::Http(upstream) => upstream,
        };
        let urls = ["chat/completions", "completions", "embeddings"].map(|path| address(upstream, path));
        let token = match TokenSource::of(upstream, |sealed| opened(upstream, sealed, seal_key).ok()) {
            None => Ok(None),
            Some(source) => source.map(Some).ok_or(EntityFault::Sealed),
        };
        match headers(entity, upstream, seal_key).and_then(|headers| Ok((headers, token?))) {
            Ok(((headers, aws), token)) => Self { urls, headers, aws, fault: None, token },
            Err(fault) => Self { urls, headers: Vec::new(), aws: None, fault: Some(fault), token: None },
        }
    }

    /// What its calls are signed with, if they are.
    pub const fn aws(&self) -> Option<&AwsKeys> {
        self.aws.as_ref()
    }

    /// The whole address for a task; empty for the simulator.
    pub fn url(&self, task: Task) -> &str {
        let [chat, completions, embeddings] = &self.urls;
        match task {
            Task::Chat => chat,
            Task::Completions => completions,
            Task::Embeddings => embeddings,
        }
    }

    /// Headers that the upstream needs: its credential and organization. Names are lower case, values checked.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }
}

/// The address of `operation` (a path without a leading slash) at an upstream.
pub fn address(upstream: &Upstream, operation: &str) -> String {
    let base = upstream.base.trim_end_matches('/');
    match &upstream.paths {
        UpstreamPaths::OpenAi => format!("{base}/{operation}"),
        UpstreamPaths::AzureOpenAi { deployment, api_version } => {
            format!("{base}/openai/deployments/{deployment}/{operation}?api-version={api_version}")
        }
        UpstreamPaths::Exact | UpstreamPaths::Native(_) => upstream.base.clone(),
    }
}

/// The address of a passed call's `path` (without a leading slash) at an upstream. Azure's dated API has some of them
/// under a deployment.
pub fn passed_address(upstream: &Upstream, path: &str, of_deployment: bool) -> String {
    match &upstream.paths {
        UpstreamPaths::AzureOpenAi { api_version, .. } if !of_deployment => {
            format!("{}/openai/{path}?api-version={api_version}", upstream.base.trim_end_matches('/'))
        }
        UpstreamPaths::OpenAi
        | UpstreamPaths::Exact
        | UpstreamPaths::Native(_)
        | UpstreamPaths::AzureOpenAi { .. } => address(upstream, path),
    }
}

/// What an upstream calls a served entity's model where a passed body names it: Azure its deployment.
pub fn model_for(entity: &ServedEntity) -> &str {
    match &entity.target {
        Target::Http(Upstream { paths: UpstreamPaths::AzureOpenAi { deployment, .. }, .. }) => deployment,
        Target::Http(_) | Target::Simulator(_) => &entity.upstream_model,
    }
}

/// What shows to an upstream who calls: headers, or keys to sign with.
type Credential = (Vec<(String, String)>, Option<AwsKeys>);

fn headers(
    entity: &ServedEntity,
    upstream: &Upstream,
    seal_key: Option<&SealKey>,
) -> Result<Credential, EntityFault> {
    let opened = |sealed: &str| opened(upstream, sealed, seal_key);
    let mut headers = Vec::with_capacity(2);
    match &upstream.auth {
        // A token is fetched when it is needed.
        UpstreamAuth::None | UpstreamAuth::ServiceAccount { .. } | UpstreamAuth::Entra { .. } => {}
        UpstreamAuth::Bearer { sealed } => {
            headers.push(("authorization".to_owned(), format!("Bearer {}", opened(sealed)?)));
        }
        UpstreamAuth::Header { name, sealed } => {
            headers.push((name.to_ascii_lowercase(), opened(sealed)?));
        }
        UpstreamAuth::Aws { id, secret, token } => {
            let keys = AwsKeys {
                access_key_id: opened(id)?,
                secret_access_key: opened(secret)?,
                session_token: token.as_deref().map(opened).transpose()?,
            };
            if keys.session_token.as_deref().is_some_and(|token| !is_header_value(token)) {
                return Err(EntityFault::IllegalHeader);
            }
            return Ok((headers, Some(keys)));
        }
    }
    if matches!(upstream.paths, UpstreamPaths::Native(_)) && Dialect::of(entity).is_none() {
        return Err(EntityFault::Unspoken);
    }
    if let Some(organization) = &upstream.organization {
        headers.push(("openai-organization".to_owned(), organization.clone()));
    }
    if headers.iter().all(|(name, value)| is_header_name(name) && is_header_value(value)) {
        Ok((headers, None))
    } else {
        Err(EntityFault::IllegalHeader)
    }
}

fn opened(upstream: &Upstream, sealed: &str, seal_key: Option<&SealKey>) -> Result<String, EntityFault> {
    let key = seal_key.ok_or(EntityFault::Sealed)?;
    open(key, &upstream.base, sealed).map_err(|_| EntityFault::Sealed)
}

fn is_header_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(legal)
}

pub(super) fn is_header_value(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}
