//! Roles compiled for the data path: what each principal may query, as bits; and whose tokens count.
//!
//! Decides which data action each way of querying needs (`azure.md`, C5, "Data actions per route"); how it is looked
//! up is `snapshot::index`. The leaves below `MaaS` are named here as those below `OpenAI` are: the family is
//! documented, they are not.

use super::needed::account_scope;
use super::permission::folded;
use super::{ADMINS, PrincipalKind, USERS};
use crate::control::state::AccountState;
use crate::id::{AccountId, PrincipalId};
use crate::snapshot::access::{Access, ClientEntry, Given, PrincipalEntry, Right, TokenEntry};
use crate::sorted::SortedMap;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

/// What isolates need of who may query. Only the directory has principals; other accounts have what they gave
/// themselves.
pub fn compile(state: &AccountState) -> Access {
    let access = &state.access;
    let scope = folded(&account_scope(state));
    if state.account != AccountId::default_account() {
        return Access { scope, principals: own(state), ..Access::default() };
    }
    let active = |id: &PrincipalId| access.is_active(id.as_str());
    let clients = access.clients.values().filter(|row| active(&row.principal)).map(|row| ClientEntry {
        id: row.id.as_str().into(),
        principal: row.principal.clone(),
        expires_at: row.expires_at,
    });
    let tokens = access.tokens.values().filter(|row| active(&row.principal)).map(|row| TokenEntry {
        hash: row.hash.clone(),
        id: row.id.clone(),
        principal: row.principal.clone(),
        expires_at: row.expires_at,
    });
    let held = held(state);
    let mut groups: SortedMap<&str, Vec<&str>> = SortedMap::new();
    for group in access.principals.values().filter(|row| row.kind == PrincipalKind::Group) {
        for member in &group.members {
            groups.entry(member).or_default().push(group.id.as_str());
        }
    }
    let people = access.principals.values().filter(|row| row.kind != PrincipalKind::Group);
    let everybody = held.contains_key(USERS);
    // What a principal of another account was given there, that account knows by its name.
    for person in people.filter(|row| everybody || row.account != state.account) {
        groups.entry(person.id.as_str()).or_default().push(USERS);
    }
    // Limits speak of principals and groups, so those are told that have keys of their own or are in a group.
    let keyed: BTreeSet<&str> =
        state.keys.values().filter_map(|row| Some(row.principal.as_ref()?.as_str())).collect();
    let ids: BTreeSet<&str> = held.keys().chain(groups.keys()).chain(&keyed).copied().collect();
    let principals = ids.into_iter().filter_map(|id| {
        let mut circle = Vec::from([id]);
        let mut scopes: SortedMap<&str, u32> = SortedMap::new();
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
    let (tokens, principals) = (tokens.collect(), principals.collect());
    Access { scope, tokens, clients: clients.collect(), principals, issuer: None }
}

/// What an account itself gave, by name: permissions of its endpoints.
fn own(state: &AccountState) -> Vec<PrincipalEntry> {
    let entry = |(id, given): (&str, Vec<(String, u32)>)| PrincipalEntry {
        id: id.into(),
        given: given.into_iter().map(|(scope, rights)| Given { scope, rights }).collect(),
        name: String::new(),
        groups: Vec::new(),
    };
    held(state).into_iter().map(entry).collect()
}

/// By principal, the scopes and rights that were given to it itself.
fn held(state: &AccountState) -> SortedMap<&str, Vec<(String, u32)>> {
    let mut of_role: SortedMap<&str, u32> = SortedMap::new();
    let mut held: SortedMap<&str, Vec<(String, u32)>> = SortedMap::new();
    for row in state.access.assignments.values() {
        let rights = *of_role.entry(&row.role).or_insert_with(|| rights(state, &row.role));
        if rights != 0 {
            held.entry(&row.principal).or_default().push((folded(&row.scope), rights));
        }
    }
    if state.account == AccountId::default_account() && state.access.principals.contains_key(ADMINS) {
        let all = Right::ALL.iter().fold(0, |bits, right| bits | right.bit());
        held.entry(ADMINS).or_default().push((String::new(), all));
    }
    held
}

/// The rights that a role gives, as bits.
fn rights(state: &AccountState, role: &str) -> u32 {
    let permissions = state.access.permissions(role).unwrap_or_default();
    let allowed = |right: &&Right| permissions.iter().any(|entry| entry.allows_data(right.action()));
    Right::ALL.iter().filter(allowed).fold(0, |bits, right| bits | right.bit())
}
