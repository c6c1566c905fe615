//! What core costs before the upstream is called: classify, auth, wire, route and plan, and the whole
//! exchange with its settling, with 10 to 10 000 deployments and 10 to 100 000 keys. A body has 1 KB.
//!
//! The budget is 5 µs up to the plan, flat over the sizes. `cargo bench -p weir-core --bench wall`.

use weir_core::exchange::flat::FlatPlan;
use weir_core::exchange::{Action, Event, Isolate, Request, Settings, UpstreamHeaders};
use weir_core::id::{AccountId, DeploymentName, IsolateId, PrincipalId};
use weir_core::object::CallOutcome;
use weir_core::seal::key_hash;
use weir_core::snapshot::access::{Access, Given, PrincipalEntry, Right, TokenEntry};
use weir_core::snapshot::content::ContentRules;
use weir_core::snapshot::{
    Deadlines, Deployment, DeploymentKind, KeyEntry, ServedEntity, Snapshot, Target, Task, Upstream,
    UpstreamAuth, UpstreamPaths,
};
use weir_core::surface::{HEADER_COUNT, HeaderValues};
use weir_core::time::UnixMillis;

/// Deployments and keys.
const SIZES: [(u32, u32); 4] = [(10, 10), (100, 1_000), (1_000, 10_000), (10_000, 100_000)];
const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

fn main() {
    divan::main();
}

fn deployment(at: u32) -> Option<Deployment> {
    Some(Deployment {
        name: DeploymentName::parse(&format!("Chat-{at}")).ok()?,
        kind: DeploymentKind::Account,
        task: Task::Chat,
        model: "gpt-4o".to_owned(),
        entities: vec![ServedEntity {
            name: "e".to_owned(),
            provider: "openai".to_owned(),
            upstream_model: "gpt-4o-2024-08-06".to_owned(),
            weight: 100,
            target: Target::Http(Upstream {
                base: "https://api.example.com/v1".to_owned(),
                paths: UpstreamPaths::OpenAi,
                auth: UpstreamAuth::None,
                organization: None,
            }),
            price: None,
        }],
        limits: Vec::new(),
        limiter_fail_open: true,
        deadlines: Deadlines::default(),
        created_at: UnixMillis(0),
        publisher: String::new(),
        version: String::new(),
        serverless: None,
        spillover: None,
        content_policy: None,
    })
}

fn key(at: u32) -> Option<KeyEntry> {
    let id = PrincipalId::parse(&format!("key{at}")).ok()?;
    let hash = key_hash(&format!("secret-{at}"));
    Some(KeyEntry { hash, principal: id.clone(), id, deployments: None, expires_at: None })
}

/// As many tokens and principals as keys, each with a hundred roles elsewhere and one at the account's group.
fn access(principals: u32) -> Access {
    let group = "/subscriptions/s/resourcegroups/g";
    let id = |at: u32| format!("principal{at}");
    let token = |at: u32| {
        let hash = key_hash(&format!("token-{at}"));
        let (token, principal) =
            (PrincipalId::parse(&format!("t{at}")).ok()?, PrincipalId::parse(&id(at)).ok()?);
        Some(TokenEntry { hash, id: token, principal, expires_at: None })
    };
    let rights = Right::Chat.bit();
    let entry = |at: u32| {
        let elsewhere = if at == 7 { 100 } else { 0 };
        let given =
            (0..elsewhere).map(|other| Given { scope: format!("/subscriptions/other{other}"), rights });
        PrincipalEntry {
            id: id(at),
            given: given.chain([Given { scope: group.to_owned(), rights }]).collect(),
        }
    };
    Access {
        scope: format!("{group}/providers/microsoft.cognitiveservices/accounts/default"),
        tokens: (0..principals).filter_map(token).collect(),
        principals: (0..principals).map(entry).collect(),
        issuer: None,
    }
}

/// An isolate with a snapshot of this size at hand.
fn isolate(deployments: u32, keys: u32) -> Isolate {
    let mut isolate = Isolate::new(IsolateId(7), Settings::default());
    let snapshot = Snapshot {
        account: AccountId::default_account(),
        version: 1,
        keys: (0..keys).filter_map(key).collect(),
        deployments: (0..deployments).filter_map(deployment).collect(),
        network: None,
        content: ContentRules::default(),
        access: access(keys),
    };
    let (handle, _) = isolate.begin(NOW, 1, &request(BODY));
    while let Some(call) = isolate.poll_call(NOW) {
        let answer = serde_json::to_vec(&snapshot).unwrap_or_default();
        isolate.called(NOW, call.id, CallOutcome::Answered(&answer));
    }
    let action = isolate.handle(NOW, 1, handle, Event::Resumed);
    assert!(matches!(action, Action::Send(_)), "{action:?}");
    isolate
}

const BODY: &[u8] = include_bytes!("chat_1kb.json");

fn request(body: &[u8]) -> Request<'_> {
    let mut headers = [None; HEADER_COUNT];
    if let Some(first) = headers.first_mut() {
        *first = Some("Bearer secret-7");
    }
    Request {
        method: "POST",
        url: "https://weir.example.com/v1/chat/completions",
        headers: HeaderValues::new(headers),
        body,
        length: u64::try_from(body.len()).unwrap_or(0),
    }
}

/// From the request to the flat plan of the upstream call.
#[divan::bench(args = SIZES)]
fn decide(bencher: divan::Bencher<'_, '_>, (deployments, keys): (u32, u32)) {
    let (mut isolate, mut plan) = (isolate(deployments, keys), FlatPlan::default());
    let mut random = 1u128;
    bencher.bench_local(|| {
        random += 1;
        let (handle, action) = isolate.begin(NOW, random, divan::black_box(&request(BODY)));
        let length = plan.write(handle, &action, None).len();
        let failed = Event::Failed(weir_core::exchange::Failure::TimedOut);
        divan::black_box(isolate.handle(NOW, 1, handle, failed));
        length
    });
}

/// As `decide`, for a token whose principal was given a hundred roles elsewhere and one here.
#[divan::bench(args = SIZES)]
fn decide_by_roles(bencher: divan::Bencher<'_, '_>, (deployments, keys): (u32, u32)) {
    let (mut isolate, mut plan) = (isolate(deployments, keys), FlatPlan::default());
    let mut asked = request(BODY);
    let mut headers = [None; HEADER_COUNT];
    if let Some(first) = headers.first_mut() {
        *first = Some("Bearer token-7");
    }
    asked.headers = HeaderValues::new(headers);
    let mut random = 1u128;
    bencher.bench_local(|| {
        random += 1;
        let (handle, action) = isolate.begin(NOW, random, divan::black_box(&asked));
        assert!(matches!(action, Action::Send(_)), "{action:?}");
        let length = plan.write(handle, &action, None).len();
        let failed = Event::Failed(weir_core::exchange::Failure::TimedOut);
        divan::black_box(isolate.handle(NOW, 1, handle, failed));
        length
    });
}

/// The whole exchange: decided, answered, settled, recorded.
#[divan::bench(args = SIZES)]
fn exchange(bencher: divan::Bencher<'_, '_>, (deployments, keys): (u32, u32)) {
    let (mut isolate, mut plan) = (isolate(deployments, keys), FlatPlan::default());
    let answer = include_bytes!("answer_1kb.json");
    let mut random = 1u128;
    bencher.bench_local(|| {
        random += 1;
        let (handle, action) = isolate.begin(NOW, random, divan::black_box(&request(BODY)));
        let length = plan.write(handle, &action, None).len();
        let event = Event::Answer { status: 200, headers: UpstreamHeaders::default(), body: answer };
        let action = isolate.handle(NOW, 1, handle, event);
        length + plan.write(handle, &action, None).len()
    });
}
