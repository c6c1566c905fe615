//! From an account's state to the snapshot that isolates route by.
//!
//! Decides which deployments can be called, which limits hold for them and which keys open the account; not how
//! they are found (`snapshot::index`). Limits: `azure.md` B4 and `design.md` section 8, "Limits".

mod endpoint;

use super::arm::deployments::version_in_force;
use super::arm::{capacity, resource, subscriptions};
use super::databricks::foundation;
use super::state::{AccountState, Backend, CatalogRow, DeploymentRow, DeploymentSpec, EndpointSpec};
use super::{catalog, content, defaults};
use crate::id::PrincipalId;
use crate::snapshot::routing::Routing;
use crate::snapshot::{
    Deadlines, Deployment, KeyEntry, Limit, LimitScope, Meter, Price, ServedEntity, Serverless, Snapshot,
    Unready,
};
use crate::time::Millis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Period of every limit of the two clouds.
const MINUTE: Millis = Millis::from_secs(60);

/// The snapshot of `state` at its version.
pub fn of(state: &AccountState) -> Snapshot {
    Snapshot {
        account: state.account.clone(),
        version: state.version,
        keys: keys(state),
        deployments: deployments(state),
        unready: unready(state),
        network: resource::network(state),
        content: content::rules(state),
        access: super::access::rights::compile(state),
    }
}

/// Every deployment that can be called, those that exist by themselves among them.
fn deployments(state: &AccountState) -> Vec<Deployment> {
    let own = state.deployments.values().filter_map(|row| deployment(state, row));
    let system = foundation::endpoints(state).into_iter().filter_map(|(row, spec)| {
        let row = DeploymentRow { spec: DeploymentSpec::ServingEndpoint(spec), ..row };
        deployment(state, &row)
    });
    own.chain(system).collect()
}

/// The serving endpoints that are there and cannot be called.
fn unready(state: &AccountState) -> Vec<Unready> {
    let rows = state.deployments.values().filter_map(|row| Some((row, row.endpoint()?)));
    let idle = rows
        .filter(|(_, spec)| endpoint::entities(state, spec).is_none_or(|(entities, _)| entities.is_empty()));
    idle.map(|(row, spec)| Unready { name: row.name.clone(), coming: spec.updating().is_some() }).collect()
}

/// Every key that opens the data plane.
pub(super) fn keys(state: &AccountState) -> Vec<KeyEntry> {
    let data = state.keys.values().map(|row| KeyEntry {
        hash: row.hash.clone(),
        id: row.id.clone(),
        principal: row.principal.clone().unwrap_or_else(|| row.id.clone()),
        deployments: row.deployments.clone(),
        expires_at: row.expires_at,
    });
    let account = state.account_keys.iter().filter_map(|(name, row)| {
        let id = PrincipalId::parse(name).ok()?;
        let (hash, principal) = (row.hash.clone(), id.clone());
        Some(KeyEntry { hash, id, principal, deployments: None, expires_at: None })
    });
    let endpoints = state.deployments.values().flat_map(endpoint_keys);
    data.chain(account).chain(endpoints).collect()
}

/// The keys of a serverless endpoint open it and nothing else.
fn endpoint_keys(row: &DeploymentRow) -> impl Iterator<Item = KeyEntry> {
    let spec = row.serverless().filter(|spec| spec.auth_mode != "AAD");
    let keys = spec.into_iter().flat_map(|spec| spec.keys.iter().zip(["primary", "secondary"]));
    keys.filter_map(|(key, word)| {
        let id = PrincipalId::parse(&format!("{}.{word}", row.name)).ok()?;
        let (hash, principal) = (key.hash.clone(), id.clone());
        Some(KeyEntry {
            hash,
            id,
            principal,
            deployments: Some(Vec::from([row.name.folded()])),
            expires_at: None,
        })
    })
}

/// The deployment as it can be called; `None` while it is not ready.
fn deployment(state: &AccountState, row: &DeploymentRow) -> Option<Deployment> {
    let (mut publisher, mut version) = (String::new(), String::new());
    let (mut serverless, mut spillover) = (None, None);
    let (mut routing, mut deadlines) = (Routing::default(), Deadlines::default());
    let publisher_of = |entry: &CatalogRow| catalog::text(entry, "publisher").unwrap_or_default().to_owned();
    let (task, model, entities, limits) = match &row.spec {
        DeploymentSpec::Account(spec) => {
            let entry = catalog::find(state, &spec.model)?;
            let entities = entities(&entry.backends, entry.price.as_ref());
            (publisher, version) = (publisher_of(&entry), version_in_force(spec, &entry).to_owned());
            (routing, deadlines) = catalog::routing(&entry);
            spillover = spec.spillover.as_ref().map(|name| name.to_ascii_lowercase());
            let limits = capacity::limits(&spec.sku, spec.capacity, catalog::provisioned_unit(&entry));
            (entry.task, entry.name.clone(), entities, limits)
        }
        DeploymentSpec::Serverless(spec) => {
            let entry = catalog::find(state, &spec.model)?;
            let entities = entities(&entry.backends, entry.price.as_ref());
            (publisher, version) = (publisher_of(&entry), entry.default_version.clone());
            (routing, deadlines) = catalog::routing(&entry);
            serverless = Some(Serverless {
                region: spec.location.clone(),
                suspended: !subscriptions::covered(state, &entry),
                content_safety: spec.content_safety,
            });
            (entry.task, entry.name.clone(), entities, serverless_limits(state, &row.name.folded()))
        }
        DeploymentSpec::ServingEndpoint(spec) => {
            let (entities, model) = endpoint::entities(state, spec)?;
            (spec.task()?, model, entities, endpoint::limits(spec))
        }
    };
    if entities.is_empty() {
        return None;
    }
    Some(Deployment {
        name: row.name.clone(),
        kind: row.kind(),
        task,
        model,
        entities,
        limits,
        limiter_fail_open: false,
        deadlines,
        created_at: row.created_at,
        publisher,
        version,
        serverless,
        spillover,
        content_policy: content::policy_of(row),
        payload_sampling: row.endpoint().and_then(EndpointSpec::payload_sampling),
        payload_table: row.endpoint().and_then(|spec| spec.payload_table(row.name.as_str())),
        usage_tracking: row.endpoint().is_some_and(|spec| spec.gateway.tracks_usage()),
        // In catalog backends always, in the order of their priority (`design.md`, section 8).
        fallback: row.endpoint().is_none_or(endpoint::fallback),
        routing,
    })
}

fn entities(backends: &[Backend], price: Option<&Price>) -> Vec<ServedEntity> {
    let priced = |backend: &Backend| {
        let mut entity = backend.entity.clone();
        entity.price = entity.price.or_else(|| price.cloned());
        entity
    };
    backends.iter().map(priced).collect()
}

/// Limits of a serverless endpoint (`azure.md`, A6): the whole minute's amount at once.
fn serverless_limits(state: &AccountState, endpoint: &str) -> Vec<Limit> {
    let own = defaults::serverless(state, endpoint);
    let limit =
        |meter, amount| Limit { meter, scope: LimitScope::Deployment, amount, per: MINUTE, burst: amount };
    Vec::from([limit(Meter::Requests, own.requests_per_minute), limit(Meter::Tokens, own.tokens_per_minute)])
}
