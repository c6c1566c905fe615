//! Building and finding; credentials that open and that do not.

use super::*;
use crate::id::DeploymentName;
use crate::seal::{hex, key_hash, seal};
use crate::simulate::SimulatorConfig;
use crate::snapshot::access::Access;
use crate::snapshot::content::ContentRules;
use crate::snapshot::routing::Routing;
use crate::snapshot::{Deadlines, DeploymentKind, Upstream, UpstreamAuth};
use alloc::string::ToString;
use alloc::vec;

const BASE: &str = "https://api.example/v1";

/// A credential, and the header that it becomes.
type Row = (UpstreamAuth, Result<(&'static str, &'static str), EntityFault>);

fn seal_key() -> SealKey {
    SealKey::parse("a passphrase that is long enough").unwrap()
}

fn deployment(name: &str, target: Target) -> Deployment {
    Deployment {
        name: DeploymentName::parse(name).unwrap(),
        kind: DeploymentKind::ServingEndpoint,
        task: Task::Chat,
        model: "m".into(),
        created_at: UnixMillis(0),
        entities: vec![ServedEntity {
            name: "e".into(),
            provider: "openai".into(),
            upstream_model: "m-1".into(),
            weight: 100,
            priority: 0,
            target,
            price: None,
        }],
        limits: vec![],
        limiter_fail_open: false,
        deadlines: Deadlines::default(),
        publisher: String::new(),
        version: String::new(),
        serverless: None,
        spillover: None,
        fallback: true,
        routing: Routing::default(),
        content_policy: None,
        payload_sampling: None,
        payload_table: None,
        usage_tracking: false,
    }
}

fn upstream(paths: UpstreamPaths, auth: UpstreamAuth) -> Upstream {
    Upstream { base: BASE.into(), paths, auth, organization: None }
}

fn simulated(name: &str) -> Deployment {
    deployment(name, Target::Simulator(SimulatorConfig::default()))
}

fn key(text: &str, id: &str) -> KeyEntry {
    KeyEntry {
        hash: key_hash(text),
        id: PrincipalId::parse(id).unwrap(),
        principal: PrincipalId::parse("team").unwrap(),
        deployments: None,
        expires_at: None,
    }
}

fn build(keys: Vec<KeyEntry>, deployments: Vec<Deployment>) -> Result<SnapshotIndex, IndexError> {
    let account = AccountId::default_account();
    SnapshotIndex::build(
        Snapshot {
            account,
            version: 3,
            keys,
            deployments,
            unready: Vec::new(),
            network: None,
            content: ContentRules::default(),
            access: Access::default(),
        },
        Some(&seal_key()),
    )
}

#[test]
fn deployments_are_found_without_regard_to_case() {
    let names: Vec<_> = (0..10_000).map(|i| format!("Deployment-{i}")).collect();
    let index = build(vec![], names.iter().map(|name| simulated(name)).collect()).unwrap();
    for name in &names {
        for spelled in [name.clone(), name.to_uppercase(), name.to_lowercase()] {
            assert_eq!(index.find(&spelled).map(|ready| ready.deployment.name.as_str()), Some(name.as_str()));
        }
    }
    for absent in ["", "Deployment-10000", "Deployment-", "deployment-0 ", "é"] {
        assert!(index.find(absent).is_none(), "{absent}");
    }
    assert_eq!(index.version(), 3);
}

#[test]
fn keys_are_found_by_their_whole_hash() {
    let index =
        build((0..1000).map(|i| key(&format!("key {i}"), &format!("k{i}"))).collect(), vec![]).unwrap();
    for i in 0..1000 {
        let digest = crate::seal::digest(format!("key {i}").as_bytes());
        assert_eq!(index.key(&digest).map(|key| key.id.as_str()), Some(format!("k{i}").as_str()));
        let mut other = digest;
        other[31] ^= 1;
        assert!(index.key(&other).is_none(), "the same prefix is not the same key");
    }
}

#[test]
fn a_snapshot_that_contradicts_itself_is_refused() {
    let twice = build(vec![], vec![simulated("Demo"), simulated("dEMO")]);
    assert_eq!(twice.err(), Some(IndexError::DuplicateDeployment { name: "demo".into() }));
    for hash in ["", "abc", &"g".repeat(64), &hex(&[0; 33])] {
        let broken = KeyEntry { hash: hash.to_string(), ..key("k", "id") };
        assert!(matches!(build(vec![broken], vec![]), Err(IndexError::IllegalHash { .. })), "{hash}");
    }
}

#[test]
fn addresses_are_composed_once() {
    let azure = UpstreamPaths::AzureOpenAi { deployment: "dep".into(), api_version: "2024-10-21".into() };
    let rows = [
        (UpstreamPaths::OpenAi, Task::Chat, "https://api.example/v1/chat/completions"),
        (UpstreamPaths::OpenAi, Task::Embeddings, "https://api.example/v1/embeddings"),
        (
            azure,
            Task::Completions,
            "https://api.example/v1/openai/deployments/dep/completions?api-version=2024-10-21",
        ),
        (UpstreamPaths::Exact, Task::Chat, "https://api.example/v1"),
    ];
    for (paths, task, expected) in rows {
        let target = Target::Http(upstream(paths, UpstreamAuth::None));
        let index = build(vec![], vec![deployment("d", target)]).unwrap();
        let entity = &index.find("d").unwrap().entities[0];
        assert_eq!(entity.url(task), expected);
        assert_eq!((entity.headers(), entity.fault), (&[][..], None));
    }
}

#[test]
fn a_credential_opens_for_its_own_address_only() {
    let sealed = |context: &str, secret: &str| seal(&seal_key(), context, secret, [7; 12]).unwrap();
    let bearer = |sealed| UpstreamAuth::Bearer { sealed };
    let header = |name: &str, sealed| UpstreamAuth::Header { name: name.into(), sealed };
    let rows: [Row; 6] = [
        (bearer(sealed(BASE, "sk-1")), Ok(("authorization", "Bearer sk-1"))),
        (header("Api-Key", sealed(BASE, "k")), Ok(("api-key", "k"))),
        (bearer(sealed("https://evil.example", "sk-1")), Err(EntityFault::Sealed)),
        (bearer("AAAA".into()), Err(EntityFault::Sealed)),
        (bearer(sealed(BASE, "sk\r\nx: y")), Err(EntityFault::IllegalHeader)),
        (header("x y", sealed(BASE, "k")), Err(EntityFault::IllegalHeader)),
    ];
    for (auth, expected) in rows {
        let target = Target::Http(upstream(UpstreamPaths::OpenAi, auth));
        let index = build(vec![], vec![deployment("d", target), simulated("other")]).unwrap();
        let entity = &index.find("d").unwrap().entities[0];
        let got = match entity.fault {
            None => Ok((entity.headers()[0].0.as_str(), entity.headers()[0].1.as_str())),
            Some(fault) => Err(fault),
        };
        assert_eq!(got, expected);
        assert_eq!(index.find("other").unwrap().entities[0].fault, None);
        assert!(!format!("{index:?}").contains("sk-1"), "a credential is never shown");
    }
}

#[test]
fn chat_and_completions_stand_for_each_other_where_the_upstream_can_decide() {
    let of = |target: Target, task: Task| {
        let index = build(vec![], vec![Deployment { task, ..deployment("d", target) }]).unwrap();
        [Task::Chat, Task::Completions, Task::Embeddings].map(|asked| index.find("d").unwrap().serves(asked))
    };
    let open = || Target::Http(upstream(UpstreamPaths::OpenAi, UpstreamAuth::None));
    let exact = || Target::Http(upstream(UpstreamPaths::Exact, UpstreamAuth::None));
    assert_eq!(of(open(), Task::Chat), [true, true, false]);
    assert_eq!(of(open(), Task::Embeddings), [false, false, true]);
    assert_eq!(of(exact(), Task::Chat), [true, false, false]);
}
