//! The Registry: the truth of one account's configuration.
//!
//! Loads rows once, calls `weir_core::control`, stores what it decided, performs the probes that it asks for.
//! Stage: shell.
#![expect(missing_docs, reason = "the macro of Durable Objects makes items without documentation")]

use super::rows::Rows;
use crate::bindings;
use crate::host;
use core::cell::RefCell;
use core::time::Duration;
use futures_util::future::{Either, join_all, select};
use std::rc::Rc;
use wasm_bindgen::prelude::wasm_bindgen;
use weir_core::control::access::oidc::{Outcome, Work};
use weir_core::control::probe::{PROBE_MILLIS, Probe, ProbeOutcome};
use weir_core::control::{self, Context, Handled, Settings, TABLES};
use weir_core::id::AccountId;
use weir_core::snapshot::token::Mint;
use worker::wasm_bindgen_futures::JsFuture;
use worker::{
    AbortController, Delay, DurableObject, Env, Fetch, Headers, Method, Request, RequestInit,
    RequestRedirect, Response, Result, State, durable_object,
};

/// The answer to a command waits so long for its probes: upstreams that answer at once are ready when the caller
/// reads it.
const PROBES_AWAITED: Duration = Duration::from_secs(2);

/// Where the object's name is stored for its alarm.
const ACCOUNT: &str = "account";

/// How long an issuer's answer is awaited.
const FETCH_AWAITED: Duration = Duration::from_secs(5);
/// Largest answer of an issuer, in bytes.
const FETCHED_MAX: usize = 1 << 20;
/// Largest refusal of an upstream that is read, in bytes.
const REFUSAL_MAX: usize = 16 << 10;

/// The Durable Object.
#[durable_object]
pub struct Registry {
    state: State,
    shared: Rc<Shared>,
}

struct Shared {
    rows: Rows,
    settings: Settings,
    registry: RefCell<Option<control::Registry>>,
}

impl DurableObject for Registry {
    fn new(state: State, env: Env) -> Self {
        let rows = Rows::open(&state, &TABLES);
        let settings = bindings::settings(&env);
        Self { state, shared: Rc::new(Shared { rows, settings, registry: RefCell::new(None) }) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let account = AccountId::parse(request.path().trim_start_matches('/'))
            .map_err(|problem| format!("the object's name {problem}"))?;
        let message = request.bytes().await?;
        let mut handled = self.shared.handle(&account, &message)?;
        while let Some((work, mut ask)) = handled.work.take() {
            ask.outcome = Some(perform(&work).await);
            let message = serde_json::json!({ "verify": ask }).to_string();
            handled = self.shared.handle(&account, message.as_bytes())?;
        }
        if let Some(mint) = &handled.mint {
            return Response::from_bytes(
                minted(mint).await.unwrap_or_else(|| "null".to_owned()).into_bytes(),
            );
        }
        self.look_after(&account, &handled).await?;
        if !handled.probes.is_empty() {
            let (shared, account_probed) = (Rc::clone(&self.shared), account.clone());
            let (done, waiting) = futures_channel::oneshot::channel();
            self.state.wait_until(async move {
                shared.probe(&account_probed, handled.probes).await;
                // Nobody may be waiting any more; the outcome is stored all the same.
                let _ = done.send(());
            });
            if let Some(message) = handled.reread
                && let Either::Left(_) = select(waiting, Delay::from(PROBES_AWAITED)).await
            {
                return Response::from_bytes(self.shared.handle(&account, &message)?.reply);
            }
        }
        Response::from_bytes(handled.reply)
    }

    /// Drives on what was in progress when the object, or the machine under it, went away.
    async fn alarm(&self) -> Result<Response> {
        let Some(account) = self.state.storage().get::<String>(ACCOUNT).await? else {
            return Response::empty();
        };
        let account = AccountId::parse(&account).map_err(|problem| format!("the object's name {problem}"))?;
        let handled = self.shared.handle(&account, br#"{"wake":{}}"#)?;
        self.look_after(&account, &handled).await?;
        self.shared.probe(&account, handled.probes).await;
        Response::empty()
    }
}

impl Registry {
    /// Has the alarm go off when core wants to be asked again. An alarm does not know its object's name, so that is
    /// stored with it.
    async fn look_after(&self, account: &AccountId, handled: &Handled) -> Result<()> {
        let Some(after) = handled.wake_in else { return Ok(()) };
        let storage = self.state.storage();
        storage.put(ACCOUNT, account.as_str()).await?;
        storage.set_alarm(Duration::from_millis(after.0)).await
    }
}

impl Shared {
    /// One message, from rows to rows. After a failed write the memory is dropped, so that it is read anew.
    fn handle(&self, account: &AccountId, message: &[u8]) -> Result<Handled> {
        let mut slot = self.registry.borrow_mut();
        let mut registry = match slot.take() {
            Some(registry) => registry,
            None => self.load(account)?,
        };
        let context = Context { now: host::now(), random: host::entropy()?, settings: &self.settings };
        let handled = registry.handle(&context, message);
        self.rows.write(&handled.writes)?;
        *slot = Some(registry);
        Ok(handled)
    }

    fn load(&self, account: &AccountId) -> Result<control::Registry> {
        let mut tables = Vec::with_capacity(TABLES.len());
        for table in TABLES {
            tables.push((table, self.rows.all(table)?));
        }
        control::Registry::load(account.clone(), tables).map_err(|problem| problem.to_string().into())
    }

    /// Probes all upstreams at once, and reports for each update what they met.
    async fn probe(&self, account: &AccountId, probes: Vec<Probe>) {
        let mut updates: Vec<(String, Vec<Probe>)> = Vec::new();
        for probe in probes {
            match updates.iter_mut().find(|(update, _)| *update == probe.update) {
                Some((_, of_update)) => of_update.push(probe),
                None => updates.push((probe.update.clone(), vec![probe])),
            }
        }
        join_all(updates.into_iter().map(|(update, probes)| async {
            let outcomes = join_all(probes.into_iter().map(|probe| async {
                let (status, refusal) = met_by(&probe).await.unzip();
                ProbeOutcome { entity: probe.entity, status, refusal: refusal.flatten() }
            }));
            let report = control::probe::Probed { update, outcomes: outcomes.await };
            let message = serde_json::json!({ "probed": report }).to_string();
            if let Err(problem) = self.handle(account, message.as_bytes()) {
                worker::console_error!("the outcome of a probe could not be stored: {problem}");
            }
        }))
        .await;
    }
}

#[wasm_bindgen(module = "/src/verify.js")]
extern "C" {
    fn verify(key: &str, algorithm: &str, signature: &[u8], signed: &[u8]) -> js_sys::Promise;
}

#[wasm_bindgen(module = "/src/sign.js")]
extern "C" {
    fn sign(key: &str, input: &str) -> js_sys::Promise;
}

/// The token endpoint's answer, if it is one.
async fn minted(mint: &Mint) -> Option<String> {
    let mut form = mint.form.clone();
    if let Some(key) = &mint.key {
        let signature = JsFuture::from(sign(key, &mint.input)).await.ok()?.as_string()?;
        form.push_str(&mint.input);
        form.push('.');
        form.push_str(&signature);
    }
    let headers = Headers::new();
    headers.set("content-type", "application/x-www-form-urlencoded").ok()?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_headers(headers).with_body(Some(form.into()));
    answered(&mint.url, init).await
}

/// Does what the check of a token needs.
async fn perform(work: &Work) -> Outcome {
    match work {
        Work::Discover(url) => Outcome::Discovery(fetched(url).await),
        Work::FetchKeys(url) => Outcome::Keys(fetched(url).await),
        Work::Signature { key, algorithm, signed, signature } => {
            let checked = JsFuture::from(verify(key, algorithm, signature, signed.as_bytes())).await;
            Outcome::Signature(checked.is_ok_and(|good| good.is_truthy()))
        }
    }
}

/// The body of a 200 at this address, if it comes in time and is not too large.
async fn fetched(url: &str) -> Option<String> {
    answered(url, RequestInit::new()).await
}

/// The body of a 200 to this request, if it comes in time and is not too large.
async fn answered(url: &str, mut init: RequestInit) -> Option<String> {
    init.with_redirect(RequestRedirect::Manual);
    let request = Request::new_with_init(url, &init).ok()?;
    let abort = AbortController::default();
    let signal = abort.signal();
    let call = Fetch::Request(request);
    let answer = Box::pin(async {
        let mut response = call.send_with_signal(&signal).await.ok()?;
        if response.status_code() != 200 {
            return None;
        }
        text_of(&mut response, FETCHED_MAX).await
    });
    match select(answer, Delay::from(FETCH_AWAITED)).await {
        Either::Left((body, _)) => body,
        Either::Right(_) => {
            abort.abort();
            None
        }
    }
}

/// What an upstream answers to a probe: the status, and of a 403 the body, if it is small; `None` without an answer in
/// time.
async fn met_by(probe: &Probe) -> Option<(u16, Option<String>)> {
    let headers = Headers::new();
    for (name, value) in &probe.headers {
        headers.set(name, value).ok()?;
    }
    let mut init = RequestInit::new();
    init.with_method(Method::Get).with_headers(headers).with_redirect(RequestRedirect::Manual);
    let request = Request::new_with_init(&probe.url, &init).ok()?;
    let abort = AbortController::default();
    let signal = abort.signal();
    let call = Fetch::Request(request);
    let answer = Box::pin(async {
        let mut response = call.send_with_signal(&signal).await.ok()?;
        let status = response.status_code();
        let refusal = if status == 403 { text_of(&mut response, REFUSAL_MAX).await } else { None };
        Some((status, refusal))
    });
    match select(answer, Delay::from(Duration::from_millis(PROBE_MILLIS.0))).await {
        Either::Left((met, _)) => met,
        Either::Right(_) => {
            abort.abort();
            None
        }
    }
}

/// The body as a text, if it says that it is not larger than `max` bytes, and is not.
async fn text_of(response: &mut Response, max: usize) -> Option<String> {
    let declared = response.headers().get("content-length").ok().flatten();
    if declared.and_then(|text| text.parse::<usize>().ok()).is_some_and(|length| length > max) {
        return None;
    }
    response.text().await.ok().filter(|body| body.len() <= max)
}
