//! The life of an update (`databricks.md`, 4): how one configuration replaces another.
//!
//! While the new upstreams are probed the old configuration serves and a second update is refused; the outcomes of
//! the probes commit the update or fail it, and it can be canceled. A configuration of simulated models only, or one
//! that changes shares of traffic only, needs no probe and serves at once.
//!
//! **What survives.** The pending configuration is a row before the answer leaves. Whoever loads the rows after a
//! crash finds it without a probe under way and has it probed anew ([`resumed`]); no step is in memory only.

use super::super::answer::Answer;
use super::super::command::{Desk, Outcome};
use super::super::document::{Faults, Members};
use super::super::probe::{self, Opener, Probe, ProbeOutcome, Probed, UPDATE_MILLIS};
use super::super::state::{
    AccountState, DeploymentRow, DeploymentSpec, EndpointConfig, EndpointSpec, PendingConfig, UpdateFailure,
};
use super::config::{self, Wish};
use super::endpoints::{changed, find};
use super::{error, rate_limits, refuse, show};
use crate::seal::SealKey;
use crate::sorted::SortedMap;
use crate::time::{Millis, UnixMillis};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::{Map, Value, json};

/// An update that survived crash after crash for so long is given up.
const RESUMED_MAX: Millis = Millis::from_secs(20 * 60);

/// `PUT …/{name}/config`.
///
/// # Errors
/// 404; 409 while an update is in progress; 400 naming every fault. Nothing is changed then.
pub fn update(desk: &mut Desk<'_>, name: &str, body: &Map<String, Value>) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name)?;
    let (row, spec) = (row.into_owned(), spec.into_owned());
    refuse_system(&row)?;
    refuse_busy(&row, &spec)?;
    let mut faults = Faults::default();
    let members = Members::root(body);
    let mut spec = spec;
    let limits = rate_limits::read(&members, &mut faults);
    let has_limits = limits.is_some();
    if let Some(limits) = limits {
        spec.rate_limits = limits;
    }
    // MLflow sends `{"served_entities":[],"rate_limits":[…]}` when only the limits shall change.
    let entities = members.list("served_entities", &mut faults);
    let limits_only = has_limits
        && entities.is_none_or(Vec::is_empty)
        && members.get("traffic_config").is_none()
        && spec.active.is_some();
    if limits_only {
        refuse(&faults)?;
        let answer = Answer::json(200, &show::endpoint(desk, &row, &spec));
        return Ok(changed(desk, &row, spec, answer, "endpoint.rate_limits"));
    }
    let wish = config::read(desk, &members, &spec, &mut faults);
    refuse(&faults)?;
    let Some(wish) = wish else {
        return Err(error(400, "INVALID_PARAMETER_VALUE", "Invalid request: no configuration was given."));
    };
    begin(desk, &row, spec, wish, "endpoint.config")
}

/// Makes `wish` the endpoint's next configuration: at once, or once its upstreams were probed.
///
/// # Errors
/// 400 when a stored credential does not open.
pub fn begin(
    desk: &Desk<'_>,
    row: &DeploymentRow,
    mut spec: EndpointSpec,
    wish: Wish,
    action: &'static str,
) -> Result<Outcome, Answer> {
    let update = key(row, &wish.config);
    let opener = Opener { state: desk.state, seal_key: desk.settings.seal_key.as_ref() };
    let probes = if wish.probed { probe::plan(&opener, &update, &wish.config) } else { Ok(Vec::new()) };
    let probes = probes.map_err(|fault| {
        error(400, "INVALID_PARAMETER_VALUE", &format!("A credential of the endpoint {fault}."))
    })?;
    if probes.is_empty() {
        spec.active = Some(wish.config);
        spec.pending = None;
    } else {
        spec.pending = Some(PendingConfig { config: wish.config, started_at: desk.now, failure: None });
    }
    let row = DeploymentRow { updated_at: desk.now, ..row.clone() };
    let answer = Answer::json(200, &show::endpoint(desk, &row, &spec));
    let mut outcome = changed(desk, &row, spec, answer, action);
    outcome.probes = probes;
    Ok(outcome)
}

/// `POST /api/weir/v1/serving-endpoints/{name}/cancel-update`: the endpoint without the update that was in progress;
/// the configuration that serves goes on. `None` if there is no such endpoint, or no update in progress.
pub fn cancel(desk: &Desk<'_>, name: &str) -> Option<Result<Outcome, ()>> {
    let (row, spec) = find(desk, name).ok()?;
    let mut spec = spec.into_owned();
    let Some(pending) = spec.pending.as_mut().filter(|pending| pending.failure.is_none()) else {
        return Some(Err(()));
    };
    pending.failure = Some(UpdateFailure { canceled: true, ..UpdateFailure::default() });
    let answer = Answer::json(200, &show::endpoint(desk, &row, &spec));
    Some(Ok(changed(desk, &row, spec, answer, "endpoint.config_canceled")))
}

/// What the outcomes of probes change: the update is committed or failed. `None` when it is not pending any more.
pub fn settle(state: &AccountState, now: UnixMillis, probed: &Probed) -> Option<DeploymentRow> {
    let mut parts = probed.update.splitn(3, '/');
    let (name, id, version) = (parts.next()?, parts.next()?, parts.next()?.parse::<u64>().ok()?);
    let row = state.deployments.get(name).filter(|row| row.id == id)?;
    let spec = row.endpoint()?;
    let pending = spec.updating().filter(|pending| pending.config.version == version)?;
    let mut problems = SortedMap::new();
    for entity in &pending.config.entities {
        let wanted = probe::wanted(state, entity);
        let outcomes = probed.outcomes.iter().filter(|outcome| outcome.entity == entity.name);
        let mut met: Vec<Option<String>> = outcomes.map(ProbeOutcome::problem).collect();
        if met.is_empty() && wanted {
            met.push(Some("the upstream was not probed".to_owned()));
        }
        // Of a model of the catalog with several backends one must be ready.
        if let Some(problem) = met.first().cloned().flatten()
            && met.iter().all(Option::is_some)
        {
            problems.insert(entity.name.clone(), problem);
        }
    }
    Some(ended(row, spec, pending, problems, now))
}

/// The updates that nobody is probing: those whose key is not in `probing`. Each with its probes, or failed because
/// a credential does not open any more or it is too old.
pub fn resumed(
    state: &AccountState,
    seal_key: Option<&SealKey>,
    now: UnixMillis,
    probing: &SortedMap<String, UnixMillis>,
) -> Vec<(String, Result<Vec<Probe>, DeploymentRow>)> {
    let opener = Opener { state, seal_key };
    let resume = |row: &DeploymentRow| {
        let spec = row.endpoint()?;
        let pending = spec.updating()?;
        let update = key(row, &pending.config);
        if probing.contains_key(&update) {
            return None;
        }
        let fail = |text: &str| all_failed(row, spec, pending, text, now);
        let outcome = if now >= pending.started_at.plus(RESUMED_MAX) {
            Err(fail("the update was interrupted again and again; update the endpoint again"))
        } else {
            probe::plan(&opener, &update, &pending.config)
                .map_err(|fault| fail(&format!("the credential {fault}")))
        };
        Some((update, outcome))
    };
    state.deployments.values().filter_map(resume).collect()
}

/// Endpoints whose probes were given out in time and never reported, failed.
pub fn lapsed(
    state: &AccountState,
    now: UnixMillis,
    probing: &SortedMap<String, UnixMillis>,
) -> Vec<DeploymentRow> {
    let lapse = |row: &DeploymentRow| {
        let spec = row.endpoint()?;
        let pending = spec.updating()?;
        let since = probing.get(&key(row, &pending.config))?;
        if now < since.plus(UPDATE_MILLIS) {
            return None;
        }
        let text = "the upstream was not probed in time; update the endpoint again";
        Some(all_failed(row, spec, pending, text, now))
    };
    state.deployments.values().filter_map(lapse).collect()
}

/// Whether any update is in progress.
pub fn any(state: &AccountState) -> bool {
    let mut specs = state.deployments.values().filter_map(DeploymentRow::endpoint);
    specs.any(|spec| spec.updating().is_some())
}

/// Refuses a change while an update is in progress.
///
/// # Errors
/// 409.
pub fn refuse_busy(row: &DeploymentRow, spec: &EndpointSpec) -> Result<(), Answer> {
    if spec.updating().is_none() {
        return Ok(());
    }
    let text = format!("Endpoint {} is currently updating. Wait for the update to finish.", row.name);
    Err(error(409, "RESOURCE_CONFLICT", &text))
}

/// Refuses to change what exists by itself.
///
/// # Errors
/// 400.
pub fn refuse_system(row: &DeploymentRow) -> Result<(), Answer> {
    if !row.id.is_empty() {
        return Ok(());
    }
    let text = format!("Endpoint {} is a system endpoint; it cannot be reconfigured or deleted.", row.name);
    Err(error(400, "INVALID_PARAMETER_VALUE", &text))
}

/// Names an update: the endpoint, its id, the configuration's version.
fn key(row: &DeploymentRow, config: &EndpointConfig) -> String {
    format!("{}/{}/{}", row.name.folded(), row.id, config.version)
}

fn all_failed(
    row: &DeploymentRow,
    spec: &EndpointSpec,
    pending: &PendingConfig,
    text: &str,
    now: UnixMillis,
) -> DeploymentRow {
    let names = pending.config.entities.iter().map(|entity| entity.name.clone());
    ended(row, spec, pending, names.map(|name| (name, text.to_owned())).collect(), now)
}

fn ended(
    row: &DeploymentRow,
    spec: &EndpointSpec,
    pending: &PendingConfig,
    problems: SortedMap<String, String>,
    now: UnixMillis,
) -> DeploymentRow {
    let mut spec = spec.clone();
    if problems.is_empty() {
        spec.active = Some(pending.config.clone());
        spec.pending = None;
    } else {
        let failure = Some(UpdateFailure { entities: problems, canceled: false });
        spec.pending = Some(PendingConfig { failure, ..pending.clone() });
    }
    DeploymentRow { updated_at: now, spec: DeploymentSpec::ServingEndpoint(spec), ..row.clone() }
}

/// `GET …/served-models/{entity}/logs` and `build-logs`: what happened to the configurations, oldest first.
///
/// # Errors
/// 404 for an unknown endpoint or entity.
pub fn logs(desk: &Desk<'_>, name: &str, entity: &str) -> Result<Outcome, Answer> {
    let (row, spec) = find(desk, name)?;
    let configs = spec.active.iter().chain(spec.pending.as_ref().map(|pending| &pending.config));
    if !configs.flat_map(|config| &config.entities).any(|known| known.name == entity) {
        let text = format!("Served entity '{entity}' does not exist in endpoint '{}'.", row.name);
        return Err(error(404, "RESOURCE_DOES_NOT_EXIST", &text));
    }
    let lines = desk.state.audit.iter().filter(|(_, line)| {
        line.action.starts_with("endpoint.") && line.target.eq_ignore_ascii_case(row.name.as_str())
    });
    let mut text = String::new();
    for (version, line) in lines {
        let at = crate::ledger::calendar::format_rfc3339(line.at);
        text.extend([
            at.as_str(),
            " ",
            &line.action,
            " by ",
            &line.actor,
            ", at version ",
            &version.to_string(),
            "\n",
        ]);
    }
    let failure = spec.pending.as_ref().and_then(|pending| pending.failure.as_ref());
    if let Some(problem) = failure.and_then(|failure| failure.entities.get(entity)) {
        text.extend([entity, ": ", problem, "\n"]);
    }
    Ok(Outcome::reading(Answer::json(200, &json!({"logs": text}))))
}
