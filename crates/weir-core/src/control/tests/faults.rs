//! A body of Databricks' management with any of these faults, alone or together, is refused whole and names each.

use super::*;

/// Where, what stands there instead, and how the answer names it.
type Fault = (&'static str, fn() -> Value, &'static str);

const FAULTS: [Fault; 22] = [
    (
        "/config/served_entities/0/external_model/task",
        || json!("llm/v1/sing"),
        "served_entities[0].external_model.task is unknown",
    ),
    (
        "/config/served_entities/0/external_model/openai_config/openai_api_key_plaintext",
        || json!(5),
        "openai_api_key_plaintext must be a string",
    ),
    (
        "/config/served_entities/0/external_model/openai_config/openai_api_base",
        || json!("http://10.0.0.1"),
        "openai_config.openai_api_base",
    ),
    (
        "/config/served_entities/0/entity_version",
        || json!("3"),
        "entity_version must not be given with an external model",
    ),
    (
        "/config/served_entities/2/external_model/name",
        || json!("\u{7}"),
        "served_entities[2].external_model.name must be at most 256 bytes",
    ),
    (
        "/config/traffic_config/routes/0/traffic_percentage",
        || json!(101),
        "routes[0].traffic_percentage must be 0 to 100",
    ),
    (
        "/config/traffic_config/routes/1/served_entity_name",
        || json!("none"),
        "names 'none', which is no served entity",
    ),
    ("/config/traffic_config/routes/2", || json!([]), "routes[2] must be an object"),
    (
        "/config/auto_capture_config/enabled",
        || json!(true),
        "auto_capture_config is not supported with external models",
    ),
    ("/tags/0/key", || json!(""), "tags[0].key must not be empty"),
    ("/tags/2/key", || json!("a"), "tags[2] names a key that was named before"),
    ("/rate_limits/0/renewal_period", || json!("hour"), "Invalid request: "),
    ("/rate_limits/0/calls", || json!(-1), "rate_limits[0].calls must be an integer"),
    ("/ai_gateway/rate_limits/0/key", || json!("planet"), "ai_gateway.rate_limits[0].key must be user"),
    (
        "/ai_gateway/rate_limits/1/principal",
        || json!(""),
        "ai_gateway.rate_limits[1].principal must be 1 to 256 bytes",
    ),
    ("/ai_gateway/fallback_config", || json!({}), "ai_gateway.fallback_config.enabled is required"),
    (
        "/ai_gateway/guardrails/input/pii/behavior",
        || json!("HIDE"),
        "pii.behavior must be NONE, BLOCK or MASK",
    ),
    (
        "/ai_gateway/inference_table_config/schema_name",
        || json!("a.b"),
        "inference_table_config.schema_name must be",
    ),
    ("/description", || json!(5), "description must be a string"),
    ("/route_optimized", || json!("x"), "route_optimized must be true or false"),
    ("/email_notifications", || json!(5), "email_notifications must be an object"),
    ("/budget_policy_id", || json!([]), "budget_policy_id must be a string"),
];

fn good() -> Value {
    let entity = |name: &str| {
        json!({"name": name, "entity_version": "", "external_model": {"name": "m", "provider": "openai", "task": "llm/v1/chat",
            "openai_config": {"openai_api_key_plaintext": "sk-CANARY", "openai_api_base": "https://a.example/v1"}}})
    };
    let route = |name: &str, share: u32| json!({"served_entity_name": name, "traffic_percentage": share});
    json!({
        "name": "e", "description": "d", "route_optimized": false, "email_notifications": {}, "budget_policy_id": "b",
        "config": {
            "served_entities": [entity("a"), entity("b"), entity("c")],
            "traffic_config": {"routes": [route("a", 50), route("b", 30), route("c", 20)]},
            "auto_capture_config": {},
        },
        "tags": [{"key": "x"}, {"key": "a"}, {"key": "b"}],
        "rate_limits": [{"calls": 1, "renewal_period": "minute"}],
        "ai_gateway": {
            "rate_limits": [{"calls": 1, "key": "user", "renewal_period": "minute"},
                {"tokens": 1, "key": "user_group", "principal": "g", "renewal_period": "minute"}],
            "fallback_config": {"enabled": true},
            "guardrails": {"input": {"pii": {"behavior": "BLOCK"}}},
            "inference_table_config": {"enabled": true, "catalog_name": "c", "schema_name": "s"},
        },
    })
}

/// Puts a value where there may be nothing yet.
fn set(body: &mut Value, pointer: &str, value: Value) {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap();
    match member.parse::<usize>() {
        Ok(at) => parent[at] = value,
        Err(_) => parent[member] = value,
    }
}

fn create(body: &Value) -> (u64, Value, World) {
    let mut world = World::new(settings(&Value::Null));
    let (status, answer) = world.admin("POST", "/api/2.0/serving-endpoints", body);
    (status, answer, world)
}

#[test]
fn the_body_without_faults_is_taken_and_each_fault_alone_is_named() {
    assert_eq!(create(&good()).0, 200);
    for (pointer, value, named) in FAULTS {
        let mut body = good();
        set(&mut body, pointer, value());
        let (status, answer, _) = create(&body);
        let message = answer["message"].as_str().unwrap();
        assert!(status == 400 && message.contains(named), "{pointer}: {answer}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_faults_together_are_all_named_and_nothing_is_made(chosen in prop::sample::subsequence((0..FAULTS.len()).collect::<Vec<_>>(), 1..FAULTS.len())) {
        let mut body = good();
        for at in &chosen {
            set(&mut body, FAULTS[*at].0, FAULTS[*at].1());
        }
        let (status, answer, world) = create(&body);
        prop_assert_eq!((status, &answer["error_code"]), (400, &json!("INVALID_PARAMETER_VALUE")));
        let message = answer["message"].as_str().unwrap();
        for at in chosen {
            prop_assert!(message.contains(FAULTS[at].2), "{} is not in {message}", FAULTS[at].2);
        }
        prop_assert!(!message.contains("CANARY") && world.registry.state().deployments.is_empty());
    }
}
