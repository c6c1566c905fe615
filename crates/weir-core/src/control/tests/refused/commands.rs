//! The commands whose bodies are broken: a good body of each, and what breaks a rule of it.

use super::super::azure::{ACCOUNT, LLAMA, VERSION, WORKSPACE};
use super::*;

/// A command with a good body.
pub(super) struct Command {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) good: Value,
    /// Path of a member (list positions as numbers) and a value that it cannot have.
    pub(super) faults: Vec<(&'static str, Value)>,
}

impl Command {
    pub(super) fn clone_parts(&self) -> Self {
        Self {
            method: self.method,
            path: self.path.clone(),
            good: self.good.clone(),
            faults: self.faults.clone(),
        }
    }
}

pub(super) fn arm(
    method: &'static str,
    path: &str,
    good: Value,
    faults: Vec<(&'static str, Value)>,
) -> Command {
    Command { method, path: format!("{path}{VERSION}"), good, faults }
}

pub(super) fn own(
    method: &'static str,
    path: &str,
    good: Value,
    faults: Vec<(&'static str, Value)>,
) -> Command {
    Command { method, path: format!("/api/weir/v1{path}"), good, faults }
}

/// What is no text, no object, no list and no flag is wrong nearly everywhere.
pub(super) fn seventeen(paths: &[&'static str]) -> Vec<(&'static str, Value)> {
    paths.iter().map(|path| (*path, json!(17))).collect()
}

fn resources() -> Vec<Command> {
    let account = json!({"location": "eastus2", "kind": "AIServices", "sku": {"name": "S0"}, "tags": {"a": "b"},
        "properties": {"publicNetworkAccess": "Enabled", "disableLocalAuth": false, "networkAcls": {
        "defaultAction": "Deny", "bypass": "None", "ipRules": [{"value": "203.0.113.7"}], "virtualNetworkRules": []}}});
    let mut faults = seventeen(&[
        "location",
        "kind",
        "tags",
        "tags.a",
        "sku",
        "sku.name",
        "properties",
        "properties.publicNetworkAccess",
        "properties.disableLocalAuth",
        "properties.networkAcls",
        "properties.networkAcls.defaultAction",
        "properties.networkAcls.bypass",
        "properties.networkAcls.ipRules",
        "properties.networkAcls.ipRules.0",
        "properties.networkAcls.ipRules.0.value",
        "properties.networkAcls.virtualNetworkRules",
    ]);
    faults.extend([
        ("location", json!("???")),
        ("properties.restore", json!("yes")),
        ("properties.publicNetworkAccess", json!("Sometimes")),
        ("properties.networkAcls.ipRules.0.value", json!("203.0.113.0/33")),
        ("properties.networkAcls.virtualNetworkRules", json!([{"id": "x"}])),
    ]);
    let connection = json!({"properties": {"category": "Serverless", "target": "https://x", "authType": "ApiKey",
        "credentials": {"key": "CANARY"}, "metadata": {}, "isSharedToAll": true}});
    let of_connection = seventeen(&[
        "properties",
        "properties.category",
        "properties.target",
        "properties.authType",
        "properties.credentials",
        "properties.credentials.key",
        "properties.metadata",
        "properties.isSharedToAll",
    ]);
    let connections = format!("{WORKSPACE}/connections");
    vec![
        arm("PUT", ACCOUNT, account.clone(), faults.clone()),
        arm("PATCH", ACCOUNT, account.clone(), faults.clone()),
        arm("PUT", WORKSPACE, account.clone(), faults.clone()),
        arm("PATCH", WORKSPACE, account, faults),
        arm("PUT", &format!("{connections}/other"), connection.clone(), of_connection.clone()),
        arm("PATCH", &format!("{connections}/known"), connection, of_connection),
        arm(
            "POST",
            &format!("{ACCOUNT}/regenerateKey"),
            json!({"keyName": "Key1"}),
            vec![("keyName", json!(17)), ("keyName", json!("Key3"))],
        ),
    ]
}

fn endpoints() -> Vec<Command> {
    let endpoint = json!({"location": "eastus2", "tags": {"a": "b"}, "sku": {"name": "Consumption"}, "kind": "k",
        "identity": {}, "properties": {
        "modelSettings": {"modelId": LLAMA}, "authMode": "Key", "contentSafety": {"contentSafetyStatus": "Enabled"}}});
    let mut faults = seventeen(&[
        "location",
        "tags",
        "tags.a",
        "sku",
        "sku.name",
        "kind",
        "identity",
        "properties",
        "properties.modelSettings",
        "properties.modelSettings.modelId",
        "properties.authMode",
        "properties.contentSafety",
        "properties.contentSafety.contentSafetyStatus",
        "properties.contentSafety.weirClassifier",
    ]);
    faults.extend([
        ("properties.contentSafety.weirClassifier", json!("nobody")),
        ("properties.authMode", json!("Nothing")),
        ("properties.modelSettings.modelId", json!(format!("{LLAMA}/versions/3"))),
        ("properties.modelSettings.modelId", json!("llama")),
    ]);
    let patch = json!({"tags": {"a": "b"}, "sku": {"name": "Consumption"}, "identity": {}});
    let mut of_patch = seventeen(&["tags", "tags.a", "sku", "sku.name", "identity"]);
    of_patch.push(("properties", json!({})));
    let at = format!("{WORKSPACE}/serverlessEndpoints/Llama");
    vec![
        arm("PUT", &at, endpoint, faults),
        arm("PATCH", &at, patch, of_patch),
        arm(
            "POST",
            &format!("{at}/regenerateKeys"),
            json!({"keyType": "Primary"}),
            vec![
                ("keyType", json!(17)),
                ("keyType", json!("Third")),
                ("keyValue", json!(17)),
                ("keyValue", json!("short")),
            ],
        ),
        arm(
            "PUT",
            &format!("{WORKSPACE}/marketplaceSubscriptions/llama"),
            json!({"properties": {"modelId": LLAMA}}),
            vec![
                ("properties", json!(17)),
                ("properties.modelId", json!(17)),
                ("properties.modelId", json!("llama")),
                ("properties.modelId", json!(format!("{LLAMA}/versions/1"))),
            ],
        ),
    ]
}

fn deployments() -> Vec<Command> {
    let good = json!({"sku": {"name": "ProvisionedManaged", "capacity": 3}, "tags": {"a": "b"}, "properties": {
        "model": {"format": "Weir", "name": "simulator-chat", "version": null}, "raiPolicyName": "Microsoft.Default",
        "versionUpgradeOption": "NoAutoUpgrade", "spilloverDeploymentName": "standard"}});
    let mut faults = seventeen(&[
        "sku",
        "sku.name",
        "tags",
        "tags.a",
        "properties",
        "properties.model",
        "properties.model.format",
        "properties.model.name",
        "properties.model.version",
        "properties.raiPolicyName",
        "properties.versionUpgradeOption",
        "properties.spilloverDeploymentName",
    ]);
    faults.extend([
        ("sku.name", json!("Enormous")),
        ("sku.capacity", json!(0)),
        ("sku.capacity", json!(-1)),
        ("sku.capacity", json!("three")),
        ("properties.model.name", json!("gpt-9")),
        ("properties.model.name", json!("gpt-4o")),
        ("properties.raiPolicyName", json!("nobody's")),
        ("properties.versionUpgradeOption", json!("Sometimes")),
        ("properties.spilloverDeploymentName", json!("nobody")),
        ("properties.parentDeploymentName", json!("standard")),
    ]);
    let patch = json!({"sku": {"name": "Standard", "capacity": 2}, "tags": {"a": "b"}});
    let mut of_patch = seventeen(&["sku", "sku.name", "tags", "tags.a"]);
    of_patch.extend([
        ("sku.name", json!("Enormous")),
        ("sku.capacity", json!(0)),
        ("sku.capacity", json!(2.5)),
        ("properties", json!({})),
    ]);
    vec![
        arm("PUT", &format!("{ACCOUNT}/deployments/reserved"), good, faults),
        arm("PATCH", &format!("{ACCOUNT}/deployments/standard"), patch, of_patch),
    ]
}

fn policies() -> Vec<Command> {
    let policy = json!({"tags": {"a": "b"}, "properties": {"mode": "Blocking", "basePolicyName": "Microsoft.Default",
        "contentFilters": [{"name": "hate", "enabled": true, "blocking": true, "severityThreshold": "Low",
        "source": "Prompt"}], "customBlocklists": [{"blocklistName": "names", "blocking": true, "source": "Prompt"}]}});
    let mut faults = seventeen(&[
        "tags",
        "tags.a",
        "properties",
        "properties.mode",
        "properties.basePolicyName",
        "properties.contentFilters",
        "properties.contentFilters.0",
        "properties.contentFilters.0.name",
        "properties.contentFilters.0.enabled",
        "properties.contentFilters.0.blocking",
        "properties.contentFilters.0.severityThreshold",
        "properties.contentFilters.0.source",
        "properties.customBlocklists",
        "properties.customBlocklists.0",
        "properties.customBlocklists.0.blocklistName",
        "properties.customBlocklists.0.blocking",
        "properties.customBlocklists.0.source",
    ]);
    faults.extend([
        ("properties.mode", json!("Never")),
        ("properties.contentFilters.0.severityThreshold", json!("Higher")),
        ("properties.customBlocklists.0.blocklistName", json!("nobody's")),
    ]);
    let item = json!({"properties": {"pattern": "word", "isRegex": false}});
    let of_item = vec![
        ("properties", json!(17)),
        ("properties.pattern", json!(17)),
        ("properties.pattern", json!("")),
        ("properties.pattern", json!("---")),
        ("properties.isRegex", json!(17)),
    ];
    let of_items = vec![
        ("0", json!(17)),
        ("0.name", json!(17)),
        ("1.properties", json!(17)),
        ("1.properties.pattern", json!(17)),
        ("0.properties.isRegex", json!(17)),
        ("1.properties.pattern", json!("---")),
    ];
    let (one, two) = (
        json!({"name": "a", "properties": {"pattern": "x"}}),
        json!({"name": "b", "properties": {"pattern": "y"}}),
    );
    let lists = format!("{ACCOUNT}/raiBlocklists/names");
    vec![
        arm("PUT", &format!("{ACCOUNT}/raiPolicies/own"), policy, faults),
        arm(
            "PUT",
            &lists,
            json!({"tags": {"a": "b"}, "properties": {"description": "d"}}),
            seventeen(&["tags", "tags.a", "properties", "properties.description"]),
        ),
        arm("PUT", &format!("{lists}/raiBlocklistItems/one"), item, of_item),
        arm("POST", &format!("{lists}/addRaiBlocklistItems"), json!([one, two]), of_items),
    ]
}

fn roles() -> Vec<Command> {
    let at = "/subscriptions/s/providers/Microsoft.Authorization";
    let guid = "aaaaaaaa-0000-0000-0000-000000000001";
    let role = json!({"properties": {"roleName": "careful", "description": "d", "assignableScopes": ["/subscriptions/s"],
        "permissions": [{"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []}]}});
    let mut faults = seventeen(&[
        "properties",
        "properties.roleName",
        "properties.description",
        "properties.assignableScopes",
        "properties.permissions",
        "properties.permissions.0",
        "properties.permissions.0.actions",
        "properties.permissions.0.notActions",
        "properties.permissions.0.dataActions",
        "properties.permissions.0.notDataActions",
        "properties.permissions.0.condition",
    ]);
    faults.extend([
        ("properties.assignableScopes.0", json!("/")),
        ("properties.assignableScopes", json!([])),
        ("properties.permissions", json!([])),
    ]);
    let reader = "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7";
    let assignment = json!({"properties": {"roleDefinitionId": reader, "principalId": "p", "principalType": "User",
        "description": "d"}});
    let of_assignment = seventeen(&[
        "properties",
        "properties.roleDefinitionId",
        "properties.principalId",
        "properties.principalType",
        "properties.description",
        "properties.condition",
    ]);
    vec![
        arm("PUT", &format!("{at}/roleDefinitions/{guid}"), role, faults),
        arm("PUT", &format!("{at}/roleAssignments/{guid}"), assignment, of_assignment),
    ]
    .into_iter()
    .map(|command| Command { path: command.path.replace(VERSION, "?api-version=2022-04-01"), ..command })
    .collect()
}

fn weirs() -> Vec<Command> {
    let entry = json!({"format": "W", "publisher": "W", "task": "llm/v1/chat", "versions": ["1", "2"], "default_version": "2",
        "registry_id": "azureml://registries/w/models/own", "regions": ["eastus2"],
        "offer": {"publisher_id": "p", "offer_id": "o", "plan_id": "q"},
        "price": {"currency": "USD", "input_per_1m": "1", "output_per_1m": "2"},
        "backends": [{"priority": 1, "external_model": {"name": "m", "provider": "simulator", "task": "llm/v1/chat"}}]});
    let mut faults = seventeen(&[
        "format",
        "publisher",
        "task",
        "versions",
        "default_version",
        "registry_id",
        "regions",
        "offer",
        "offer.publisher_id",
        "offer.offer_id",
        "offer.plan_id",
        "price",
        "price.currency",
        "price.input_per_1m",
        "price.output_per_1m",
        "backends",
        "backends.0",
        "backends.0.external_model",
        "backends.0.external_model.provider",
        "backends.0.external_model.task",
    ]);
    faults.extend([
        ("task", json!("llm/v1/sing")),
        ("default_version", json!("3")),
        ("regions", json!(["East US 2"])),
        ("price.currency", json!("dollars")),
        ("price.input_per_1m", json!("-1")),
        ("backends", json!([])),
        ("provisioned_tokens_per_unit", json!(0)),
        ("provisioned_tokens_per_unit", json!("many")),
        ("backends.0.priority", json!("high")),
        ("backends.0.external_model.provider", json!("nobody")),
    ]);
    let mut commands = vec![own("PUT", "/catalog/models/own", entry, faults)];
    commands.extend(lesser());
    commands
}

fn lesser() -> Vec<Command> {
    let defaults = json!({"serverless": {"tokens_per_minute": 1}, "endpoints": {"e": {"requests_per_minute": 1}},
        "quotas": [{"model": "m", "sku": "Standard", "capacity": 1}]});
    let mut of_defaults = seventeen(&[
        "serverless",
        "endpoints",
        "endpoints.e",
        "quotas",
        "quotas.0",
        "quotas.0.model",
        "quotas.0.sku",
        "more",
        "serverless.more",
        "quotas.0.more",
    ]);
    of_defaults.extend([("serverless.tokens_per_minute", json!("many")), ("quotas.0.capacity", json!(-1))]);
    let key = json!({"name": "k", "deployments": ["d"], "expires_at": "2030-01-01T00:00:00Z"});
    let mut of_key =
        seventeen(&["name", "deployments", "expires_at", "principal_id", "key", "limits", "budget"]);
    of_key.extend([
        ("deployments.0", json!("a b")),
        ("expires_at", json!("tomorrow")),
        ("principal_id", json!("nobody")),
        ("key", json!("chosen-by-oneself")),
    ]);
    let principal = json!({"name": "n", "kind": "user"});
    let mut of_principal = seventeen(&["id", "name", "kind", "members"]);
    of_principal.extend([("kind", json!("robot")), ("members", json!(["nobody"]))]);
    vec![
        own("PUT", "/defaults", defaults, of_defaults),
        own("POST", "/keys", key.clone(), of_key.clone()),
        own("PUT", "/keys/some", key, of_key),
        own("POST", "/principals", principal.clone(), of_principal.clone()),
        own("PUT", "/principals/p", principal, of_principal.into_iter().skip(1).collect()),
        own(
            "POST",
            "/principals/p/tokens",
            json!({"comment": "c", "lifetime_seconds": 60}),
            vec![
                ("comment", json!(17)),
                ("lifetime_seconds", json!("long")),
                ("lifetime_seconds", json!(-1)),
            ],
        ),
    ]
}

/// All of them.
pub(super) fn all() -> Vec<Command> {
    let all = [resources(), endpoints(), deployments(), policies(), roles(), weirs(), more::all()];
    all.into_iter().flatten().collect()
}
