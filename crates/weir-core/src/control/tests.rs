//! Stories told to a Registry, from `tests/vectors/control`, and what holds after every step of each.

mod azure;
mod deleted;
mod faults;
mod front;
mod refused;
mod restart;
mod stories;

use super::front::{FrontPlan, plan};
use super::probe::{Probe, ProbeOutcome, Probed};
use super::*;
use crate::object::Row;
use crate::seal::digest;
use crate::snapshot::index::SnapshotIndex;
use crate::snapshot::{Meter, Target, Task, UpstreamAuth};
use crate::sorted::SortedMap;
use alloc::borrow::ToOwned;
use alloc::string::ToString;
use alloc::vec;
use proptest::prelude::*;
use serde_json::Value;
use stories::STORIES;

/// A Registry with its stored rows, as the shell keeps them.
struct World {
    settings: Settings,
    registry: Registry,
    rows: SortedMap<(String, String), String>,
    probes: Vec<Probe>,
    probes_made: u64,
    now: u64,
    commands: u8,
    /// Texts of answers that later steps use: as a token, or in `<name>`.
    kept: SortedMap<String, String>,
    /// `If-Match` and `If-None-Match` of the next request.
    conditions: (Option<String>, Option<String>),
    /// Headers of the last answer.
    headers: Value,
}

impl World {
    fn new(settings: Settings) -> Self {
        let registry = Registry::load(AccountId::default_account(), []).unwrap();
        Self {
            settings,
            registry,
            rows: SortedMap::new(),
            probes: Vec::new(),
            probes_made: 0,
            now: 1_700_000_000_000,
            commands: 0,
            kept: SortedMap::new(),
            conditions: (None, None),
            headers: Value::Null,
        }
    }

    fn filled(&self, text: &str) -> String {
        self.kept
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("<{name}>"), value))
    }

    /// Sends a message and asserts what always holds.
    fn send(&mut self, message: &Value, name: &str) -> Value {
        self.commands = self.commands.wrapping_add(1);
        self.now += 1000;
        let random = digest(&[self.commands, u8::try_from(self.now / 1000 % 251).unwrap()]);
        let context = Context { now: UnixMillis(self.now), random, settings: &self.settings };
        // An update whose probes were never reported is given up by the first message after its time, as a command
        // of its own. It shall not be taken for a part of this one.
        let first = self.registry.handle(&context, br#"{"snapshot":{"known":null}}"#);
        let given_up = first.writes;
        if !first.probes.is_empty() {
            self.probes = first.probes;
        }
        let before = self.registry.state().clone();
        let handled = self.registry.handle(&context, message.to_string().as_bytes());
        let reply: Value = serde_json::from_slice(&handled.reply).unwrap();
        for write in given_up.iter().chain(&handled.writes) {
            match write.clone() {
                Write::Put { table, key, value } => _ = self.rows.insert((table.to_owned(), key), value),
                Write::Delete { table, key } => _ = self.rows.remove(&(table.to_owned(), key)),
                Write::DeleteFirst { .. } => panic!("{name}: a registry forgets nothing unread"),
            }
        }
        let after = self.registry.state();
        if handled.writes.is_empty() {
            assert_eq!(&before, after, "{name}: memory changed without rows");
        } else {
            assert_eq!(after.version, before.version + 1, "{name}: one command is one version");
        }
        if reply["status"].as_u64().is_some_and(|status| status >= 400) {
            assert!(handled.writes.is_empty() && handled.probes.is_empty(), "{name}: refused, yet it writes");
        }
        self.probes_made = handled.probes.len() as u64;
        if !handled.probes.is_empty() {
            self.probes = handled.probes;
        }
        assert_eq!(&self.reloaded().state, after, "{name}: the rows give another state");
        let snapshot = serde_json::to_string(&self.registry.snapshot()).unwrap();
        assert!(!snapshot.contains("CANARY"), "{name}: a secret is in the snapshot");
        assert!(self.rows.values().all(|row| !row.contains("CANARY")), "{name}: a secret is in a row");
        assert_eq!(serde_json::from_str::<Snapshot>(&snapshot).unwrap(), self.registry.snapshot(), "{name}");
        reply
    }

    fn reloaded(&self) -> Registry {
        let mut tables: SortedMap<&str, Vec<Row>> = TABLES.iter().map(|table| (*table, Vec::new())).collect();
        for ((table, key), value) in &self.rows {
            tables.get_mut(table.as_str()).unwrap().push(Row { key: key.clone(), value: value.clone() });
        }
        Registry::load(AccountId::default_account(), tables).unwrap()
    }

    fn http(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &str,
        name: &str,
    ) -> (u64, Value) {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let url = format!("http://weir.test{path}");
        let request = ManagementRequest {
            method: method.to_owned(),
            url,
            authorization,
            body: body.to_owned(),
            if_match: self.conditions.0.take(),
            if_none_match: self.conditions.1.take(),
            ..ManagementRequest::default()
        };
        let mut request = request;
        let mut front = plan(&request, &self.settings, RequestId(1));
        while let FrontPlan::Identify(account, message) = &front {
            assert_eq!(account, &AccountId::default_account(), "{name}: another account's token");
            let found = self.send(&serde_json::from_slice(message).unwrap(), name);
            request.identity = serde_json::from_value(found).unwrap();
            front = plan(&request, &self.settings, RequestId(1));
        }
        let reply = self.errands(request, name);
        // What the front answers by itself, the Registry would have refused with the same status.
        if let FrontPlan::Reply(answer) = &front {
            assert_eq!(
                Some(u64::from(answer.status)),
                reply["status"].as_u64(),
                "{name}: front and Registry differ"
            );
        }
        let headers = reply["headers"].as_array().unwrap();
        assert!(headers.iter().any(|header| header[0] == "x-request-id"), "{name}: no request id");
        self.headers = reply["headers"].clone();
        let text = reply["body"].as_str().unwrap();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(text).unwrap() };
        (reply["status"].as_u64().unwrap(), body)
    }

    /// Runs the errands of an answer as the shell does: to the same Registry, which keeps the directory too.
    fn errands(&mut self, mut request: ManagementRequest, name: &str) -> Value {
        loop {
            let reply = self.send(&json!({"http": request}), name);
            let Some(errand) = reply.get("errand").filter(|errand| !errand.is_null()) else { return reply };
            let granted = self.send(&errand["message"], name);
            if errand["resume"] != json!(true) || request.granted.is_some() {
                return reply;
            }
            request.granted = granted["granted"].as_bool();
        }
    }

    fn admin(&mut self, method: &str, path: &str, body: &Value) -> (u64, Value) {
        self.http(method, path, Some("the-admin"), &body.to_string(), path)
    }

    fn probed(&mut self, outcomes: Vec<ProbeOutcome>, name: &str) {
        let update = self.probes.first().unwrap().update.clone();
        let reply = self.send(&json!({"probed": Probed { update, outcomes }}), name);
        assert_eq!(reply, json!({}), "{name}");
    }
}

fn settings(story: &Value) -> Settings {
    let flag = |name: &str, default: bool| story["settings"][name].as_bool().unwrap_or(default);
    Settings {
        admin_token_hash: Some(digest(b"the-admin")),
        seal_key: flag("sealed", true).then(|| SealKey::parse("a passphrase for tests").unwrap()),
        allow_private_upstreams: flag("private", false),
        dev: flag("dev", false),
        issuer: None,
        strict_marketplace: flag("strict", false),
        public_url: None,
    }
}

#[track_caller]
fn check_has(got: &Value, expected: &Value, name: &str) {
    match (got, expected) {
        (Value::Object(got), Value::Object(members)) => {
            for (member, expected) in members {
                let at = format!("{name}: {member}");
                check_has(got.get(member).unwrap_or_else(|| panic!("{at} is missing")), expected, &at);
            }
        }
        (Value::Array(got), Value::Array(items)) if items.first() == Some(&json!("some")) => {
            for expected in items.iter().skip(1) {
                let named = |row: &&Value| row["name"] == expected["name"];
                let Some(got) = got.iter().find(named) else { panic!("{name}: none is called {expected}") };
                check_has(got, expected, name);
            }
        }
        (Value::Array(got), Value::Array(items)) => {
            assert_eq!(got.len(), items.len(), "{name}: {got:?}");
            for (got, expected) in got.iter().zip(items) {
                check_has(got, expected, name);
            }
        }
        (_, Value::String(text)) if text == "*" => {}
        (Value::String(got), Value::String(text)) if text.starts_with('~') => {
            assert!(got.contains(text.get(1..).unwrap()), "{name}: {got:?} does not contain {text:?}");
        }
        _ => assert_eq!(got, expected, "{name}"),
    }
}

fn step(world: &mut World, story: &Value, step: &Value, name: &str) {
    if let Some(outcomes) = step.get("probed") {
        world.probed(serde_json::from_value(outcomes.clone()).unwrap(), name);
        return;
    }
    if let Some(message) = step.get("message") {
        world.send(message, name);
        return;
    }
    let (method, path) = step["do"].as_str().unwrap().split_once(' ').unwrap();
    let path = path.replace('@', story["prefix"].as_str().unwrap_or("@"));
    let path = world.filled(&path);
    let condition = |name: &str| step[name].as_str().map(ToOwned::to_owned);
    world.conditions = (condition("if_match"), condition("if_none_match"));
    let kept = step["as"].as_str().and_then(|who| world.kept.get(who).cloned());
    let token = match step["as"].as_str() {
        None | Some("admin") => Some("the-admin"),
        Some("stranger") => Some("another"),
        Some(_) => kept.as_deref(),
    };
    let body = match step.get("body") {
        None => String::new(),
        Some(Value::String(text)) => world.filled(text),
        Some(body) => world.filled(&body.to_string()),
    };
    let (status, answer) = world.http(method, &path, token, &body, name);
    assert_eq!(Some(status), step["status"].as_u64(), "{name}: {answer}");
    for (name, pointer) in step["keep"].as_object().into_iter().flatten() {
        let value = answer.pointer(pointer.as_str().unwrap()).and_then(Value::as_str);
        let value = value.unwrap_or_else(|| panic!("{name} is not in {answer}"));
        let stored = value.starts_with("wk_") && world.rows.values().any(|row| row.contains(value));
        assert!(!stored, "{name}: the text of a key or token is stored");
        world.kept.insert(name.clone(), value.to_owned());
    }
    if let Some(expected) = step.get("has") {
        let expected = serde_json::from_str(&world.filled(&expected.to_string())).unwrap();
        check_has(&answer, &expected, name);
    }
    for (header, expected) in step["headers"].as_object().into_iter().flatten() {
        let all = world.headers.as_array().unwrap();
        let got = all.iter().find(|row| row[0] == header.as_str()).map(|row| row[1].clone());
        check_has(&got.unwrap_or_default(), expected, &format!("{name}: header {header}"));
    }
    if let Some(probes) = step["probes"].as_u64() {
        assert_eq!(world.probes_made, probes, "{name}");
    }
}

#[test]
fn every_story_goes_as_it_is_told() {
    for (file, text) in STORIES {
        let story: Value = serde_json::from_str(text).unwrap();
        let mut world = World::new(settings(&story));
        for (at, row) in story["steps"].as_array().unwrap().iter().enumerate() {
            step(
                &mut world,
                &story,
                row,
                &format!("{file} step {at} {}", row["do"].as_str().unwrap_or("probed")),
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Steps of all stories in any order: whatever is answered, [`World::send`] asserts the invariants.
    #[test]
    fn commands_in_any_order_keep_the_invariants(order in prop::collection::vec((0usize..STORIES.len(), 0usize..100), 1..40)) {
        let stories: Vec<Value> =
            STORIES.iter().map(|(_, text)| serde_json::from_str(text).unwrap()).collect();
        // The story of endpoints is told on an installation that has all.
        let endpoints = STORIES.iter().position(|(name, _)| *name == "endpoints").unwrap();
        let mut world = World::new(settings(&stories[endpoints]));
        for (file, at) in order {
            let story = &stories[file];
            let steps = story["steps"].as_array().unwrap();
            let row = &steps[at % steps.len()];
            if let Some(outcomes) = row.get("probed") {
                if !world.probes.is_empty() {
                    world.probed(serde_json::from_value(outcomes.clone()).unwrap(), "any order");
                }
                continue;
            }
            let Some((method, path)) = row["do"].as_str().and_then(|line| line.split_once(' ')) else { continue };
            let path = path.replace('@', story["prefix"].as_str().unwrap_or("@"));
            let body = row.get("body").map(|body| body.as_str().map_or_else(|| body.to_string(), ToOwned::to_owned));
            let (status, _) = world.http(method, &path, Some("the-admin"), &body.unwrap_or_default(), "any order");
            prop_assert!((200..=501).contains(&status));
        }
    }

    #[test]
    fn no_message_panics_or_changes_anything_unasked(message in prop::collection::vec(any::<u8>(), 0..200)) {
        let settings = settings(&Value::Null);
        let mut registry = Registry::load(AccountId::default_account(), []).unwrap();
        let context = Context { now: UnixMillis(1), random: [1; 32], settings: &settings };
        let handled = registry.handle(&context, &message);
        prop_assert!(handled.writes.is_empty());
    }
}

fn endpoint(base: &str, key: &Value) -> Value {
    let mut config = json!({"openai_api_base": base});
    config.as_object_mut().unwrap().extend(key.as_object().unwrap().clone());
    let model = json!({"name": "m", "provider": "openai", "task": "llm/v1/chat", "openai_config": config});
    json!({"name": "e", "config": {"served_entities": [{"external_model": model}]}})
}

fn credential(world: &World) -> (String, String) {
    let snapshot = world.registry.snapshot();
    let Target::Http(upstream) = &snapshot.deployments[0].entities[0].target else { panic!("not http") };
    let UpstreamAuth::Bearer { sealed } = &upstream.auth else { panic!("not bearer") };
    (upstream.base.clone(), sealed.clone())
}

#[test]
fn a_credential_opens_for_its_upstream_only_and_follows_its_secret() {
    let mut world = World::new(settings(&Value::Null));
    let key = SealKey::parse("a passphrase for tests").unwrap();
    world.admin("POST", "/api/2.0/secrets/scopes/create", &json!({"scope": "s"}));
    world.admin(
        "POST",
        "/api/2.0/secrets/put",
        &json!({"scope": "s", "key": "k", "string_value": "CANARY-1"}),
    );
    let body = endpoint("https://A.example/v1/", &json!({"openai_api_key": "{{secrets/s/k}}"}));
    assert_eq!(world.admin("POST", "/api/2.0/serving-endpoints", &body).0, 200);
    assert!(world.registry.snapshot().deployments.is_empty(), "it is not ready before it was probed");
    let probe = world.probes[0].clone();
    assert_eq!(probe.url, "https://a.example/v1/models");
    assert_eq!(probe.headers, vec![("authorization".to_string(), "Bearer CANARY-1".to_string())]);
    assert!(!format!("{probe:?}").contains("CANARY"));
    world.probed(vec![ProbeOutcome { entity: "m".to_string(), status: Some(500), refusal: None }], "ready");
    let (base, sealed) = credential(&world);
    assert_eq!(base, "https://a.example/v1");
    assert_eq!(crate::seal::open(&key, &base, &sealed).as_deref(), Ok("CANARY-1"));
    assert!(crate::seal::open(&key, "https://b.example/v1", &sealed).is_err());
    let index = SnapshotIndex::build(world.registry.snapshot(), Some(&key)).unwrap();
    let entity = &index.find("E").unwrap().entities[0];
    assert_eq!(entity.url(Task::Chat), "https://a.example/v1/chat/completions");
    assert_eq!(entity.headers(), [("authorization".to_string(), "Bearer CANARY-1".to_string())]);
    let put = json!({"scope": "s", "key": "k", "string_value": "CANARY-2"});
    assert_eq!(world.admin("POST", "/api/2.0/secrets/put", &put).0, 200);
    assert_eq!(crate::seal::open(&key, &base, &credential(&world).1).as_deref(), Ok("CANARY-2"));
    let bad = json!({"scope": "s", "key": "k", "string_value": "line\nbreak"});
    assert_eq!(world.admin("POST", "/api/2.0/secrets/put", &bad).0, 400);
}

#[test]
fn an_update_that_is_never_settled_fails_and_a_late_outcome_changes_nothing() {
    let mut world = World::new(settings(&Value::Null));
    let body = endpoint("https://a.example/v1", &json!({"openai_api_key_plaintext": "CANARY"}));
    world.admin("POST", "/api/2.0/serving-endpoints", &body);
    let update = body["config"].clone();
    assert_eq!(world.admin("PUT", "/api/2.0/serving-endpoints/e/config", &update).0, 409);
    world.now += 60_000;
    let (_, answer) = world.admin("GET", "/api/2.0/serving-endpoints/e", &Value::Null);
    assert_eq!(answer["state"]["config_update"], "UPDATE_FAILED");
    let version = world.registry.state().version;
    world.probed(vec![ProbeOutcome { entity: "m".to_string(), status: Some(200), refusal: None }], "late");
    assert_eq!(world.registry.state().version, version);
    assert_eq!(world.admin("PUT", "/api/2.0/serving-endpoints/e/config", &update).0, 200);
    // A probe of a deleted endpoint does not reach one that was made later under its name.
    let old = world.probes.clone();
    world.admin("DELETE", "/api/2.0/serving-endpoints/e", &Value::Null);
    world.admin("POST", "/api/2.0/serving-endpoints", &body);
    world.probes = old;
    world.probed(
        vec![ProbeOutcome { entity: "m".to_string(), status: Some(200), refusal: None }],
        "of another",
    );
    assert!(world.registry.snapshot().deployments.is_empty());
}

#[test]
fn limits_in_the_snapshot_are_those_of_the_clouds() {
    let mut world = World::new(settings(&Value::Null));
    let base = "/subscriptions/s/resourceGroups/weir/providers/Microsoft.CognitiveServices/accounts/default";
    for (capacity, tokens, requests, burst) in
        [(1, 1000, 6, 1), (10, 10_000, 60, 10), (120, 120_000, 720, 120)]
    {
        let body = json!({"sku": {"name": "Standard", "capacity": capacity},
            "properties": {"model": {"format": "Weir", "name": "simulator-embed"}}});
        let path = format!("{base}/deployments/d?api-version=2025-09-01");
        assert!(world.admin("PUT", &path, &body).0 < 300);
        let limits = world.registry.snapshot().deployments[0].limits.clone();
        let got: Vec<_> =
            limits.iter().map(|limit| (limit.meter, limit.amount, limit.burst, limit.per.0)).collect();
        let expected =
            vec![(Meter::Requests, requests, burst, 60_000), (Meter::Tokens, tokens, tokens, 60_000)];
        assert_eq!(got, expected, "capacity {capacity}");
    }
}

#[test]
fn key_texts_work_by_their_hashes_and_account_keys_are_stable() {
    let mut world = World::new(settings(&Value::Null));
    let (_, answer) = world.admin("POST", "/api/weir/v1/keys", &json!({"name": "a"}));
    let text = answer["key"].as_str().unwrap();
    let entry = world.registry.snapshot().keys[0].clone();
    assert_eq!(entry.hash, crate::seal::key_hash(text));
    assert!(world.rows.values().all(|row| !row.contains(text)));
    let keys = "/subscriptions/s/resourceGroups/weir/providers/Microsoft.CognitiveServices/accounts/default";
    let list = format!("{keys}/listKeys?api-version=2025-09-01");
    let (_, first) = world.admin("POST", &list, &Value::Null);
    assert_eq!(world.admin("POST", &list, &Value::Null).1, first);
    let change = format!("{keys}/regenerateKey?api-version=2025-09-01");
    let (_, second) = world.admin("POST", &change, &json!({"keyName": "key1"}));
    assert_eq!((first["key2"].clone(), first["key1"] == second["key1"]), (second["key2"].clone(), false));
    let hashes: Vec<String> = world.registry.snapshot().keys.iter().map(|entry| entry.hash.clone()).collect();
    assert!(hashes.contains(&crate::seal::key_hash(second["key1"].as_str().unwrap())));
    assert!(!hashes.contains(&crate::seal::key_hash(first["key1"].as_str().unwrap())));
}

#[test]
fn a_snapshot_is_sent_only_when_it_is_new() {
    let mut world = World::new(settings(&Value::Null));
    assert_eq!(world.send(&json!({"snapshot": {"known": null}}), "first")["version"], 0);
    assert_eq!(world.send(&json!({"snapshot": {"known": 0}}), "same"), json!({"unchanged": 0}));
    world.admin("POST", "/api/weir/v1/keys", &json!({"name": "a"}));
    assert_eq!(world.send(&json!({"snapshot": {"known": 0}}), "new")["version"], 1);
    assert_eq!(world.send(&json!({"other": 1}), "unreadable")["error"], "the message cannot be read");
}

#[test]
fn bodies_beyond_one_mebibyte_are_refused_on_every_wire() {
    let mut world = World::new(settings(&Value::Null));
    let body = json!({"name": "x".repeat(BODY_BYTES_MAX)});
    let arm = "/subscriptions/s/resourceGroups/weir/providers/Microsoft.CognitiveServices/accounts/default";
    let arm = format!("{arm}/deployments/d?api-version=2025-09-01");
    for (method, path) in
        [("POST", "/api/weir/v1/keys"), ("POST", "/api/2.0/serving-endpoints"), ("PUT", &arm)]
    {
        assert_eq!(world.admin(method, path, &body).0, 413, "{path}");
    }
}

#[test]
fn damaged_rows_are_refused_by_name() {
    let row = |key: &str, value: &str| Row { key: key.to_owned(), value: value.to_owned() };
    let rows = [
        ("meta", row("version", "x")),
        ("keys", row("a", "{}")),
        ("scopes", row("a", "[]")),
        ("audit", row("x", r#"{"at":1,"actor":"a","action":"b","target":"c"}"#)),
        ("meta", row("other", "1")),
        ("nothing", row("a", "{}")),
    ];
    for (table, row) in rows {
        let error = Registry::load(AccountId::default_account(), [(table, vec![row.clone()])]).unwrap_err();
        assert_eq!((error.table.as_str(), error.key.as_str()), (table, row.key.as_str()));
    }
}
