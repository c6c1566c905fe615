//! The operator of a world: sets it up, and changes the endpoint's configuration again and again.
//!
//! Each configuration carries its number in every part: the upstream's host, the model's name, the entity's name. So
//! a reader that saw parts of two would be found out.

use super::judge;
use super::scene::{ADMIN, CHAT, LIVE};
use crate::clock::{MILLI, Micros, SECOND};
use crate::facts::{Change, Facts};
use crate::object::{Managed, Objects};
use crate::random::Random;
use serde_json::{Value, json};
use weir_core::control::answer::ManagementRequest;
use weir_core::control::probe::{Probe, ProbeOutcome, Probed};
use weir_core::exchange::Send;
use weir_core::snapshot::Snapshot;

const ARM: &str = "https://weir.example/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/weir/providers/Microsoft.CognitiveServices/accounts/default/deployments";
const ENDPOINTS: &str = "https://weir.example/api/2.0/serving-endpoints";
const CATALOG: &str = "https://weir.example/api/weir/v1/catalog/models";

/// What the operator knows.
#[derive(Debug, Default)]
pub struct Operator {
    /// The last configuration that was asked for.
    asked: u64,
    /// The one that is being made ready.
    pending: Option<u64>,
}

impl Operator {
    /// Sets up the deployment with limits and the first configuration of the endpoint.
    pub fn install(&mut self, objects: &mut Objects, facts: &mut Facts, random: &mut Random, capacity: u64) {
        let backends = json!([{ "external_model": external_model("up.example", "model") }]);
        let entry = json!({
            "format": "OpenAI", "publisher": "OpenAI", "task": "llm/v1/chat", "versions": ["1"],
            "default_version": "1", "registry_id": "azureml://registries/weir/models/m", "offer": null,
            "backends": backends,
        });
        done(&manage(objects, 0, random, "PUT", &format!("{CATALOG}/m"), &entry));
        let deployment = json!({
            "sku": {"name": "GlobalStandard", "capacity": capacity},
            "properties": {"model": {"format": "OpenAI", "name": "m", "version": "1"}},
        });
        let address = format!("{ARM}/{CHAT}?api-version=2025-09-01");
        done(&manage(objects, 0, random, "PUT", &address, &deployment));
        self.asked = 1;
        let endpoint = json!({ "name": LIVE, "config": configuration(1) });
        let made = manage(objects, 0, random, "POST", ENDPOINTS, &endpoint);
        done(&made);
        objects.probed(0, report(&made.probes, Some(200)).as_bytes(), random.bytes());
        facts.changes.push(Change { version: 1, at: 0 });
        assert_eq!(serving(objects), Some(1), "the first configuration serves");
    }

    /// Sets up the classifier that is asked where a policy names none.
    pub fn judges(objects: &mut Objects, random: &mut Random, open: bool) {
        let classifier = json!({
            "service": "openai-moderation", "endpoint": judge::BASE, "api_key_plaintext": "sk-judge",
            "deadline_ms": judge::DEADLINE_MS, "on_failure": if open { "open" } else { "closed" },
        });
        let address = "https://weir.example/api/weir/v1/classifiers/default";
        done(&manage(objects, 0, random, "PUT", address, &classifier));
    }

    /// Does something: mostly a new configuration, sometimes a faulty one. What its probes will find is given with
    /// the time that they take.
    pub fn command(
        &mut self,
        at: Micros,
        objects: &mut Objects,
        facts: &mut Facts,
        random: &mut Random,
    ) -> Option<(Micros, String)> {
        let before = (objects.configuration(), objects.registry_rows().clone());
        let faulty = random.permille(250);
        let version = self.asked + 1;
        let body = if faulty { fault(random) } else { configuration(version) };
        let managed = manage(objects, at, random, "PUT", &format!("{ENDPOINTS}/{LIVE}/config"), &body);
        let refused = managed.answer.status >= 400;
        if refused && (managed.wrote || before != (objects.configuration(), objects.registry_rows().clone()))
        {
            facts.broken(format!("a command refused with {} changed the state", managed.answer.status));
        }
        let version_now = objects.configuration().0;
        if version_now < before.0.0 || !refused && version_now == before.0.0 {
            facts.broken(format!("version {} after {}", version_now, before.0.0));
        }
        match (managed.answer.status, self.pending, faulty) {
            (409, Some(_), _) => facts.conflicts += 1,
            (400, None, true) => facts.faulty += 1,
            (200, None, false) => {
                self.asked = version;
                self.pending = Some(version);
                if serving(objects) != facts.changes.last().map(|change| change.version) {
                    facts.broken("a configuration serves before it is ready");
                }
                let status = random.choose(&[Some(200), Some(200), Some(404), Some(401), None]);
                let after = random.between(20 * MILLI, 6 * SECOND);
                return Some((after, report(&managed.probes, status)));
            }
            (status, pending, _) => {
                facts.broken(format!("{status} with {pending:?} in progress (faulty: {faulty})"));
            }
        }
        None
    }

    /// The probes of the pending configuration are back.
    pub fn probed(
        &mut self,
        at: Micros,
        message: &str,
        objects: &mut Objects,
        facts: &mut Facts,
        random: &mut Random,
    ) {
        objects.probed(at, message.as_bytes(), random.bytes());
        let good = message.contains("\"status\":200") || message.contains("\"status\":404");
        let pending = self.pending.take();
        let before = facts.changes.last().map(|change| change.version);
        let expected = if good { pending } else { before };
        if serving(objects) != expected {
            facts.broken(format!("{:?} serves instead of {expected:?}", serving(objects)));
        }
        if let Some(version) = pending.filter(|_| good) {
            facts.changes.push(Change { version, at });
        }
    }
}

/// The configuration that an upstream call was made by: `None` if its deployment does not tell, an error if its parts
/// tell different ones.
pub fn version_of(send: &Send) -> Option<Result<u64, ()>> {
    let host = send.url.strip_prefix("https://v")?;
    let version: u64 = host.split('.').next()?.parse().ok()?;
    let model = format!("\"model-v{version}\"");
    let spliced = send.edits.iter().any(|edit| String::from_utf8_lossy(&edit.with).contains(&model));
    let key = format!("Bearer sk-v{version}");
    let opened = send.headers.iter().any(|(name, value)| name == "authorization" && *value == key);
    Some(if spliced && opened { Ok(version) } else { Err(()) })
}

/// The configuration that the Registry hands to isolates; `None` if its parts tell different ones.
fn serving(objects: &Objects) -> Option<u64> {
    let (_, snapshot) = objects.configuration();
    let snapshot: Snapshot = serde_json::from_str(&snapshot).expect("a snapshot is JSON");
    let deployment = snapshot.deployments.iter().find(|deployment| deployment.name.as_str() == LIVE)?;
    let [entity] = deployment.entities.as_slice() else { return None };
    let version = entity.name.strip_prefix('v')?.parse().ok()?;
    (entity.upstream_model == format!("model-v{version}")).then_some(version)
}

fn configuration(version: u64) -> Value {
    let mut model = external_model(&format!("v{version}.example"), &format!("model-v{version}"));
    model["openai_config"]["openai_api_key_plaintext"] = json!(format!("sk-v{version}"));
    json!({ "served_entities": [{ "name": format!("v{version}"), "external_model": model }] })
}

fn external_model(host: &str, model: &str) -> Value {
    json!({
        "name": model, "provider": "openai", "task": "llm/v1/chat",
        "openai_config": {
            "openai_api_base": format!("https://{host}/v1"), "openai_api_key_plaintext": "sk-upstream",
        },
    })
}

fn fault(random: &mut Random) -> Value {
    let mut body = configuration(0);
    let entity = &mut body["served_entities"][0];
    match random.between(0, 3) {
        0 => entity["external_model"]["provider"] = json!("nobody"),
        1 => {
            let metadata = json!("http://169.254.169.254/v1");
            entity["external_model"]["openai_config"]["openai_api_base"] = metadata;
        }
        2 => entity["external_model"]["task"] = json!(7),
        _ => {
            let route = json!({"served_model_name": "v0", "traffic_percentage": 99});
            body["traffic_config"] = json!({ "routes": [route] });
        }
    }
    body
}

fn manage(
    objects: &mut Objects,
    at: Micros,
    random: &mut Random,
    method: &str,
    url: &str,
    body: &Value,
) -> Managed {
    let request = ManagementRequest {
        method: method.to_owned(),
        url: url.to_owned(),
        authorization: Some(format!("Bearer {ADMIN}")),
        body: body.to_string(),
        ..ManagementRequest::default()
    };
    objects.manage(at, &request, random.bytes())
}

fn done(managed: &Managed) {
    assert!((200..300).contains(&managed.answer.status), "{:?}", managed.answer);
}

fn report(probes: &[Probe], status: Option<u16>) -> String {
    let update = probes.first().expect("an upstream is probed").update.clone();
    let outcome = |probe: &Probe| ProbeOutcome { entity: probe.entity.clone(), status, refusal: None };
    let outcomes = Probed { update, outcomes: probes.iter().map(outcome).collect() };
    json!({ "probed": outcomes }).to_string()
}
