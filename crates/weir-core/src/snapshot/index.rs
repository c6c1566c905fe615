//! A snapshot made ready for requests: keys by their hash, deployments by their name, credentials opened, upstream
//! addresses and headers composed.
//!
//! Base. Built once per version; every look-up after that is a hash and a comparison, with 10 deployments as with
//! 10 000 and with 100 000 keys. Decides how things are found; not who may use them (`auth`, `route`).
//!
//! Key hashes are found by their first eight bytes and compared in constant time as a whole: what a caller could
//! learn from timing is a prefix of the SHA-256 of a text that only the caller chose.

mod entity;
mod holders;
mod policies;

pub use entity::{EntityFault, ReadyEntity, address, model_for, passed_address};
pub use holders::{Holder, ScopeMark};

use super::access::{Access, ClientEntry, Issuer, TokenEntry};
use super::network::ReadyNetwork;
use super::{
    Deployment, DeploymentKind, KeyEntry, ServedEntity, Snapshot, Target, Task, Unready, UpstreamPaths,
};
use crate::id::{AccountId, PrincipalId};
use crate::policy::ReadyPolicy;
use crate::seal::SealKey;
use crate::time::UnixMillis;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use hashbrown::HashTable;
use holders::Holders;
use policies::Policies;
use subtle::ConstantTimeEq;

/// Why a snapshot cannot be used. The one before it stays in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// A key's hash is not 64 hexadecimal digits.
    #[error("the hash of key {id} is not 64 hexadecimal digits")]
    IllegalHash {
        /// The key's id.
        id: PrincipalId,
    },
    /// Two deployments have the same name, but for case.
    #[error("two deployments are called {name}")]
    DuplicateDeployment {
        /// The name, folded.
        name: String,
    },
    /// More keys or deployments than can be counted.
    #[error("the snapshot is too large")]
    TooLarge,
}

/// A configuration at one version, ready for requests.
#[derive(Debug)]
pub struct SnapshotIndex {
    account: AccountId,
    version: u64,
    keys: Vec<ReadyKey>,
    by_hash: HashTable<u32>,
    deployments: Vec<ReadyDeployment>,
    by_name: HashTable<u32>,
    unready: Vec<Unready>,
    network: Option<ReadyNetwork>,
    /// All above the account.
    ladder: Vec<ScopeMark>,
    holders: Holders,
    clients: Vec<ClientEntry>,
    issuer: Option<Issuer>,
    choices: bool,
}

/// A credential, without its hash's text.
#[derive(Debug)]
pub struct ReadyKey {
    digest: [u8; 32],
    /// The key's own id.
    pub id: PrincipalId,
    /// Who calls when it is presented.
    pub principal: PrincipalId,
    /// The deployments that it may query, folded and sorted; all, if absent.
    pub deployments: Option<Vec<String>>,
    /// From this time on it is refused.
    pub expires_at: Option<UnixMillis>,
    /// Whether it queries what its principal's roles allow; a key queries what it is bound to.
    pub by_roles: bool,
}

/// A deployment, ready to be called.
#[derive(Debug)]
pub struct ReadyDeployment {
    /// As it is configured.
    pub deployment: Deployment,
    /// Its name in lower case.
    pub folded: String,
    /// The resource that it is, and the account or workspace that it is in.
    pub scopes: [ScopeMark; 2],
    /// Its entities, in the order of `deployment.entities`.
    pub entities: Vec<ReadyEntity>,
    /// What looks at its prompts and answers.
    pub policy: Option<Rc<ReadyPolicy>>,
}

impl SnapshotIndex {
    /// Makes `snapshot` ready, opening the credentials in it with `seal_key`; without one no credential opens.
    ///
    /// # Errors
    /// [`IndexError`] if it contradicts itself. A credential that does not open only disables its entity.
    pub fn build(snapshot: Snapshot, seal_key: Option<&SealKey>) -> Result<Self, IndexError> {
        let Snapshot { account, version, keys, deployments, unready, network, content, access } = snapshot;
        let Access { scope, tokens, mut clients, principals, issuer } = access;
        clients.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        let tokens = tokens.into_iter().map(ReadyKey::of_token);
        let keys = keys.into_iter().map(ReadyKey::new).chain(tokens).collect::<Result<Vec<_>, _>>()?;
        let mut policies = Policies::new(content, seal_key);
        let ready = |deployment: Deployment| {
            let policy = deployment.content_policy.as_deref().map(|name| policies.find(name));
            ReadyDeployment::new(deployment, policy, &scope, seal_key)
        };
        let deployments: Vec<_> = deployments.into_iter().map(ready).collect();

        let mut by_hash = HashTable::with_capacity(keys.len());
        for (at, key) in keys.iter().enumerate() {
            let at = u32::try_from(at).map_err(|_| IndexError::TooLarge)?;
            by_hash.insert_unique(prefix(&key.digest), at, |at| hash_of(&keys, *at));
        }
        let mut by_name = HashTable::with_capacity(deployments.len());
        for (at, ready) in deployments.iter().enumerate() {
            let at = u32::try_from(at).map_err(|_| IndexError::TooLarge)?;
            let hash = folded_hash(&ready.folded);
            if by_name.find(hash, |at| named(&deployments, *at, &ready.folded)).is_some() {
                return Err(IndexError::DuplicateDeployment { name: ready.folded.clone() });
            }
            by_name.insert_unique(hash, at, |at| {
                get(&deployments, *at).map_or(0, |ready| folded_hash(&ready.folded))
            });
        }
        let network = network.as_ref().map(ReadyNetwork::new);
        let above = scope.split_once("/providers/").map_or(scope.as_str(), |(above, _)| above);
        let choices = deployments.iter().any(|ready| ready.entities.len() > 1);
        let (ladder, holders) = (ScopeMark::ladder(above), Holders::new(principals));
        Ok(Self {
            account,
            version,
            keys,
            by_hash,
            deployments,
            by_name,
            unready,
            network,
            ladder,
            holders,
            clients,
            issuer,
            choices,
        })
    }

    /// Whose configuration.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// Its version; higher is newer.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// From where the account can be called; from everywhere, if absent.
    pub const fn network(&self) -> Option<&ReadyNetwork> {
        self.network.as_ref()
    }

    /// The deployment of this name, without regard to case.
    pub fn find(&self, name: &str) -> Option<&ReadyDeployment> {
        let at = self.by_name.find(folded_hash(name), |at| named(&self.deployments, *at, name))?;
        get(&self.deployments, *at)
    }

    /// The endpoint of this name that is there and cannot be called, without regard to case.
    pub fn unready(&self, name: &str) -> Option<&Unready> {
        self.unready.iter().find(|unready| unready.name.as_str().eq_ignore_ascii_case(name))
    }

    /// Whether some deployment has several entities.
    pub const fn has_choices(&self) -> bool {
        self.choices
    }

    /// All deployments, as they are configured.
    pub fn deployments(&self) -> &[ReadyDeployment] {
        &self.deployments
    }

    /// Whose tokens are taken; only the directory knows.
    pub fn issuer(&self) -> Option<&Issuer> {
        self.issuer.as_ref()
    }

    /// The secret of a service principal with this id. Only the directory knows.
    pub fn client(&self, id: &str) -> Option<&ClientEntry> {
        let at = self.clients.binary_search_by(|entry| entry.id.as_str().cmp(id)).ok()?;
        self.clients.get(at)
    }

    /// What the principal of this id was given, if anything. Only the directory knows.
    pub fn holder(&self, id: &str) -> Option<&Holder> {
        self.holders.find(id)
    }

    /// The scopes at which a right must be held for a deployment of this account: its own and all above it.
    pub fn scopes(&self, deployment: &ReadyDeployment) -> impl Iterator<Item = ScopeMark> {
        self.ladder.iter().copied().chain(deployment.scopes)
    }

    /// The credential whose text has this SHA-256, expired or not.
    pub fn key(&self, digest: &[u8; 32]) -> Option<&ReadyKey> {
        let same = |at: &u32| get(&self.keys, *at).is_some_and(|key| key.digest.ct_eq(digest).into());
        get(&self.keys, *self.by_hash.find(prefix(digest), same)?)
    }
}

fn get<T>(items: &[T], at: u32) -> Option<&T> {
    items.get(usize::try_from(at).ok()?)
}

fn hash_of(keys: &[ReadyKey], at: u32) -> u64 {
    get(keys, at).map_or(0, |key| prefix(&key.digest))
}

/// The first eight bytes of a digest: as good a hash as any, since it is one.
fn prefix(digest: &[u8; 32]) -> u64 {
    digest.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// FNV-1a over the lower-case letters of a name, with a last mix because the table reads the highest bits. Names
/// are chosen by operators, not by callers, so nobody can fill one bucket from outside.
fn folded_hash(name: &str) -> u64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn named(deployments: &[ReadyDeployment], at: u32, name: &str) -> bool {
    get(deployments, at).is_some_and(|ready| ready.folded.eq_ignore_ascii_case(name))
}

impl ReadyKey {
    fn new(entry: KeyEntry) -> Result<Self, IndexError> {
        let KeyEntry { hash, id, principal, deployments, expires_at } = entry;
        let Some(digest) = digest_of(&hash) else {
            return Err(IndexError::IllegalHash { id });
        };
        let deployments = deployments.map(|mut names| {
            for name in &mut names {
                name.make_ascii_lowercase();
            }
            names.sort_unstable();
            names
        });
        Ok(Self { digest, id, principal, deployments, expires_at, by_roles: false })
    }

    fn of_token(entry: TokenEntry) -> Result<Self, IndexError> {
        let TokenEntry { hash, id, principal, expires_at } = entry;
        let Some(digest) = digest_of(&hash) else {
            return Err(IndexError::IllegalHash { id });
        };
        Ok(Self { digest, id, principal, deployments: None, expires_at, by_roles: true })
    }

    /// Whether it may query the deployment of this folded name.
    pub fn may_query(&self, folded: &str) -> bool {
        self.deployments
            .as_ref()
            .is_none_or(|names| names.binary_search_by(|name| name.as_str().cmp(folded)).is_ok())
    }
}

/// Reads 64 hexadecimal digits.
fn digest_of(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0u8; 32];
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if pairs.len() != digest.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        let high = char::from(*high).to_digit(16)?;
        let low = char::from(*low).to_digit(16)?;
        *byte = u8::try_from((high << 4) | low).ok()?;
    }
    Some(digest)
}

/// What a deployment is as a resource, and what it is in: a serverless endpoint is its workspace's, all else the
/// account's.
fn scopes(deployment: &Deployment, account: &str, folded: &str) -> [ScopeMark; 2] {
    if deployment.kind != DeploymentKind::Serverless {
        return [ScopeMark::of(account), ScopeMark::of(&format!("{account}/deployments/{folded}"))];
    }
    let (group, _) = account.split_once("/providers/").unwrap_or_default();
    let name = account.rsplit('/').next().unwrap_or_default();
    let workspace = format!("{group}/providers/microsoft.machinelearningservices/workspaces/{name}");
    [ScopeMark::of(&workspace), ScopeMark::of(&format!("{workspace}/serverlessendpoints/{folded}"))]
}

impl ReadyDeployment {
    fn new(
        deployment: Deployment,
        policy: Option<Rc<ReadyPolicy>>,
        account: &str,
        seal_key: Option<&SealKey>,
    ) -> Self {
        let folded = deployment.name.folded();
        let scopes = scopes(&deployment, account, &folded);
        let entities = deployment.entities.iter().map(|entity| ReadyEntity::new(entity, seal_key)).collect();
        Self { deployment, folded, scopes, entities, policy }
    }

    /// Whether the deployment can do `asked`. A text completion may be asked of a chat deployment and the other
    /// way round, where the upstream can be addressed for it: the upstream decides (`design.md`, 8, "Tasks").
    pub fn serves(&self, asked: Task) -> bool {
        let has = self.deployment.task;
        if asked == has {
            return true;
        }
        let one_address = |entity: &ServedEntity| match &entity.target {
            Target::Http(upstream) => upstream.paths == UpstreamPaths::Exact,
            Target::Simulator(_) => false,
        };
        asked != Task::Embeddings
            && has != Task::Embeddings
            && !self.deployment.entities.iter().any(one_address)
    }
}

#[cfg(test)]
mod tests;
