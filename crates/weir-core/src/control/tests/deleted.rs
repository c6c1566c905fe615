//! Accounts that were deleted: what isolates see of them, until when they can be restored.

use super::azure::{ACCOUNT, VERSION, done, world};
use super::*;

const DELETED: &str = "/subscriptions/s/providers/Microsoft.CognitiveServices/locations/eastus2/resourceGroups/weir/deletedAccounts/default";

fn filled(world: &mut World) {
    let chat = json!({"sku": {"name": "Standard"}, "properties": {"model": {"format": "Weir", "name": "simulator-chat"}}});
    done(world, "PUT", &format!("{ACCOUNT}/deployments/Chat"), &chat);
    done(world, "POST", &format!("{ACCOUNT}/listKeys"), &Value::Null);
}

/// Names of the deployments that isolates know, and how many keys.
fn seen(world: &World) -> (Vec<String>, usize) {
    let snapshot = world.registry.snapshot();
    (snapshot.deployments.iter().map(|row| row.name.to_string()).collect(), snapshot.keys.len())
}

#[test]
fn a_restored_account_is_what_it_was() {
    let mut world = world();
    filled(&mut world);
    let keys = done(&mut world, "POST", &format!("{ACCOUNT}/listKeys"), &Value::Null);
    let before = seen(&world);
    assert_eq!(before, (Vec::from(["Chat".to_owned()]), 2));
    done(&mut world, "DELETE", ACCOUNT, &Value::Null);
    assert_eq!(seen(&world), (Vec::new(), 0), "nothing of it is served");
    done(&mut world, "PUT", ACCOUNT, &json!({"location": "eastus2", "properties": {"restore": true}}));
    assert_eq!(seen(&world), before);
    assert_eq!(done(&mut world, "POST", &format!("{ACCOUNT}/listKeys"), &Value::Null), keys);
    assert!(!world.registry.state().documents.keys().any(|key| key.starts_with("deleted/")));
}

#[test]
fn a_deleted_account_is_kept_for_two_days() {
    let mut world = world();
    filled(&mut world);
    done(&mut world, "DELETE", ACCOUNT, &Value::Null);
    let restore = json!({"location": "eastus2", "properties": {"restore": true}});
    world.now += (48 * 3600 - 60) * 1000;
    assert_eq!(world.admin("GET", &format!("{DELETED}{VERSION}"), &Value::Null).0, 200);
    world.now += 61_000;
    assert_eq!(world.admin("GET", &format!("{DELETED}{VERSION}"), &Value::Null).0, 404);
    assert_eq!(world.admin("PUT", &format!("{ACCOUNT}{VERSION}"), &restore).0, 404);
    let (status, _) = world.admin("PUT", &format!("{ACCOUNT}{VERSION}"), &json!({"location": "eastus2"}));
    assert_eq!(status, 201, "its name is free");
    assert_eq!(seen(&world), (Vec::new(), 0));
    assert!(
        !world.registry.state().documents.keys().any(|key| key.starts_with("deleted/")),
        "and it is gone"
    );
}

#[test]
fn a_name_that_was_taken_meanwhile_is_not_taken_back() {
    let mut world = world();
    filled(&mut world);
    done(&mut world, "DELETE", ACCOUNT, &Value::Null);
    let entity = json!({"name": "e", "external_model": {"name": "m", "provider": "openai", "task": "llm/v1/chat",
        "openai_config": {"openai_api_base": "https://up.example/v1", "openai_api_key_plaintext": "CANARY"}}});
    let endpoint = json!({"name": "chat", "config": {"served_entities": [entity]}});
    done(&mut world, "POST", "/api/2.0/serving-endpoints", &endpoint);
    let before = world.registry.state().clone();
    let restore = json!({"location": "eastus2", "properties": {"restore": true}});
    let (status, answer) = world.admin("PUT", &format!("{ACCOUNT}{VERSION}"), &restore);
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("Conflict")), "{answer}");
    assert!(before == *world.registry.state());
}
