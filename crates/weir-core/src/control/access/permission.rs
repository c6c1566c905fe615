//! What a role allows, and where.
//!
//! Decides matching of actions and scopes (`azure.md`, C5, "Model"): `*` stands for any text including slashes,
//! case does not matter, `notActions` subtract within one role only, and a role holds at its scope and below.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// One `permissions` entry of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Permission {
    /// What may be managed.
    pub actions: Vec<String>,
    /// Taken away from `actions`.
    pub not_actions: Vec<String>,
    /// What may be done with data: models queried.
    pub data_actions: Vec<String>,
    /// Taken away from `data_actions`.
    pub not_data_actions: Vec<String>,
}

impl Permission {
    /// Everything.
    pub fn all() -> Self {
        Self { actions: owned(&["*"]), data_actions: owned(&["*"]), ..Self::default() }
    }

    /// Whether it allows managing by `action`.
    pub fn allows(&self, action: &str) -> bool {
        any(&self.actions, action) && !any(&self.not_actions, action)
    }

    /// Whether it allows querying by `action`.
    pub fn allows_data(&self, action: &str) -> bool {
        any(&self.data_actions, action) && !any(&self.not_data_actions, action)
    }
}

/// A role held at a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Where, [`folded`].
    pub scope: String,
    /// The role's UUID.
    pub role: String,
    /// What the role allows.
    pub permissions: Vec<Permission>,
}

impl Grant {
    /// Whether it allows `action` at `scope`.
    pub fn allows(&self, action: &str, scope: &str) -> bool {
        covers(&self.scope, &folded(scope)) && self.permissions.iter().any(|entry| entry.allows(action))
    }
}

fn any(patterns: &[String], action: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, action))
}

/// Whether an action is one of those that `pattern` means.
pub fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == action };
    let Some(mut left) = action.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        // The earliest place leaves most for what follows.
        let Some((_, after)) = left.split_once(part) else { return false };
        left = after;
    }
    left.ends_with(last)
}

/// A scope in the form in which scopes compare: lower case, without a slash at its end; empty for the whole
/// installation, which one management group is as well.
pub fn folded(scope: &str) -> String {
    let scope = scope.trim_end_matches('/').to_ascii_lowercase();
    if is_management_group(&scope) { String::new() } else { scope }
}

/// Whether a scope is a management group's.
pub fn is_management_group(scope: &str) -> bool {
    let prefix = "/providers/microsoft.management/managementgroups/";
    scope
        .to_ascii_lowercase()
        .strip_prefix(prefix)
        .is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

/// Whether what is given at `scope` holds at `resource`, both [`folded`].
pub fn covers(scope: &str, resource: &str) -> bool {
    resource.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Owned texts of constants.
pub(super) fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn actions_match_as_azure_documents_it() {
        let rows = [
            ("*", "Microsoft.X/a/read", true),
            ("*/read", "Microsoft.Compute/virtualMachines/read", true),
            ("*/read", "Microsoft.Compute/virtualMachines/write", false),
            ("Microsoft.Network/*/read", "Microsoft.Network/a/b/read", true),
            (
                "Microsoft.CognitiveServices/accounts/listkeys/action",
                "Microsoft.CognitiveServices/accounts/listKeys/action",
                true,
            ),
            ("X/*", "X/action", true),
            ("X/*", "X/run/action", true),
            ("X/*", "XY/read", false),
            ("X/*", "X", false),
            ("workspaces/*/write", "workspaces/write", false),
            ("workspaces/*/write", "workspaces/serverlessEndpoints/write", true),
            ("a/*/b/*/c", "a/1/b/2/c", true),
            ("a/*/b/*/c", "a/1/b/c", false),
            ("a*a", "a", false),
            ("", "a", false),
            ("**", "a", true),
        ];
        for (pattern, action, expected) in rows {
            assert_eq!(matches(pattern, action), expected, "{pattern} {action}");
        }
    }

    #[test]
    fn scopes_hold_at_and_below() {
        let rows = [
            ("/", "/subscriptions/s", true),
            ("/providers/Microsoft.Management/managementGroups/mg", "/subscriptions/s", true),
            ("/subscriptions/s", "/SUBSCRIPTIONS/S/resourceGroups/g", true),
            ("/subscriptions/s", "/subscriptions/s2", false),
            ("/subscriptions/s/resourceGroups/g", "/subscriptions/s", false),
            ("/subscriptions/s/", "/subscriptions/s", true),
        ];
        for (scope, resource, expected) in rows {
            assert_eq!(covers(&folded(scope), &folded(resource)), expected, "{scope} {resource}");
        }
    }

    #[test]
    fn what_one_role_takes_away_another_can_give() {
        let wide = Permission {
            actions: owned(&["*"]),
            not_actions: owned(&["A/*/write"]),
            ..Permission::default()
        };
        let narrow = Permission { actions: owned(&["a/b/WRITE"]), ..Permission::default() };
        assert!(!wide.allows("A/b/write") && wide.allows("A/b/read") && narrow.allows("A/b/write"));
        assert!(!wide.allows_data("A/b/read"), "actions are no data actions");
    }

    proptest! {
        /// Against the definition: `*` is any text.
        #[test]
        fn matching_is_what_it_says(pattern in "[ab*/]{0,8}", action in "[AB/]{0,10}") {
            fn slow(pattern: &[u8], text: &[u8]) -> bool {
                match pattern.split_first() {
                    None => text.is_empty(),
                    Some((b'*', rest)) => (0..=text.len()).any(|at| slow(rest, &text[at..])),
                    Some((first, rest)) => text.first().is_some_and(|byte| byte.eq_ignore_ascii_case(first)) && slow(rest, &text[1..]),
                }
            }
            prop_assert_eq!(matches(&pattern, &action), slow(pattern.as_bytes(), action.as_bytes()));
        }
    }
}
