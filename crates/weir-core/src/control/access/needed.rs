//! What a management request needs: the action and the scope at which it must have been given.
//!
//! Decides by the address and the verb alone, as Azure does (`azure.md`, C5, "Model"), with the exceptions named
//! here; not who has it (`caller`). Weir's and Databricks' management have no actions in Azure, so they get some:
//!
//! | route | action | scope |
//! |---|---|---|
//! | `/api/weir/v1/principals…` | `Microsoft.Authorization/principals[/tokens]/{read,write,delete}` | the installation, `/` |
//! | own tokens, `/api/2.0/token/*` | none | |
//! | `/api/weir/v1/keys…` | `Microsoft.Authorization/keys/{read,write,delete}` | the account |
//! | `/api/weir/v1/databricks/inference_table` | `Weir/servingEndpoints/{payloads/action,write}` | the account or the endpoint |
//! | `/api/weir/v1/{x}…` | `Weir/{x}/{read,write,delete}` | the account |
//! | `POST /api/2.0/serving-endpoints` | none of a user of the workspace, else `Weir/servingEndpoints/write` | the account |
//! | `/api/2.0/serving-endpoints/{name}…` | `Weir/servingEndpoints/{read,write}` | the endpoint |
//! | `/api/2.0/{x}…` | `Weir/{x}/…` | the account |
//!
//! So Owner may all of it at its scope; Contributor all but keys, principals and tokens; Reader may read.

use super::Home;
use super::built_in::AZURE_AI_DEVELOPER;
use super::caller::Caller;
use super::permission::{covers, folded};
use crate::control::answer::Location;
use crate::control::front::ManagementSurface;
use crate::control::state::AccountState;
use crate::id::AccountId;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The subscription that exists unasked.
pub const DEFAULT_SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
/// The resource group that exists unasked.
pub const DEFAULT_GROUP: &str = "weir";

/// What a subscription to an offer needs beside the right in its workspace (`azure.md`, C5, "Permissions named").
const MARKETPLACE: [&str; 4] = [
    "Microsoft.MarketplaceOrdering/agreements/offers/plans/read",
    "Microsoft.MarketplaceOrdering/agreements/offers/plans/sign/action",
    "Microsoft.SaaS/register/action",
    "Microsoft.SaaS/resources/write",
];

/// What a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// One of these will do; the first is named when it is missing. None: every known caller may.
    pub actions: Vec<String>,
    /// Where.
    pub scope: String,
    /// The rights of the marketplace as well.
    pub marketplace: bool,
}

impl Needed {
    fn nothing() -> Self {
        Self { actions: Vec::new(), scope: String::new(), marketplace: false }
    }

    fn one(action: String, scope: &str) -> Self {
        Self { actions: Vec::from([action]), scope: scope.to_owned(), marketplace: false }
    }

    /// The action that `caller` lacks; none if it may. `strict`: Azure AI Developer does not stand for the rights of
    /// the marketplace.
    pub fn lacking(&self, caller: &Caller, strict: bool) -> Option<&str> {
        let first = self.actions.first()?;
        if !self.actions.iter().any(|action| caller.may(action, &self.scope)) {
            return Some(first);
        }
        if !self.marketplace {
            return None;
        }
        let scope = folded(&self.scope);
        let developer = |caller: &Caller| {
            caller.grants.iter().any(|grant| grant.role == AZURE_AI_DEVELOPER && covers(&grant.scope, &scope))
        };
        if !strict && developer(caller) {
            return None;
        }
        MARKETPLACE.into_iter().find(|action| !caller.may(action, &self.scope))
    }
}

/// The scope of an account: what Weir's and Databricks' own routes are about.
pub fn account_scope(state: &AccountState) -> String {
    let home = home_of(state);
    format!(
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.CognitiveServices/accounts/{}",
        home.subscription, home.group, state.account
    )
}

/// Where an account stands: where it was first written, else where everything stands that nobody asked for.
pub fn home_of(state: &AccountState) -> Home {
    let unasked = || Home { subscription: DEFAULT_SUBSCRIPTION.to_owned(), group: DEFAULT_GROUP.to_owned() };
    if state.account == AccountId::default_account() {
        return unasked();
    }
    state.access.home.clone().unwrap_or_else(unasked)
}

/// What a request needs in this account.
pub fn of(
    surface: ManagementSurface,
    method: &str,
    location: &Location,
    caller: &Caller,
    state: &AccountState,
) -> Needed {
    let parts = location.parts();
    match surface {
        ManagementSurface::Arm => arm(method, &parts, state),
        ManagementSurface::Weir => weir(method, parts.get(3..).unwrap_or_default(), caller, state),
        ManagementSurface::Databricks => databricks(method, parts.get(2..).unwrap_or_default(), state),
    }
}

fn verb(method: &str) -> &'static str {
    match method {
        "GET" | "HEAD" => "read",
        "DELETE" => "delete",
        _ => "write",
    }
}

fn weir(method: &str, parts: &[&str], caller: &Caller, state: &AccountState) -> Needed {
    let verb = verb(method);
    match parts {
        ["principals", id] if *id == caller.id && verb == "read" => Needed::nothing(),
        ["principals", id, "tokens", ..] if *id == caller.id => Needed::nothing(),
        ["principals", _, "tokens", ..] => {
            Needed::one(format!("Microsoft.Authorization/principals/tokens/{verb}"), "/")
        }
        ["principals", ..] => Needed::one(format!("Microsoft.Authorization/principals/{verb}"), "/"),
        ["keys", ..] => Needed::one(format!("Microsoft.Authorization/keys/{verb}"), &account_scope(state)),
        ["serving-endpoints", ..] => {
            Needed::one(format!("Weir/servingEndpoints/{verb}"), &account_scope(state))
        }
        // A whole configuration has keys and roles in it.
        ["config", ..] if verb != "read" => {
            Needed::one("Microsoft.Authorization/config/write".to_owned(), "/")
        }
        // Asked of the endpoint's own permissions (`databricks::permissions::payloads`).
        ["databricks", "inference_table"] | [] => Needed::nothing(),
        [first, ..] => Needed::one(format!("Weir/{first}/{verb}"), &account_scope(state)),
    }
}

fn databricks(method: &str, parts: &[&str], state: &AccountState) -> Needed {
    let scope = account_scope(state);
    match parts {
        // Endpoints and scopes of secrets have permissions of their own (`databricks::permissions`, `secret_acls`).
        ["token" | "serving-endpoints" | "permissions" | "secrets", ..]
        | ["preview", "scim", "v2", "Me"]
        | [] => Needed::nothing(),
        ["preview", "scim", ..] => {
            Needed::one(format!("Microsoft.Authorization/principals/{}", verb(method)), "/")
        }
        ["token-management" | "accounts", ..] => {
            Needed::one(format!("Microsoft.Authorization/principals/tokens/{}", verb(method)), "/")
        }
        [first, ..] => Needed::one(format!("Weir/{first}/{}", verb(method)), &scope),
    }
}

/// Azure's rule: the types in the path name the action, the verb its end; the resource's id is the scope. The last
/// `providers` of a path counts: what stands before it is the scope of an extension.
fn arm(method: &str, parts: &[&str], state: &AccountState) -> Needed {
    let is = |part: &&str, word: &str| part.eq_ignore_ascii_case(word);
    let (before, typed) = match parts.iter().rposition(|part| is(part, "providers")) {
        Some(at) => {
            (parts.get(..at).unwrap_or_default(), parts.get(at.saturating_add(1)..).unwrap_or_default())
        }
        None => (parts, [].as_slice()),
    };
    let Some((namespace, typed)) = typed.split_first() else { return of_group(method, before) };
    let kinds: Vec<&str> = typed.iter().step_by(2).copied().collect();
    if kinds.first().is_some_and(|kind| kind.eq_ignore_ascii_case("permissions"))
        || kinds.iter().any(|kind| is_operation_status(kind))
    {
        return Needed::nothing();
    }
    // An odd number of words ends in a list or in an operation of what stands before.
    let open = typed.len().checked_rem(2) == Some(1);
    let end = match method {
        "POST" => "action",
        other => verb(other),
    };
    let action = format!("{namespace}/{}/{end}", kinds.join("/"));
    let instance = if open { typed.split_last().map_or(typed, |(_, rest)| rest) } else { typed };
    // Scopes of roles are any account's: they count as they are written. So do lists of a group's resources.
    let of_roles = namespace.eq_ignore_ascii_case("Microsoft.Authorization");
    let extension = of_roles || before.iter().any(|part| is(part, "providers"));
    let named = !of_roles && (extension || !instance.is_empty());
    let mut scope = if named { path(&at_home(before, state)) } else { path(before) };
    if !extension && !instance.is_empty() {
        scope.push_str(&path(&[["providers", namespace].as_slice(), instance].concat()));
    }
    let subscribes = kinds.last().is_some_and(|kind| kind.eq_ignore_ascii_case("marketplaceSubscriptions"));
    let mut actions = Vec::from([action]);
    if subscribes {
        // The documented role says so; the address says otherwise (`azure.md`, C5, "Trap").
        let parents = kinds.len().saturating_sub(1);
        let parent = kinds.get(..parents).unwrap_or_default().join("/");
        actions.insert(0, format!("{namespace}/{parent}/marketplaceModelSubscriptions/{end}"));
    }
    if namespace.eq_ignore_ascii_case("Microsoft.CostManagement") && method == "POST" {
        // A question that is posted: who may read costs may ask.
        actions.push(format!("{namespace}/{}/read", kinds.join("/")));
    }
    Needed { actions, scope, marketplace: subscribes && end == "write" }
}

/// Subscriptions and resource groups themselves.
fn of_group(method: &str, parts: &[&str]) -> Needed {
    let kinds: Vec<&str> = parts.iter().step_by(2).copied().collect();
    let open = parts.len().checked_rem(2) == Some(1);
    let instance = if open { parts.split_last().map_or(parts, |(_, rest)| rest) } else { parts };
    Needed::one(format!("Microsoft.Resources/{}/{}", kinds.join("/"), verb(method)), &path(instance))
}

/// Where a long operation is asked after: whoever was told the address may (`azure.md`, C0).
fn is_operation_status(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    ["operationresults", "operationsstatus", "operationstatuses", "operations"]
        .iter()
        .any(|end| kind.ends_with(end))
}

/// The words before the types, with the account's own subscription and group.
fn at_home(before: &[&str], state: &AccountState) -> Vec<String> {
    let mut words: Vec<String> = before.iter().map(|part| (*part).to_owned()).collect();
    let known = state.account == AccountId::default_account() || state.access.home.is_some();
    if let [_, subscription, _, group, ..] = words.as_mut_slice()
        && known
    {
        let home = home_of(state);
        *subscription = home.subscription;
        *group = home.group;
    }
    words
}

/// The words as a path.
pub(in crate::control) fn path(parts: &[impl AsRef<str>]) -> String {
    parts.iter().fold(String::new(), |mut path, part| {
        path.push('/');
        path.push_str(part.as_ref());
        path
    })
}
