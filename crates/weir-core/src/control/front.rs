//! The front of the management plane: to which object a request goes, before any object is asked.
//!
//! Decides from method, URL and token alone, in the Worker that received the request. Callers without a credential
//! and routes that do not exist are answered here. Who presents another token than the administrator's is asked of
//! Registries first ([`FrontPlan::Identify`]): the plan is made again with what they answered.

use super::Settings;
use super::access::caller::{Caller, IdentifyAsk, Identity, bearer, first_ask};
use super::access::needed;
use super::access::oidc::VerifyAsk;
use super::answer::{Answer, Denied, Location, ManagementRequest, admit};
use super::errand::AccountsAsk;
use super::state::AccountState;
use super::{arm, databricks, weir};
use crate::auth::jwt::is_token;
use crate::id::{AccountId, RequestId};
use crate::ledger::question::{Extension, extension};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::json;

/// Where a management request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrontPlan {
    /// Nowhere: this is the answer.
    Reply(Answer),
    /// To the Registry of this account, as `{"http":…}`.
    Registry(AccountId),
    /// First to the Registry of this account with this message; its answer is the request's `identity`, with which
    /// the plan is made again.
    Identify(AccountId, Vec<u8>),
    /// First to the directory's Registry with this message; its answer is the request's `accounts`, with which the plan
    /// is made again.
    Accounts(Vec<u8>),
    /// To the ledger shards of these accounts (`ledger::question`).
    Usage(Vec<AccountId>),
}

/// Which management surface a path belongs to, for the form of its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagementSurface {
    /// Azure Resource Manager.
    Arm,
    /// Databricks REST.
    Databricks,
    /// Weir's own.
    Weir,
}

impl ManagementSurface {
    /// The surface of a path; Weir's own where nothing else claims it.
    pub fn of(location: &Location) -> Self {
        match location.parts().as_slice() {
            [first, ..]
                if first.eq_ignore_ascii_case("subscriptions") || first.eq_ignore_ascii_case("providers") =>
            {
                Self::Arm
            }
            ["api", version, ..] if version.starts_with(|c: char| c.is_ascii_digit()) => Self::Databricks,
            ["oidc" | ".well-known", ..] => Self::Databricks,
            _ => Self::Weir,
        }
    }

    /// The surface of an absolute URL.
    pub fn of_url(url: &str) -> Self {
        Location::parse(url).map_or(Self::Weir, |location| Self::of(&location))
    }

    /// The answer to a caller who may not command.
    pub fn denied(self, denied: Denied) -> Answer {
        match self {
            Self::Arm => arm::denied(denied),
            Self::Databricks => databricks::denied(denied),
            Self::Weir => weir::denied(denied),
        }
    }

    /// The answer to a caller who is known and may not.
    pub fn forbidden(self, caller: &Caller, action: &str, scope: &str) -> Answer {
        match self {
            Self::Arm => arm::forbidden(caller, action, scope),
            Self::Databricks => databricks::forbidden(action),
            Self::Weir => weir::forbidden(action, scope),
        }
    }

    /// The answer for a route that is part of the product but not built yet.
    pub fn not_supported(self, method: &str, path: &str) -> Answer {
        match self {
            Self::Arm => arm::not_supported(method, path),
            Self::Databricks => databricks::not_supported(method, path),
            Self::Weir => weir::not_supported(method, path),
        }
    }

    /// The answer for a path that is no route.
    pub fn no_such_route(self, method: &str, path: &str) -> Answer {
        match self {
            Self::Arm => arm::no_such_route(method, path),
            Self::Databricks => databricks::no_such_route(method, path),
            Self::Weir => weir::no_such_route(method, path),
        }
    }

    /// `answer` with the headers that name the request.
    #[must_use]
    pub fn stamped(self, answer: Answer, id: RequestId) -> Answer {
        let id = id.to_string();
        let answer = answer.with("x-request-id", &id).with("cache-control", "no-store");
        if self == Self::Arm { answer.with("x-ms-request-id", &id) } else { answer }
    }
}

/// Plans a management request. `id` names it in the answer, if it is answered here.
pub fn plan(request: &ManagementRequest, settings: &Settings, id: RequestId) -> FrontPlan {
    let Some(location) = Location::parse(&request.url) else {
        let faults = super::document::Faults::default();
        let answer = weir::error(400, "InvalidRequest", "The address of the request is malformed.", &faults);
        return FrontPlan::Reply(ManagementSurface::Weir.stamped(answer, id));
    };
    let surface = ManagementSurface::of(&location);
    match place(request, settings, &location, surface) {
        Ok(plan) => plan,
        Err(answer) => FrontPlan::Reply(surface.stamped(answer, id)),
    }
}

fn place(
    request: &ManagementRequest,
    settings: &Settings,
    location: &Location,
    surface: ManagementSurface,
) -> Result<FrontPlan, Answer> {
    let method = request.method.as_str();
    if location.parts().as_slice() == [".well-known", "databricks-config"] {
        return discovery(method, settings, location);
    }
    if databricks::oauth::is_token_route(&location.parts()) {
        return Ok(FrontPlan::Registry(AccountId::default_account()));
    }
    if databricks::oauth::is_metadata_route(&location.parts()) && method == "GET" {
        let base = settings.base(&location.origin);
        return Ok(FrontPlan::Reply(databricks::oauth::metadata(&base)));
    }
    let caller = match known(request, settings).map_err(|denied| surface.denied(denied))? {
        Known::Caller(caller) => caller,
        Known::Ask(plan) => return Ok(plan),
    };
    match surface {
        ManagementSurface::Arm if arm::authorization::is_about(location) => {
            Ok(FrontPlan::Registry(AccountId::default_account()))
        }
        ManagementSurface::Arm if extension(&location.path).is_some() => {
            let named = arm::account_path(location).transpose().map_err(arm::invalid_account)?;
            match named {
                Some(path) => ledger(request, location, surface, &caller, path.account),
                None => costs(request, location, &caller),
            }
        }
        ManagementSurface::Arm => match arm::account_path(location) {
            Some(path) => path.map(|path| FrontPlan::Registry(path.account)).map_err(arm::invalid_account),
            None => Err(surface.not_supported(method, &location.path)),
        },
        ManagementSurface::Databricks => match location.parts().as_slice() {
            ["api", "2.0", "token" | "token-management" | "accounts" | "preview", ..] => {
                Ok(FrontPlan::Registry(AccountId::default_account()))
            }
            ["api", "2.0", "serving-endpoints" | "secrets" | "permissions", ..] => {
                Ok(FrontPlan::Registry(caller.account))
            }
            _ => Err(surface.not_supported(method, &location.path)),
        },
        ManagementSurface::Weir => own(request, location, &caller),
    }
}

enum Known {
    Caller(Caller),
    Ask(FrontPlan),
}

/// Who calls, as far as it is known, or of whom it is to be asked.
fn known(request: &ManagementRequest, settings: &Settings) -> Result<Known, Denied> {
    let authorization = request.authorization.as_deref();
    let Err(denied) = admit(settings, authorization) else {
        return Ok(Known::Caller(Caller::administrator()));
    };
    if denied == Denied::Missing {
        return Err(denied);
    }
    let ask = |account, ask: IdentifyAsk| {
        let message = json!({"identify": ask}).to_string().into_bytes();
        Ok(Known::Ask(FrontPlan::Identify(account, message)))
    };
    match &request.identity {
        None if settings.issuer.is_some() && is_token(bearer(authorization)?) => {
            let ask = VerifyAsk {
                token: String::from(bearer(authorization)?),
                management: true,
                ..VerifyAsk::default()
            };
            let message = json!({"verify": ask}).to_string().into_bytes();
            Ok(Known::Ask(FrontPlan::Identify(AccountId::default_account(), message)))
        }
        None => {
            let (account, question) = first_ask(bearer(authorization)?);
            ask(account, question)
        }
        Some(Identity::Elsewhere) => {
            let (_, question) = first_ask(bearer(authorization)?);
            ask(AccountId::default_account(), question)
        }
        Some(Identity::Principal(who)) => ask(AccountId::default_account(), IdentifyAsk::Who(who.clone())),
        Some(Identity::Caller(caller)) => Ok(Known::Caller(caller.clone())),
        Some(Identity::Unknown) => Err(denied),
        Some(Identity::Expired) => Err(Denied::Expired),
        Some(Identity::Unavailable) => Err(Denied::Unavailable),
    }
}

/// Weir's own API works on the account that the query names, else on `default`.
fn own(request: &ManagementRequest, location: &Location, caller: &Caller) -> Result<FrontPlan, Answer> {
    let (method, parts) = (request.method.as_str(), location.parts());
    if parts.as_slice() == ["metrics"] {
        return metrics(request, location, caller);
    }
    let ["api", "weir", "v1", rest @ ..] = parts.as_slice() else {
        return Err(ManagementSurface::Weir.no_such_route(method, &location.path));
    };
    let account = match location.query("account") {
        None => AccountId::default_account(),
        Some(name) => account_of(name)?,
    };
    match rest {
        ["principals", ..] => Ok(FrontPlan::Registry(AccountId::default_account())),
        ["usage" | "requests"] | ["requests", _] | ["databricks", "endpoint_usage"] if method == "GET" => {
            ledger(request, location, ManagementSurface::Weir, caller, account)
        }
        _ => Ok(FrontPlan::Registry(account)),
    }
}

/// A question to the ledger of an account: its objects do not know who may ask, so it is decided here. Where another
/// account than the directory's stands is asked of its Registry first.
fn ledger(
    request: &ManagementRequest,
    location: &Location,
    surface: ManagementSurface,
    caller: &Caller,
    account: AccountId,
) -> Result<FrontPlan, Answer> {
    let method = request.method.as_str();
    let asked = extension(&location.path).map(|(_, asked)| asked);
    let allowed = if asked == Some(Extension::Cost) { "POST" } else { "GET" };
    if method != allowed {
        return Err(arm::wrong_method(allowed));
    }
    if caller.admin {
        return Ok(FrontPlan::Usage(Vec::from([account])));
    }
    let mut state = AccountState::new(account.clone());
    if account != AccountId::default_account() {
        match &caller.seen {
            Some((seen, home)) if *seen == account => state.access.home.clone_from(home),
            Some(_) | None => {
                let ask = IdentifyAsk::Seen(caller.clone());
                let message = json!({"identify": ask}).to_string().into_bytes();
                return Ok(FrontPlan::Identify(account, message));
            }
        }
    }
    let needed = needed::of(surface, method, location, caller, &state);
    match needed.lacking(caller, false) {
        Some(action) => Err(surface.forbidden(caller, action, &needed.scope)),
        None => Ok(FrontPlan::Usage(Vec::from([account]))),
    }
}

/// The costs of a subscription or of a resource group: those of all accounts that stand there. Metrics are of one
/// resource.
fn costs(request: &ManagementRequest, location: &Location, caller: &Caller) -> Result<FrontPlan, Answer> {
    let surface = ManagementSurface::Arm;
    let parts = location.parts();
    let ask = match (parts.as_slice(), extension(&location.path)) {
        ([first, subscription, "providers", ..], Some((_, Extension::Cost)))
            if first.eq_ignore_ascii_case("subscriptions") =>
        {
            AccountsAsk { subscription: Some(String::from(*subscription)), group: None }
        }
        ([first, subscription, groups, group, "providers", ..], Some((_, Extension::Cost)))
            if first.eq_ignore_ascii_case("subscriptions")
                && groups.eq_ignore_ascii_case("resourceGroups") =>
        {
            let group = Some(String::from(*group));
            AccountsAsk { subscription: Some(String::from(*subscription)), group }
        }
        _ => return Err(surface.no_such_route(&request.method, &location.path)),
    };
    if request.method != "POST" {
        return Err(arm::wrong_method("POST"));
    }
    let state = AccountState::new(AccountId::default_account());
    let needed = needed::of(surface, &request.method, location, caller, &state);
    if let Some(action) = needed.lacking(caller, false).filter(|_| !caller.admin) {
        return Err(surface.forbidden(caller, action, &needed.scope));
    }
    Ok(of_accounts(request, &ask))
}

/// `GET /metrics`: of all accounts, or of the one that the query names.
fn metrics(request: &ManagementRequest, location: &Location, caller: &Caller) -> Result<FrontPlan, Answer> {
    const ACTION: &str = "Weir/metrics/read";
    if request.method != "GET" {
        return Err(weir::wrong_method("GET"));
    }
    if !caller.admin && !caller.may(ACTION, "/") {
        return Err(ManagementSurface::Weir.forbidden(caller, ACTION, "/"));
    }
    match location.query("account") {
        Some(name) => Ok(FrontPlan::Usage(Vec::from([account_of(name)?]))),
        None => Ok(of_accounts(request, &AccountsAsk::default())),
    }
}

fn of_accounts(request: &ManagementRequest, ask: &AccountsAsk) -> FrontPlan {
    match &request.accounts {
        Some(accounts) => FrontPlan::Usage(accounts.clone()),
        None => FrontPlan::Accounts(json!({"accounts": ask}).to_string().into_bytes()),
    }
}

fn account_of(name: &str) -> Result<AccountId, Answer> {
    AccountId::parse(name).map_err(|problem| {
        let mut faults = super::document::Faults::default();
        faults.note("account", problem.to_string());
        weir::error(400, "InvalidRequest", &format!("The account's name {problem}."), &faults)
    })
}

/// `GET /.well-known/databricks-config`, without a token (`databricks.md`, 12.1).
fn discovery(method: &str, settings: &Settings, location: &Location) -> Result<FrontPlan, Answer> {
    if method != "GET" {
        return Err(databricks::no_such_route(method, &location.path));
    }
    let base: String = settings.base(&location.origin);
    let body = json!({"oidc_endpoint": format!("{base}/oidc"), "cloud": "aws"});
    Ok(FrontPlan::Reply(Answer::json(200, &body)))
}
