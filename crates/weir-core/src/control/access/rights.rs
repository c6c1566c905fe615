//! Roles compiled for the data path: what each principal may query, as bits.
//!
//! Decides which data action each way of querying needs (`azure.md`, C5, "Data actions per route"); how it is looked
//! up is `snapshot::index`. The leaves below `MaaS` are named here as those below `OpenAI` are: the family is
//! documented, they are not.

use super::PrincipalKind;
use super::needed::account_scope;
use super::permission::folded;
use crate::control::state::AccountState;
use crate::id::AccountId;
use crate::snapshot::access::{Access, Given, PrincipalEntry, Right, TokenEntry};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

/// What isolates need of who may query. Only the directory has principals.
pub fn compile(state: &AccountState) -> Access {
    let access = &state.access;
    let scope = folded(&account_scope(state));
    if state.account != AccountId::default_account() {
        return Access { scope, ..Access::default() };
    }
    let tokens = access.tokens.values().map(|row| TokenEntry {
        hash: row.hash.clone(),
        id: row.id.clone(),
        principal: row.principal.clone(),
        expires_at: row.expires_at,
    });
    let held = held(state);
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for group in access.principals.values().filter(|row| row.kind == PrincipalKind::Group) {
        for member in &group.members {
            groups.entry(member).or_default().push(group.id.as_str());
        }
    }
    // Limits speak of principals and groups, so those are told that have keys of their own or are in a group.
    let keyed: BTreeSet<&str> =
        state.keys.values().filter_map(|row| Some(row.principal.as_ref()?.as_str())).collect();
    let ids: BTreeSet<&str> = held.keys().chain(groups.keys()).chain(&keyed).copied().collect();
    let principals = ids.into_iter().filter_map(|id| {
        let mut circle = Vec::from([id]);
        let mut scopes: BTreeMap<&str, u32> = BTreeMap::new();
        let mut at = 0usize;
        while let Some(member) = circle.get(at).copied() {
            at = at.saturating_add(1);
            for (scope, rights) in held.get(member).into_iter().flatten() {
                *scopes.entry(scope).or_default() |= rights;
            }
            let more: Vec<&str> = groups
                .get(member)
                .into_iter()
                .flatten()
                .filter(|group| !circle.contains(group))
                .copied()
                .collect();
            circle.extend(more);
        }
        let given = scopes.into_iter().map(|(scope, rights)| Given { scope: scope.into(), rights });
        let given: Vec<Given> = given.collect();
        let called = |id: &&str| access.principals.get(*id).map(|row| row.name.to_lowercase());
        let groups = circle.get(1..).unwrap_or_default();
        let groups = groups.iter().map(|id| String::from(*id)).chain(groups.iter().filter_map(called));
        let (name, groups) = (called(&id).unwrap_or_default(), groups.collect());
        let told = !given.is_empty() || circle.len() > 1 || keyed.contains(id);
        told.then(|| PrincipalEntry { id: id.into(), given, name, groups })
    });
    Access { scope, tokens: tokens.collect(), principals: principals.collect(), issuer: None }
}

/// By principal, the scopes and rights that were given to it itself.
fn held(state: &AccountState) -> BTreeMap<&str, Vec<(String, u32)>> {
    let mut of_role: BTreeMap<&str, u32> = BTreeMap::new();
    let mut held: BTreeMap<&str, Vec<(String, u32)>> = BTreeMap::new();
    for row in state.access.assignments.values() {
        let rights = *of_role.entry(&row.role).or_insert_with(|| rights(state, &row.role));
        if rights != 0 {
            held.entry(&row.principal).or_default().push((folded(&row.scope), rights));
        }
    }
    held
}

/// The rights that a role gives, as bits.
fn rights(state: &AccountState, role: &str) -> u32 {
    let permissions = state.access.permissions(role).unwrap_or_default();
    let allowed = |right: &&Right| permissions.iter().any(|entry| entry.allows_data(right.action()));
    Right::ALL.iter().filter(allowed).fold(0, |bits, right| bits | right.bit())
}
