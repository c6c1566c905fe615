//! Several accounts and their directory: who may manage what, as the front and the Registries find it out together.

use crate::control::answer::ManagementRequest;
use crate::control::front::{FrontPlan, plan};
use crate::control::{Context, Registry, Settings};
use crate::id::{AccountId, RequestId};
use crate::seal::digest;
use crate::sorted::SortedMap;
use crate::time::UnixMillis;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use serde_json::{Value, json};

const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
const CONTRIBUTOR: &str = "b24988ac-6180-42a0-ab88-20f7382dd24c";
const OWNER: &str = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";

/// An installation: its Registries by account.
struct Installation {
    settings: Settings,
    registries: SortedMap<String, Registry>,
    messages: u8,
    hops: usize,
}

impl Installation {
    fn new() -> Self {
        let settings =
            Settings { admin_token_hash: Some(digest(b"admin")), dev: true, ..Settings::default() };
        Self { settings, registries: SortedMap::new(), messages: 0, hops: 0 }
    }

    fn send(&mut self, account: &AccountId, message: &[u8]) -> Value {
        self.messages = self.messages.wrapping_add(1);
        self.hops += 1;
        let random = digest(&[self.messages]);
        let context = Context { now: UnixMillis(1_700_000_000_000), random, settings: &self.settings };
        let new = || Registry::load(account.clone(), []).unwrap();
        let registry = self.registries.entry(account.to_string()).or_insert_with(new);
        serde_json::from_slice(&registry.handle(&context, message).reply).unwrap()
    }

    /// Status and body; 200 with the account for a question to its ledger.
    fn ask(&mut self, token: &str, method: &str, path: &str, body: &Value) -> (u64, Value) {
        let mut request = ManagementRequest {
            method: method.to_owned(),
            url: format!("https://weir.test{path}"),
            authorization: Some(format!("Bearer {token}")),
            body: body.to_string(),
            ..ManagementRequest::default()
        };
        self.hops = 0;
        loop {
            match plan(&request, &self.settings, RequestId(1)) {
                FrontPlan::Identify(account, message) => {
                    assert!(self.hops < 4, "a caller is found in few steps");
                    request.identity = serde_json::from_value(self.send(&account, &message)).unwrap();
                }
                FrontPlan::Registry(account) => {
                    let message = json!({"http": request}).to_string();
                    let answer = self.send(&account, message.as_bytes());
                    if let Some(errand) = answer.get("errand").filter(|errand| !errand.is_null()) {
                        self.send(&AccountId::default_account(), errand["message"].to_string().as_bytes());
                    }
                    if answer["ledger"] == json!(true) {
                        return (200, answer["body"].clone());
                    }
                    let body = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap_or(Value::Null);
                    return (answer["status"].as_u64().unwrap(), body);
                }
                FrontPlan::Accounts(message) => {
                    let found = self.send(&AccountId::default_account(), &message);
                    request.accounts = serde_json::from_value(found).unwrap();
                }
                FrontPlan::Usage(accounts) => match accounts.as_slice() {
                    [one] => return (200, json!(one)),
                    several => return (200, json!(several)),
                },
                FrontPlan::Reply(answer) => {
                    let body = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
                    return (u64::from(answer.status), body);
                }
            }
        }
    }

    fn admin(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask("admin", method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {answer}");
        answer
    }

    /// A principal with a token and a role.
    fn person(&mut self, name: &str, role: &str, scope: &str) -> (String, String) {
        let id = self.admin("POST", "/api/weir/v1/principals", &json!({"name": name}))["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let token = self.admin("POST", &format!("/api/weir/v1/principals/{id}/tokens"), &json!({}));
        let body = json!({"properties": {"roleDefinitionId": role, "principalId": id}});
        let assignment =
            format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{id}?api-version=2022-04-01");
        self.admin("PUT", &assignment, &body);
        (id, token["token"].as_str().unwrap().to_owned())
    }
}

/// A user of a workspace, without any role, and a token of its own.
fn user(weir: &mut Installation, name: &str, account: &str) -> (String, String) {
    let made =
        weir.admin("POST", &format!("/api/weir/v1/principals?account={account}"), &json!({"name": name}));
    let id = made["id"].as_str().unwrap().to_owned();
    let token = weir.admin("POST", &format!("/api/weir/v1/principals/{id}/tokens"), &json!({}));
    (id, token["token"].as_str().unwrap().to_owned())
}

fn endpoint(name: &str) -> Value {
    let model = json!({"name": "sim", "provider": "simulator", "task": "llm/v1/chat"});
    json!({"name": name, "config": {"served_entities": [{"name": "a", "external_model": model}]}})
}

#[test]
fn what_callers_said_is_for_who_manages_the_endpoint_since_it_was_made() {
    let mut weir = Installation::new();
    let (_, ana) = user(&mut weir, "ana", "default");
    let (_, bob) = user(&mut weir, "bob", "default");
    let (_, tom) = user(&mut weir, "tom", "team-a");
    let made = "/api/2.0/serving-endpoints";
    assert_eq!(weir.ask(&ana, "POST", made, &endpoint("mine")).0, 200);
    assert_eq!(weir.ask(&tom, "POST", made, &endpoint("toms")).0, 200);
    let table = |query: &str| format!("/api/weir/v1/databricks/inference_table{query}");
    let since = |query: &str| json!(format!("since=1700000000000&{query}"));
    let rows = [
        (&ana, table("?deployment=MINE&limit=3"), (200, since("deployment=MINE&limit=3"))),
        (&ana, table("?since=0&deployment=mine"), (200, since("deployment=mine"))),
        (&tom, table("?account=team-a&deployment=toms"), (200, since("account=team-a&deployment=toms"))),
    ];
    for (token, path, want) in rows {
        assert_eq!(weir.ask(token, "GET", &path, &Value::Null), want, "{path}");
    }
    let refused = [
        (&bob, "?deployment=mine"),
        (&tom, "?deployment=mine"),
        (&ana, "?account=team-a&deployment=toms"),
        (&ana, "?deployment=nothing"),
        (&ana, ""),
    ];
    for (token, query) in refused {
        let (status, body) = weir.ask(token, "GET", &table(query), &Value::Null);
        assert_eq!((status, body["error"]["code"].as_str()), (403, Some("Forbidden")), "{query}");
    }
    assert_eq!(weir.admin("GET", &table("?deployment=mine"), &Value::Null), json!(""));
    assert_eq!(weir.ask(&ana, "POST", &table("?deployment=mine"), &Value::Null).0, 405);
}

#[test]
fn a_workspace_does_not_see_the_endpoints_of_another() {
    let mut weir = Installation::new();
    let (_, ana) = user(&mut weir, "ana", "team-a");
    let (_, eve) = user(&mut weir, "eve", "team-a");
    let (_, ben) = user(&mut weir, "ben", "team-b");
    let all = "/api/2.0/serving-endpoints";
    let (_, made) = weir.ask(&ana, "POST", all, &endpoint("e"));
    let permissions = format!("/api/2.0/permissions/serving-endpoints/{}", made["id"].as_str().unwrap());
    let names = |weir: &mut Installation, token: &str| {
        let (_, body) = weir.ask(token, "GET", all, &Value::Null);
        let list = body["endpoints"].as_array().unwrap().clone();
        list.iter()
            .map(|endpoint| endpoint["name"].as_str().unwrap().to_owned())
            .collect::<alloc::vec::Vec<_>>()
    };
    assert_eq!(names(&mut weir, &ana), ["e"]);
    assert!(names(&mut weir, &eve).is_empty() && names(&mut weir, &ben).is_empty());
    // The same name is free in the other workspace, and another endpoint there.
    assert_eq!(weir.ask(&ben, "GET", &format!("{all}/e"), &Value::Null).0, 404);
    assert_eq!(weir.ask(&ben, "POST", all, &endpoint("e")).0, 200);
    assert_eq!(weir.ask(&eve, "GET", &format!("{all}/e"), &Value::Null).0, 403);
    assert_eq!(weir.ask(&ben, "GET", &permissions, &Value::Null).0, 404, "an id of another workspace");
    let give = json!({"access_control_list": [{"user_name": "eve", "permission_level": "CAN_VIEW"}]});
    assert_eq!(weir.ask(&ben, "PATCH", &permissions, &give).0, 404);
    assert_eq!(weir.ask(&eve, "PATCH", &permissions, &give).0, 403);
    assert_eq!(weir.ask(&ana, "PATCH", &permissions, &give).0, 200);
    assert_eq!(names(&mut weir, &eve), ["e"]);
    let (_, shown) = weir.ask(&eve, "GET", &format!("{all}/e"), &Value::Null);
    assert_eq!((&shown["permission_level"], &shown["creator"]), (&json!("CAN_VIEW"), &json!("ana")));
    assert_eq!(weir.ask(&eve, "DELETE", &format!("{all}/e"), &Value::Null).0, 403);
    // What is given in one workspace is given in no other.
    assert_eq!(weir.ask(&ben, "DELETE", &format!("{all}/e"), &Value::Null).0, 200);
    assert_eq!(names(&mut weir, &ana), ["e"]);
}

fn account(subscription: &str, group: &str, name: &str) -> String {
    format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.CognitiveServices/accounts/{name}"
    )
}

fn deployment(capacity: u64) -> Value {
    json!({"sku": {"name": "Standard", "capacity": capacity},
        "properties": {"model": {"format": "Weir", "name": "simulator-chat"}}})
}

#[test]
fn a_role_at_a_subscription_holds_in_every_account_below_and_in_no_other() {
    let mut weir = Installation::new();
    let version = "?api-version=2025-09-01";
    let (ours, theirs) = (account("s1", "g1", "team-a"), account("s2", "g2", "team-b"));
    for path in [&ours, &theirs] {
        weir.admin("PUT", &format!("{path}/deployments/d{version}"), &deployment(1));
    }
    let (_, token) = weir.person("ana", CONTRIBUTOR, "/subscriptions/s1");
    let rows = [
        ("GET", format!("{ours}/deployments/d{version}"), 200),
        ("PUT", format!("{ours}/deployments/e{version}"), 201),
        ("GET", format!("{theirs}/deployments/d{version}"), 403),
        ("PUT", format!("{theirs}/deployments/e{version}"), 403),
        // Another's account does not become hers by being called a part of her subscription.
        ("GET", format!("{}/deployments/d{version}", account("s1", "mine", "team-b")), 403),
        ("PUT", format!("{}/deployments/e{version}", account("s1", "mine", "team-b")), 403),
        ("PUT", format!("{}/deployments/e{version}", account("s1", "mine", "default")), 403),
        // What nobody has written under yet is where she says.
        ("PUT", format!("{}/deployments/e{version}", account("s1", "mine", "team-c")), 201),
        ("GET", "/api/weir/v1/usage?account=team-a".to_owned(), 200),
        ("GET", "/api/weir/v1/usage?account=team-b".to_owned(), 403),
        ("GET", "/api/weir/v1/usage".to_owned(), 403),
        ("GET", format!("{ours}/deployments/d/providers/Microsoft.Insights/metrics{version}"), 200),
        ("GET", format!("{theirs}/deployments/d/providers/Microsoft.Insights/metrics{version}"), 403),
        (
            "GET",
            format!("{}/providers/Microsoft.Insights/metrics{version}", account("s1", "mine", "team-b")),
            403,
        ),
        ("POST", format!("/subscriptions/s1/providers/Microsoft.CostManagement/query{version}"), 200),
        ("POST", format!("/subscriptions/s2/providers/Microsoft.CostManagement/query{version}"), 403),
    ];
    for (method, path, expected) in rows {
        let (status, body) = weir.ask(&token, method, &path, &deployment(1));
        assert_eq!(status, expected, "{method} {path}: {body}");
    }
}

#[test]
fn a_key_of_another_account_has_the_roles_of_its_principal() {
    let mut weir = Installation::new();
    let (id, _) = weir.person("ana", READER, "/subscriptions/s1");
    weir.admin(
        "PUT",
        &format!("{}/deployments/d?api-version=2025-09-01", account("s1", "g1", "team-a")),
        &deployment(1),
    );
    let own = weir.admin("POST", "/api/weir/v1/keys?account=team-a", &json!({"name": "own"}));
    let hers =
        weir.admin("POST", "/api/weir/v1/keys?account=team-a", &json!({"name": "hers", "principal_id": id}));
    let path = format!("{}/deployments/d?api-version=2025-09-01", account("s1", "g1", "team-a"));
    assert_eq!(weir.ask(own["key"].as_str().unwrap(), "GET", &path, &Value::Null).0, 403);
    assert_eq!(weir.ask(hers["key"].as_str().unwrap(), "GET", &path, &Value::Null).0, 200);
    assert_eq!(weir.hops, 3, "the key's account, the directory, the account asked about");
    assert_eq!(weir.ask("wk_team-a_nothing", "GET", &path, &Value::Null).0, 401);
    // A principal that works in another account has tokens that name it; the directory knows them.
    let made = weir.admin("POST", "/api/weir/v1/principals?account=team-a", &json!({"name": "tom"}));
    let tom = made["id"].as_str().unwrap().to_owned();
    let token = weir.admin("POST", &format!("/api/weir/v1/principals/{tom}/tokens"), &json!({}));
    let token = token["token"].as_str().unwrap();
    assert!(token.starts_with("wk_team-a_"), "{made}");
    assert_eq!(weir.ask(token, "GET", &path, &Value::Null).0, 403);
    // Who owns the account may make keys in it, but not in another's name.
    let (_, owner) = weir.person("olga", OWNER, "/subscriptions/s1");
    let keys = "/api/weir/v1/keys?account=team-a";
    assert_eq!(weir.ask(&owner, "POST", keys, &json!({"name": "x"})).0, 201);
    assert_eq!(weir.ask(&owner, "POST", "/api/weir/v1/keys", &json!({"name": "x"})).0, 403);
}

#[test]
fn the_directory_knows_the_accounts_of_a_subscription_and_of_a_group() {
    let mut all = Installation::new();
    for (subscription, group, account) in [("S1", "g1", "one"), ("s1", "G2", "two"), ("s2", "g1", "three")] {
        let path = format!(
            "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.CognitiveServices/accounts/{account}"
        );
        let body = json!({"location": "eastus2"});
        all.admin("PUT", &format!("{path}?api-version=2025-09-01"), &body);
    }
    let cost = "providers/Microsoft.CostManagement/query?api-version=2023-03-01";
    let asked = all.admin("POST", &format!("/subscriptions/s1/{cost}"), &json!({}));
    assert_eq!(asked, json!(["one", "two"]));
    let (_, reader) = all.person("reader", READER, "/subscriptions/S1");
    let path = format!("/subscriptions/S1/resourceGroups/g1/{cost}");
    assert_eq!(all.ask(&reader, "POST", &path, &json!({})), (200, json!("one")));
    assert_eq!(all.ask(&reader, "POST", &format!("/subscriptions/s2/{cost}"), &json!({})).0, 403);
    assert_eq!(all.ask(&reader, "GET", "/metrics", &json!({})).0, 403);
    assert_eq!(all.admin("GET", "/metrics", &json!({})), json!(["default", "one", "three", "two"]));
    let mut ask = |subscription: Option<&str>, group: Option<&str>| {
        let message = json!({"accounts": {"subscription": subscription, "group": group}}).to_string();
        all.send(&AccountId::default_account(), message.as_bytes())
    };
    assert_eq!(ask(None, None), json!(["default", "one", "three", "two"]));
    assert_eq!(ask(Some("s1"), None), json!(["one", "two"]));
    assert_eq!(ask(Some("S1"), Some("G1")), json!(["one"]));
    assert_eq!(ask(Some("nobody's"), None), json!([]));
    assert_eq!(ask(Some("00000000-0000-0000-0000-000000000000"), Some("weir")), json!(["default"]));
}

#[test]
fn the_rights_of_roles_reach_isolates_as_bits_at_scopes() {
    let mut weir = Installation::new();
    let user = "a97b65f3-24c7-4388-baec-2e87135dc908";
    let (id, _) = weir.person("ana", user, "/subscriptions/S1/");
    let (other, _) = weir.person("bob", OWNER, "/subscriptions/s1");
    let group = weir.admin(
        "POST",
        "/api/weir/v1/principals",
        &json!({"name": "g", "kind": "group", "members": [other]}),
    );
    let body = json!({"properties": {"roleDefinitionId": user, "principalId": group["id"]}});
    let assignment =
        "/providers/Microsoft.Authorization/roleAssignments/aaaaaaaa-0000-0000-0000-000000000001";
    weir.admin("PUT", &format!("{assignment}?api-version=2022-04-01"), &body);
    let access = weir.registries["default"].snapshot().access;
    let given = |id: &str| {
        let entry = access.principals.iter().find(|entry| entry.id == id).unwrap();
        entry
            .given
            .iter()
            .map(|given| (given.scope.as_str(), given.rights.count_ones()))
            .collect::<alloc::vec::Vec<_>>()
    };
    assert_eq!(given(&id), [("/subscriptions/s1", 11)]);
    assert_eq!(given(&other), [("", 11)], "an owner has no data action of its own, but its group has");
    assert_eq!(access.tokens.len(), 2);
    let shown = serde_json::to_string(&access).unwrap();
    assert!(!shown.contains("wk_"), "{shown}");
}
