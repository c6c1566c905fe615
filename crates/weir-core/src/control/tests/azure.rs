//! What commands over ARM change for callers: keys, suspended endpoints, network rules.

use super::*;
use crate::auth::{AuthError, Presented, admit_address, authenticate};
use crate::policy::Side;
use crate::snapshot::network::Barred;
use crate::surface::{HEADER_COUNT, HEADERS, HeaderValues};

pub(super) const ACCOUNT: &str =
    "/subscriptions/s/resourceGroups/weir/providers/Microsoft.CognitiveServices/accounts/default";
pub(super) const WORKSPACE: &str =
    "/subscriptions/s/resourceGroups/weir/providers/Microsoft.MachineLearningServices/workspaces/default";
pub(super) const LLAMA: &str = "azureml://registries/azureml-meta/models/Meta-Llama-3-8B-Instruct";
pub(super) const VERSION: &str = "?api-version=2025-09-01";

pub(super) fn world() -> World {
    World::new(settings(&Value::Null))
}

pub(super) fn done(world: &mut World, method: &str, path: &str, body: &Value) -> Value {
    let (status, answer) = world.admin(method, &format!("{path}{VERSION}"), body);
    assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    answer
}

fn index(world: &World) -> SnapshotIndex {
    SnapshotIndex::build(world.registry.snapshot(), world.settings.seal_key.as_ref()).unwrap()
}

/// A catalog entry with an upstream, a subscription and an endpoint of it; answers the endpoint's path.
pub(super) fn llama(world: &mut World) -> String {
    let model = json!({"name": "l", "provider": "openai", "task": "llm/v1/chat", "openai_config": {
        "openai_api_base": "https://up.example/v1", "openai_api_key_plaintext": "CANARY"}});
    let backends = json!({"backends": [{"external_model": model}]});
    done(world, "PUT", "/api/weir/v1/catalog/models/Meta-Llama-3-8B-Instruct", &backends);
    let subscription = format!("{WORKSPACE}/marketplaceSubscriptions/llama");
    done(world, "PUT", &subscription, &json!({"properties": {"modelId": LLAMA}}));
    let endpoint = format!("{WORKSPACE}/serverlessEndpoints/Llama");
    let body = json!({"location": "eastus2", "properties": {"modelSettings": {"modelId": LLAMA}}});
    done(world, "PUT", &endpoint, &body);
    endpoint
}

fn opens<'i>(index: &'i SnapshotIndex, key: &str) -> Result<&'i str, AuthError> {
    let presented = Presented { authorization: None, api_key: Some(key), x_api_key: None };
    let caller = authenticate(index, None, &presented, UnixMillis(0))?;
    let bound = index.key(&digest(key.as_bytes())).unwrap().deployments.as_deref();
    assert_eq!(bound.is_some_and(|names| names == ["llama"]), caller.key.starts_with("Llama."));
    Ok(caller.key)
}

#[test]
fn regenerating_one_key_of_an_endpoint_closes_it_and_keeps_the_other() {
    let mut world = world();
    let endpoint = llama(&mut world);
    let keys = done(&mut world, "POST", &format!("{endpoint}/listKeys"), &Value::Null);
    let (first, second) = (keys["primaryKey"].as_str().unwrap(), keys["secondaryKey"].as_str().unwrap());
    assert_eq!(opens(&index(&world), first), Ok("Llama.primary"));
    assert_eq!(opens(&index(&world), second), Ok("Llama.secondary"));
    // The client fills in the current key: taken as a wish it would keep the leaked key alive.
    let body = json!({"keyType": "Primary", "keyValue": first});
    let fresh = done(&mut world, "POST", &format!("{endpoint}/regenerateKeys"), &body);
    assert_ne!(fresh["primaryKey"].as_str().unwrap(), first);
    assert_eq!(fresh["secondaryKey"].as_str().unwrap(), second);
    assert_eq!(opens(&index(&world), first), Err(AuthError::UnknownKey));
    assert_eq!(opens(&index(&world), second), Ok("Llama.secondary"));
    let own = format!("wk_default_{}", "x".repeat(43));
    let body = json!({"keyType": "secondary", "keyValue": own});
    done(&mut world, "POST", &format!("{endpoint}/regenerateKeys"), &body);
    assert_eq!(opens(&index(&world), &own), Ok("Llama.secondary"));
    let body = json!({"location": "eastus2", "properties": {"authMode": "AAD", "modelSettings": {"modelId": LLAMA}}});
    done(&mut world, "PUT", &endpoint, &body);
    assert_eq!(opens(&index(&world), &own), Err(AuthError::UnknownKey), "keys are off");
}

#[test]
fn an_endpoint_has_the_default_limits_and_follows_its_subscription() {
    let mut world = world();
    llama(&mut world);
    let find = |world: &World| world.registry.snapshot().deployments[0].clone();
    let limits: Vec<_> =
        find(&world).limits.iter().map(|limit| (limit.meter, limit.amount, limit.burst)).collect();
    assert_eq!(limits, [(Meter::Requests, 1_000, 1_000), (Meter::Tokens, 200_000, 200_000)]);
    let own = find(&world).serverless.unwrap();
    assert_eq!((own.region.as_str(), own.suspended, own.content_safety), ("eastus2", false, true));
    assert_eq!(find(&world).publisher, "Meta");
    let subscription = format!("{WORKSPACE}/marketplaceSubscriptions/llama");
    done(&mut world, "DELETE", &subscription, &Value::Null);
    assert!(find(&world).serverless.unwrap().suspended);
    done(&mut world, "PUT", &subscription, &json!({"properties": {"modelId": LLAMA}}));
    assert!(!find(&world).serverless.unwrap().suspended);
    done(
        &mut world,
        "PUT",
        "/api/weir/v1/defaults",
        &json!({"endpoints": {"LLAMA": {"tokens_per_minute": 7}}}),
    );
    assert_eq!(find(&world).limits[1].amount, 7);
}

#[test]
fn an_endpoints_content_safety_may_name_a_classifier() {
    let mut world = world();
    let endpoint = llama(&mut world);
    let classifier = "/api/weir/v1/classifiers/guard";
    done(&mut world, "PUT", classifier, &json!({"service": "deployment", "deployment": "llama"}));
    let body = |safety: Value| json!({"location": "eastus2", "properties": {"modelSettings": {"modelId": LLAMA}, "contentSafety": safety}});
    let named = |world: &World| {
        let snapshot = world.registry.snapshot();
        let policy = snapshot.deployments[0].content_policy.clone();
        let own = snapshot.content.policies.iter().find(|known| Some(&known.name) == policy.as_ref());
        own.and_then(|own| own.classifier.clone())
    };
    assert_eq!(named(&world), None);
    let shown = done(&mut world, "PUT", &endpoint, &body(json!({"weirClassifier": "Guard"})));
    let safety = json!({"contentSafetyStatus": "Enabled", "weirClassifier": "Guard"});
    assert_eq!(shown["properties"]["contentSafety"], safety);
    assert_eq!(named(&world).as_deref(), Some("Guard"));
    let policy = index(&world).find("llama").unwrap().policy.clone().unwrap();
    assert!(policy.classifier(Side::Completion).is_some());
    // A client that does not know the member says nothing of content safety, and changes none.
    let plain = json!({"location": "eastus2", "tags": {"a": "b"}, "properties": {"modelSettings": {"modelId": LLAMA}}});
    done(&mut world, "PUT", &endpoint, &plain);
    done(&mut world, "PATCH", &endpoint, &json!({"tags": {"a": "c"}}));
    assert_eq!(named(&world).as_deref(), Some("Guard"));
    let (status, answer) = world.admin("DELETE", classifier, &Value::Null);
    assert_eq!(status, 409, "{answer}");
    let bad = body(json!({"contentSafetyStatus": "Disabled", "weirClassifier": "guard"}));
    let (status, answer) = world.admin("PUT", &format!("{endpoint}{VERSION}"), &bad);
    assert_eq!(status, 400);
    assert_eq!(answer["error"]["details"][0]["target"], "properties.contentSafety.weirClassifier");
    done(&mut world, "PUT", &endpoint, &body(json!({"contentSafetyStatus": "Enabled"})));
    assert_eq!(named(&world), None);
    let (status, _) = world.admin("DELETE", classifier, &Value::Null);
    assert_eq!(status, 204);
}

#[test]
fn a_deployment_follows_the_default_version_as_it_was_told() {
    let mut world = world();
    let entry = |versions: Value, default: &str| {
        json!({"format": "W", "publisher": "W", "task": "llm/v1/chat", "versions": versions, "default_version": default,
            "backends": [{"external_model": {"name": "m", "provider": "simulator", "task": "llm/v1/chat"}}]})
    };
    done(&mut world, "PUT", "/api/weir/v1/catalog/models/m", &entry(json!(["1", "2"]), "1"));
    for option in ["OnceNewDefaultVersionAvailable", "OnceCurrentVersionExpired", "NoAutoUpgrade"] {
        let body = json!({"sku": {"name": "Standard"}, "properties": {"versionUpgradeOption": option,
            "model": {"format": "W", "name": "m", "version": "1"}}});
        done(&mut world, "PUT", &format!("{ACCOUNT}/deployments/{option}"), &body);
    }
    // In the order of their names: expired, newer default, never.
    for (versions, default, expected) in [
        (json!(["1", "2"]), "1", ["1", "1", "1"]),
        (json!(["1", "2"]), "2", ["1", "2", "1"]),
        (json!(["2"]), "2", ["2", "2", "1"]),
    ] {
        done(&mut world, "PUT", "/api/weir/v1/catalog/models/m", &entry(versions, default));
        let list = done(&mut world, "GET", &format!("{ACCOUNT}/deployments"), &Value::Null);
        let rows: SortedMap<String, String> = list["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                (text(&row["name"]), text(&row["properties"]["model"]["version"]))
            })
            .collect();
        let got: Vec<&str> = ["OnceCurrentVersionExpired", "OnceNewDefaultVersionAvailable", "NoAutoUpgrade"]
            .iter()
            .map(|name| rows[*name].as_str())
            .collect();
        assert_eq!(got, expected, "{default}");
    }
}

fn admitted(index: &SnapshotIndex, serverless: bool, address: &str) -> Result<(), AuthError> {
    let mut slots = [None; HEADER_COUNT];
    slots[HEADERS.iter().position(|name| *name == "cf-connecting-ip").unwrap()] = Some(address);
    admit_address(index, serverless, &HeaderValues::new(slots))
}

#[test]
fn accounts_and_workspaces_are_open_only_as_their_rules_say() {
    let mut world = world();
    let deny = json!({"defaultAction": "Deny", "ipRules": [{"value": "203.0.113.0/24"}, {"value": "2001:db8::/32"}]});
    let (open, closed) = (Ok(()), Err(AuthError::Barred(Barred::Closed)));
    let other = Err(AuthError::Barred(Barred::Address));
    // Resource, properties; then for the account and for endpoints: inside the rules, outside.
    let rows = [
        (ACCOUNT, json!({"networkAcls": deny}), [open, other, open, open]),
        (ACCOUNT, json!({"networkAcls": {"defaultAction": "Allow"}}), [open; 4]),
        (
            ACCOUNT,
            json!({"publicNetworkAccess": "Disabled", "networkAcls": deny}),
            [closed, closed, open, open],
        ),
        (WORKSPACE, json!({"publicNetworkAccess": "disabled"}), [closed, closed, closed, closed]),
        (ACCOUNT, json!({"publicNetworkAccess": "Enabled"}), [open, other, closed, closed]),
    ];
    for (resource, properties, expected) in rows {
        done(&mut world, "PATCH", resource, &json!({"properties": properties}));
        let index = index(&world);
        let got = [(false, "203.0.113.9"), (false, "198.51.100.1"), (true, "2001:db8::1"), (true, "::1")]
            .map(|(serverless, address)| admitted(&index, serverless, address));
        assert_eq!(got, expected, "{resource} {properties}");
    }
}

#[test]
fn an_account_without_local_auth_takes_no_account_keys() {
    let mut world = world();
    let keys = done(&mut world, "POST", &format!("{ACCOUNT}/listKeys"), &Value::Null);
    let key = keys["key1"].as_str().unwrap();
    assert_eq!(opens(&index(&world), key), Ok("key1"));
    done(&mut world, "PATCH", ACCOUNT, &json!({"properties": {"disableLocalAuth": true}}));
    assert_eq!(opens(&index(&world), key), Err(AuthError::KeysDisabled));
    let (status, _) = world.admin("POST", &format!("{ACCOUNT}/listKeys{VERSION}"), &Value::Null);
    assert_eq!(status, 400);
}
