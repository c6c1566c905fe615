//! The Registry is killed at every step of an update, of a secret's change and of a traffic change, before the rows of
//! the step are stored or after. What it then loads is the old or the new, it serves, and it goes on by itself.

use super::*;
use crate::seal::SealKey;

/// What is served: the entities by name with their shares, and the credential of the first that has one.
#[derive(Debug, PartialEq, Eq)]
struct Served {
    shares: Vec<(String, u32)>,
    credential: Option<String>,
}

fn served(world: &World) -> Option<Served> {
    let key = SealKey::parse("a passphrase for tests").unwrap();
    let snapshot = world.registry.snapshot();
    let deployment = snapshot.deployments.iter().find(|deployment| deployment.name.as_str() == "e")?;
    let credential = |target: &Target| {
        let Target::Http(upstream) = target else { return None };
        let UpstreamAuth::Bearer { sealed } = &upstream.auth else { return None };
        crate::seal::open(&key, &upstream.base, sealed).ok()
    };
    Some(Served {
        shares: deployment.entities.iter().map(|entity| (entity.name.clone(), entity.weight)).collect(),
        credential: deployment.entities.iter().find_map(|entity| credential(&entity.target)),
    })
}

fn entity(name: &str, key: &Value) -> Value {
    json!({"name": name, "external_model": {"name": name, "provider": "openai", "task": "llm/v1/chat", "openai_config": key}})
}

fn put(path: &str, body: &Value) -> Value {
    let method = if path.ends_with("config") { "PUT" } else { "POST" };
    json!({"http": {"method": method, "url": format!("http://weir.test{path}"), "authorization": "Bearer the-admin", "body": body.to_string()}})
}

/// What the probes of the last update met, all well.
fn all_ready(world: &World) -> Value {
    let update = world.probes.first().map(|probe| probe.update.clone()).unwrap_or_default();
    let met = |probe: &Probe| ProbeOutcome { entity: probe.entity.clone(), status: Some(200), refusal: None };
    json!({"probed": Probed { update, outcomes: world.probes.iter().map(met).collect() }})
}

/// One step: a message, made when it is sent.
type Step = fn(&World) -> Value;

fn plain() -> Value {
    json!({"openai_api_key_plaintext": "sk-plain"})
}

fn secret(value: &str) -> Value {
    put("/api/2.0/secrets/put", &json!({"scope": "s", "key": "k", "string_value": value}))
}

const STEPS: [(&str, Step); 10] = [
    ("scope", |_| put("/api/2.0/secrets/scopes/create", &json!({"scope": "s"}))),
    ("secret", |_| secret("sk-1")),
    ("create", |_| {
        let key = json!({"openai_api_key": "{{secrets/s/k}}"});
        put(
            "/api/2.0/serving-endpoints",
            &json!({"name": "e", "config": {"served_entities": [entity("a", &key)]}}),
        )
    }),
    ("ready", all_ready),
    ("new secret", |_| secret("sk-2")),
    ("update", |_| {
        let key = json!({"openai_api_key": "{{secrets/s/k}}"});
        let routes = json!([{"served_entity_name": "a", "traffic_percentage": 90}, {"served_entity_name": "b", "traffic_percentage": 10}]);
        let entities = json!([entity("a", &key), entity("b", &plain())]);
        put(
            "/api/2.0/serving-endpoints/e/config",
            &json!({"served_entities": entities, "traffic_config": {"routes": routes}}),
        )
    }),
    ("secret meanwhile", |_| secret("sk-3")),
    ("ready again", all_ready),
    ("traffic", |_| {
        let routes = json!([{"served_entity_name": "a", "traffic_percentage": 0}, {"served_entity_name": "b", "traffic_percentage": 100}]);
        put("/api/2.0/serving-endpoints/e/config", &json!({"traffic_config": {"routes": routes}}))
    }),
    ("last secret", |_| secret("sk-4")),
];

/// Runs the steps before `killed`; then that step, whose rows are stored or not, and the kill.
fn run(killed: usize, stored: bool) -> (World, Option<Served>, Option<Served>) {
    let mut world = World::new(settings(&Value::Null));
    for (name, step) in &STEPS[..killed] {
        let message = step(&world);
        world.send(&message, name);
    }
    let (name, step) = STEPS[killed];
    let (old, rows, message) = (served(&world), world.rows.clone(), step(&world));
    world.send(&message, name);
    let new = served(&world);
    if !stored {
        world.rows = rows;
    }
    world.registry = world.reloaded();
    (world, old, new)
}

#[test]
fn after_a_kill_at_any_step_the_old_or_the_new_serves_and_every_update_goes_on() {
    for (killed, (step, _)) in STEPS.iter().enumerate() {
        for stored in [false, true] {
            let name = format!("{step} {}", if stored { "stored" } else { "lost" });
            let (mut world, old, new) = run(killed, stored);
            assert_eq!(served(&world), if stored { new } else { old }, "{name}");
            // Whoever speaks to it next, or the alarm if nobody does, has the update probed again.
            let pending = world
                .registry
                .state()
                .deployments
                .values()
                .any(|row| row.endpoint().unwrap().updating().is_some());
            world.probes.clear();
            world.send(&json!({"wake": {}}), &name);
            assert_eq!(!world.probes.is_empty(), pending, "{name}: probed again");
            if pending {
                world.probes_made = 0;
                world.send(&json!({"snapshot": {"known": null}}), &name);
                assert_eq!(world.probes_made, 0, "{name}: probed once, not by every message");
                let ready = all_ready(&world);
                world.send(&ready, &name);
            }
            let settled = served(&world);
            assert!(
                world.registry.state().deployments.values().all(|row| row
                    .endpoint()
                    .unwrap()
                    .pending
                    .is_none()),
                "{name}"
            );
            // The credential that is used is the one that the stored secret has.
            if let Some(settled) = settled {
                let value = (1..=4).rev().find(|number| {
                    killed > [0, 1, 4, 6, 9][*number] || (stored && killed == [0, 1, 4, 6, 9][*number])
                });
                assert_eq!(settled.credential, value.map(|number| format!("sk-{number}")), "{name}");
            }
        }
    }
}

#[test]
fn an_update_whose_prober_is_killed_again_and_again_is_given_up() {
    let (mut world, _, _) = run(5, true);
    let mut kills = 0;
    while world.registry.state().deployments["e"].endpoint().unwrap().updating().is_some() {
        world.registry = world.reloaded();
        world.now += 60_000;
        world.send(&json!({"wake": {}}), "killed again");
        kills += 1;
        assert!(kills < 40, "it is never given up");
    }
    let spec = world.registry.state().deployments["e"].endpoint().unwrap().clone();
    assert!(spec.pending.unwrap().failure.is_some() && spec.active.is_some() && kills > 10, "{kills}");
}

#[test]
fn what_is_in_progress_asks_to_be_woken_and_nothing_else_does() {
    let mut world = World::new(settings(&Value::Null));
    let context = |now| Context {
        now: UnixMillis(now),
        random: [7; 32],
        settings: Box::leak(Box::new(settings(&Value::Null))),
    };
    let wake = |world: &mut World, message: &Value| {
        world.registry.handle(&context(1_700_000_000_000), message.to_string().as_bytes()).wake_in
    };
    assert_eq!(wake(&mut world, &json!({"snapshot": {}})), None);
    let create = put(
        "/api/2.0/serving-endpoints",
        &json!({"name": "e", "config": {"served_entities": [entity("a", &plain())]}}),
    );
    assert_eq!(wake(&mut world, &create), Some(WAKE_AFTER));
    assert_eq!(wake(&mut world, &json!({"wake": {}})), Some(WAKE_AFTER));
}
