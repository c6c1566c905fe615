//! The driver of management requests: plan, ask the objects that core names, answer.
//!
//! Decides nothing: which objects, in which order and with what answer is `weir_core::control::front` and
//! `weir_core::ledger::question`. Stage: shell.

use crate::{bindings, host, panics};
use weir_core::control::Settings;
use weir_core::control::answer::{Answer, ManagementRequest};
use weir_core::control::document::BODY_BYTES_MAX;
use weir_core::control::errand::Granted;
use weir_core::control::front::{FrontPlan, ManagementSurface, plan};
use weir_core::id::{AccountId, RequestId};
use weir_core::ledger::question::{Asked, Question};
use weir_core::object::CallOutcome;
use weir_core::surface::{Disposition, Infra, classify};
use worker::{Env, Headers, Method, Request, RequestInit, Response, Result};

/// Answers what is not the data path's.
pub(crate) async fn answer(mut request: Request, env: &Env) -> Result<Response> {
    let url = request.inner().url();
    let method = request.inner().method();
    panics::provoke(&url, || bindings::test_panics(env));
    match classify(&method, &url) {
        Disposition::Infra(Infra::Healthz) => Response::ok("ok\n"),
        Disposition::Infra(Infra::Health) => Response::from_json(&serde_json::json!({"status": "OK"})),
        Disposition::Infra(Infra::Readyz) => ready(env).await,
        Disposition::Infra(Infra::Metrics | Infra::DatabricksConfig)
        | Disposition::Management(_)
        | Disposition::Data(_)
        | Disposition::Refused { .. } => {
            let header = |name: &str| request.headers().get(name).ok().flatten();
            let (authorization, api_key) = (header("authorization"), header("api-key"));
            let (if_match, if_none_match) = (header("if-match"), header("if-none-match"));
            let body = body(&mut request).await?;
            let request = ManagementRequest {
                method,
                url,
                authorization,
                api_key,
                if_match,
                if_none_match,
                granted: None,
                identity: None,
                accounts: None,
                body,
            };
            manage(request, env).await
        }
    }
}

/// The body as text. One over the bound comes as so many spaces more than allowed: core refuses it by its length,
/// in the surface's form, without its having been read.
async fn body(request: &mut Request) -> Result<String> {
    let declared = request.headers().get("content-length")?.and_then(|text| text.parse::<usize>().ok());
    if declared.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Ok(" ".repeat(BODY_BYTES_MAX + 1));
    }
    Ok(String::from_utf8_lossy(&request.bytes().await?).into_owned())
}

async fn manage(mut request: ManagementRequest, env: &Env) -> Result<Response> {
    let settings = bindings::settings(env);
    let id = RequestId::from_random(u128::from_le_bytes(host::half(host::entropy()?)));
    let plan = loop {
        match plan(&request, &settings, id) {
            FrontPlan::Identify(account, message) => {
                let reply = call(env, "REGISTRY", account.as_str(), &message).await?;
                request.identity = Some(serde_json::from_slice(&reply)?);
            }
            FrontPlan::Accounts(message) => {
                let directory = AccountId::default_account();
                let reply = call(env, "REGISTRY", directory.as_str(), &message).await?;
                request.accounts = Some(serde_json::from_slice(&reply)?);
            }
            plan => break plan,
        }
    };
    match plan {
        FrontPlan::Identify(..) | FrontPlan::Accounts(_) => Err("a caller stays unknown".into()),
        FrontPlan::Reply(answer) => respond(answer),
        FrontPlan::Registry(account) => {
            let answer = ask(request.clone(), &account, env).await?;
            if answer.ledger {
                let query = Some(answer.body.as_str()).filter(|query| !query.is_empty());
                usage(&request, query, std::slice::from_ref(&account), &settings, env, id).await
            } else {
                respond(answer)
            }
        }
        FrontPlan::Usage(accounts) => usage(&request, None, &accounts, &settings, env, id).await,
    }
}

/// Asks a Registry, and runs the errands that it answers with.
async fn ask(mut request: ManagementRequest, account: &AccountId, env: &Env) -> Result<Answer> {
    loop {
        let message = serde_json::json!({ "http": request }).to_string();
        let reply = call(env, "REGISTRY", account.as_str(), message.as_bytes()).await?;
        let mut answer: Answer =
            serde_json::from_slice(&reply).map_err(|_| "the registry's answer cannot be read")?;
        let Some(errand) = answer.errand.take() else { return Ok(answer) };
        let message = errand.message.to_string();
        let reply = call(env, "REGISTRY", errand.to.as_str(), message.as_bytes()).await?;
        let granted: Granted = serde_json::from_slice(&reply)
            .map_err(|_| "the registry's answer to an errand cannot be read")?;
        if !errand.resume || request.granted.is_some() {
            return Ok(answer);
        }
        request.granted = Some(granted.granted);
    }
}

/// Asks all shards of the accounts' ledgers until the answer is complete; `query` instead of the request's own, if
/// given.
async fn usage(
    request: &ManagementRequest,
    query: Option<&str>,
    accounts: &[AccountId],
    settings: &Settings,
    env: &Env,
    id: RequestId,
) -> Result<Response> {
    let after_origin = request.url.splitn(4, '/').nth(3).unwrap_or_default();
    let (path, own) = after_origin.split_once('?').unwrap_or((after_origin, ""));
    let query = query.unwrap_or(own);
    let path = format!("/{path}");
    let base = settings.base(request.url.strip_suffix(after_origin).unwrap_or_default());
    let asked = Asked { accounts, base: &base, path: &path, query, body: &request.body, now: host::now() };
    let question = Question::parse(&asked);
    let answer = match question {
        None => return Err("a route of the ledger that the ledger does not know".into()),
        Some(Err(answer)) => answer,
        Some(Ok(mut question)) => loop {
            let asks = question.asks();
            if asks.is_empty() {
                break question.answer();
            }
            let calls = asks.iter().map(|ask| call(env, "LEDGER", &ask.object, &ask.body));
            let outcomes = futures_util::future::join_all(calls).await;
            for (ask, outcome) in asks.iter().zip(&outcomes) {
                let outcome =
                    outcome.as_ref().map_or(CallOutcome::Lost, |reply| CallOutcome::Answered(reply));
                question.answered(ask.shard, outcome);
            }
        },
    };
    let headers = answer.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let answer = Answer { status: answer.status, headers, body: answer.body, errand: None, ledger: false };
    respond(ManagementSurface::of_url(&request.url).stamped(answer, id))
}

/// `GET /readyz`: whether the Registry of the default account answers.
async fn ready(env: &Env) -> Result<Response> {
    let account = AccountId::default_account();
    match call(env, "REGISTRY", account.as_str(), br#"{"snapshot":{"known":0}}"#).await {
        Ok(_) => Response::ok("ready\n"),
        Err(_) => {
            Response::error("the configuration cannot be read; see GET /healthz for the Worker itself", 503)
        }
    }
}

/// One message to one object.
async fn call(env: &Env, binding: &str, name: &str, message: &[u8]) -> Result<Vec<u8>> {
    let stub = env.durable_object(binding)?.id_from_name(name)?.get_stub()?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(js_sys::Uint8Array::from(message).into()));
    let request = Request::new_with_init(&format!("https://object/{name}"), &init)?;
    let mut response = stub.fetch_with_request(request).await?;
    if response.status_code() != 200 {
        return Err(format!("an object answered {}", response.status_code()).into());
    }
    response.bytes().await
}

fn respond(answer: Answer) -> Result<Response> {
    let headers = Headers::new();
    for (name, value) in &answer.headers {
        headers.set(name, value)?;
    }
    let response = if answer.status == 204 { Response::empty()? } else { Response::ok(answer.body)? };
    Ok(response.with_status(answer.status).with_headers(headers))
}
