//! Exact bodies, one row for each rule of the specifications; and what holds for every error on every surface.

use super::*;
use crate::auth::AuthError;
use crate::route::RouteError;
use crate::snapshot::access::Right;
use crate::snapshot::network::Barred;
use crate::snapshot::{Meter, Task};
use crate::surface::{CHAT, EMBEDDINGS, INVOCATIONS, OTHER};
use crate::wire::bounds::BODY_BYTES_MAX;
use alloc::vec;
use proptest::prelude::*;
use serde_json::Value;

const ID: RequestId = RequestId::from_random(0);
const ID_TEXT: &str = "00000000-0000-4000-8000-000000000000";

const SURFACES: [Surface; 12] = [
    Surface::ModelInference,
    Surface::AzureOpenAi,
    Surface::AzureOpenAiV1,
    Surface::Serverless,
    Surface::ServingEndpoints,
    Surface::OpenAi,
    Surface::Anthropic,
    Surface::Gemini,
    Surface::MlflowGateway,
    Surface::Arm,
    Surface::DatabricksApi,
    Surface::Weir,
];

/// `error_code`s that `MLflow` does not turn into 500 (`databricks.md`, 11.4).
const DATABRICKS_CODES: &str = "INTERNAL_ERROR INVALID_STATE DATA_LOSS NOT_IMPLEMENTED TEMPORARILY_UNAVAILABLE \
    DEADLINE_EXCEEDED REQUEST_LIMIT_EXCEEDED RESOURCE_EXHAUSTED CANCELLED ABORTED RESOURCE_CONFLICT \
    ALREADY_EXISTS NOT_FOUND ENDPOINT_NOT_FOUND RESOURCE_DOES_NOT_EXIST PERMISSION_DENIED CUSTOMER_UNAUTHORIZED \
    UNAUTHENTICATED BAD_REQUEST RESOURCE_ALREADY_EXISTS INVALID_PARAMETER_VALUE";

fn exceeded(meter: Meter, millis: u64) -> WeirError {
    LimitError::Exceeded { meter, retry_after: Millis(millis) }.into()
}

fn never_fits() -> WeirError {
    LimitError::NeverFits { meter: Meter::Tokens, asked: 5000, burst: 1000 }.into()
}

fn upstream(status: u16, retry_after: Option<u64>, message: Option<&str>) -> WeirError {
    let (retry_after, message) = (retry_after.map(Millis), message.map(String::from));
    AttemptError::UpstreamStatus { status, retry_after, message }.into()
}

fn filtered() -> WeirError {
    let results = r#"{"hate":{"filtered":true,"severity":"high"}}"#.to_owned();
    PolicyError::PromptFiltered { results }.into()
}

fn unknown(name: &str) -> WeirError {
    RouteError::UnknownDeployment { name: name.into() }.into()
}

fn mismatch() -> WeirError {
    RouteError::TaskMismatch { name: "demo".into(), asked: Task::Embeddings, has: Task::Chat }.into()
}

fn out_of_range() -> WeirError {
    WireError::OutOfRange { member: "n", min: 1, max: 128, got: "0".into() }.into()
}

fn wrong_method() -> WeirError {
    let (method, path) = ("GET".into(), "/serving-endpoints/e/invocations".into());
    WireError::WrongMethod { method, path, allowed: "POST" }.into()
}

/// Every kind of error.
fn all() -> Vec<WeirError> {
    let route = || ("GET".to_owned(), "/x\r\nX-Evil: 1\"".to_owned());
    let mut errors: Vec<WeirError> = vec![
        WireError::UrlTooLong { max: 8192 }.into(),
        WireError::UnknownRoute { method: route().0, path: route().1 }.into(),
        WireError::WrongMethod { method: route().0, path: route().1, allowed: "POST, GET" }.into(),
        WireError::Unsupported { what: "Image generation" }.into(),
        WireError::ApiVersion.into(),
        WireError::IllegalName.into(),
        WireError::BodyTooLarge { max: BODY_BYTES_MAX }.into(),
        WireError::NotJson { at: 7 }.into(),
        WireError::NotUtf8 { at: 7 }.into(),
        WireError::NotAnObject.into(),
        WireError::TooDeep { max: 128 }.into(),
        WireError::TooManyMembers { max: 256 }.into(),
        WireError::MemberNameTooLong { at: 7 }.into(),
        WireError::DuplicateMember { member: "mo\"del\u{0}".into() }.into(),
        WireError::MissingMember { member: "messages" }.into(),
        WireError::WrongType { member: "stream", expected: "a boolean", got: "\"yes\"".into() }.into(),
        WireError::NotSupported {
            member: "messages.0.role".into(),
            expected: "one of a, b".into(),
            got: Some("\"\u{0}".into()),
        }
        .into(),
        WireError::ExtraMembers { names: "a\r\nX: \"".into() }.into(),
        WireError::ExtraParameters.into(),
        WireError::BrokenForm.into(),
        WireError::FormTooLong { max: 1 }.into(),
        RouteError::UnknownId.into(),
        RouteError::NotReady { name: "demo".into(), coming: true }.into(),
        RouteError::NotReady { name: "demo".into(), coming: false }.into(),
        RouteError::NowhereKept { what: "The Responses API" }.into(),
        RouteError::ProviderLacks { name: "demo".into(), what: "The Responses API" }.into(),
        out_of_range(),
        AuthError::Missing.into(),
        AuthError::Malformed.into(),
        AuthError::UnknownKey.into(),
        AuthError::Expired.into(),
        AuthError::KeysDisabled.into(),
        AuthError::Barred(Barred::Address).into(),
        AuthError::Barred(Barred::Closed).into(),
        RouteError::Suspended { name: "demo".into() }.into(),
        RouteError::NoModel.into(),
        unknown("no\r\nX-Evil: \"1\"\u{0}\u{85}"),
        RouteError::NotAllowed { name: "demo".into() }.into(),
        mismatch(),
        exceeded(Meter::Tokens, 6500),
        exceeded(Meter::Requests, 1),
        exceeded(Meter::Requests, 86_400_000),
        never_fits(),
        filtered(),
        LimitError::Unavailable.into(),
        AttemptError::Unreachable.into(),
        AttemptError::Timeout.into(),
        AttemptError::Malformed.into(),
        AttemptError::BadCredential.into(),
        AttemptError::Redirect.into(),
        WeirError::ConfigurationUnavailable,
        WeirError::Overloaded,
        WeirError::Bug { what: "secret internals" },
    ];
    for status in 400..=599 {
        errors.push(upstream(status, None, Some("see https://10.0.0.1/internal with sk-abc123")));
        errors.push(upstream(status, Some(2000), None));
    }
    errors
}

/// Surface, operation, error; then status and exact body. `ID` stands for the request id.
type Row = (&'static str, Surface, &'static str, WeirError, u16, &'static str);

#[track_caller]
fn check(rows: Vec<Row>) {
    for (source, surface, operation, error, status, body) in rows {
        let reply = render(&error, surface, operation, ID);
        assert_eq!((reply.status, reply.body.replace(ID_TEXT, "ID").as_str()), (status, body), "{source}");
    }
}

#[test]
#[rustfmt::skip]
fn model_inference_bodies() {
    use Surface::{ModelInference as M, Serverless as S};
    check(vec![
        ("A8 filtered", M, CHAT, filtered(), 400, r#"{"error":{"message":"The prompt was filtered by the content policy of this deployment. Change the prompt and send it again.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true,"severity":"high"}}}}}"#),
        ("B8 filtered", Surface::AzureOpenAiV1, CHAT, filtered(), 400, r#"{"error":{"message":"The prompt was filtered by the content policy of this deployment. Change the prompt and send it again.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true,"severity":"high"}}}}}"#),
        ("1.4 filtered", Surface::OpenAi, CHAT, filtered(), 400, r#"{"error":{"message":"The prompt was filtered by the content policy of this deployment. Change the prompt and send it again.","type":"invalid_request_error","param":"prompt","code":"content_filter"}}"#),
        ("A8 no model", M, CHAT, RouteError::NoModel.into(), 400, r#"{"error":{"code":"no_model_name","message":"No model is named. Put a deployment's name into the body as model, or into the header x-ms-model-mesh-model-name.","details":"No model is named. Put a deployment's name into the body as model, or into the header x-ms-model-mesh-model-name."}}"#),
        ("A8 wrong key", M, CHAT, AuthError::UnknownKey.into(), 401, r#"{"error":{"code":"401","message":"The key is not valid here. Present a key of this account or endpoint."}}"#),
        ("A8 no token", M, CHAT, AuthError::Missing.into(), 401, r#"{"statusCode":401,"message":"Unauthorized. Present a key as api-key, or a key or token as Authorization: Bearer."}"#),
        ("A8 no data action", M, CHAT, RouteError::NotAllowed { name: "demo".into() }.into(), 401, r#"{"error":{"code":"PermissionDenied","message":"The key may not query the deployment 'demo'."}}"#),
        ("A8 serverless without Authorization", S, CHAT, AuthError::Missing.into(), 401, r#"{"status":"Auth token must be passed as a header called Authorization, in the form Bearer <key>."}"#),
        ("A8 unknown route", M, OTHER, WireError::UnknownRoute { method: "POST".into(), path: "/models/x".into() }.into(), 404, r#"{"error":{"code":"404","message":"Resource not found"}}"#),
        ("A2 unknown api-version", M, OTHER, WireError::ApiVersion.into(), 404, r#"{"error":{"code":"404","message":"Resource not found. Add a known api-version to the query, for example 2024-05-01-preview."}}"#),
        ("A8 unknown deployment", M, CHAT, unknown("x"), 404, r#"{"error":{"code":"DeploymentNotFound","message":"There is no deployment called 'x' in this account. If it was created a moment ago, wait five seconds."}}"#),
        ("A8 unknown serverless host", S, CHAT, unknown("x"), 404, r#"{"status":"Serverless endpoint not found"}"#),
        ("A8 modality", M, EMBEDDINGS, mismatch(), 404, r#"{"status":404,"error":"The modality is not offered by the model.","message":"The deployment 'demo' does chat completions, not embeddings."}"#),
        ("A8 413", M, CHAT, WireError::BodyTooLarge { max: 9 }.into(), 413, r#"{"error":{"code":"413","message":"The body is larger than 9 bytes."}}"#),
        ("A8 422, shape 1", M, CHAT, out_of_range(), 422, r#"{"status":422,"code":"parameter_not_supported","detail":{"loc":["body","n"],"input":0,"value":0},"message":"The member 'n' must be between 1 and 128, not 0."}"#),
        ("A8 429", M, CHAT, exceeded(Meter::Tokens, 6500), 429, r#"{"error":{"code":"429","message":"ChatCompletions_Create: token rate limit of this deployment exceeded. Retry after 7 seconds."}}"#),
        ("A8 malformed", M, CHAT, WireError::NotJson { at: 3 }.into(), 400, r#"{"error":{"code":"BadRequest","message":"The body is not JSON: unexpected input at byte 3."}}"#),
    ]);
}

#[test]
#[rustfmt::skip]
fn azure_openai_bodies() {
    use Surface::{AzureOpenAi as A, AzureOpenAiV1 as V};
    check(vec![
        ("B7 wrong key", A, CHAT, AuthError::UnknownKey.into(), 401, r#"{"error":{"code":"401","message":"The key is not valid here. Present a key of this account or endpoint."}}"#),
        ("B7 missing key", A, CHAT, AuthError::Missing.into(), 401, r#"{"statusCode":401,"message":"Unauthorized. Present a key as api-key, or a key or token as Authorization: Bearer."}"#),
        ("B7 unknown deployment", A, CHAT, unknown("x"), 404, r#"{"error":{"code":"DeploymentNotFound","message":"There is no deployment called 'x' in this account. If it was created a moment ago, wait five seconds."}}"#),
        ("B2 unknown deployment", V, CHAT, unknown("x"), 404, r#"{"error":{"code":"DeploymentNotFound","message":"There is no deployment called 'x' in this account. If it was created a moment ago, wait five seconds."}}"#),
        ("B1 api-version", A, OTHER, WireError::ApiVersion.into(), 404, r#"{"error":{"code":"404","message":"Resource not found. Add a known api-version to the query, for example 2024-10-21."}}"#),
        ("B7 wrong method", A, CHAT, wrong_method(), 404, r#"{"error":{"code":"404","message":"/serving-endpoints/e/invocations does not take GET. Use POST."}}"#),
        ("B7 operation", A, EMBEDDINGS, mismatch(), 400, r#"{"error":{"code":"OperationNotSupported","message":"The deployment 'demo' does chat completions, not embeddings."}}"#),
        ("B7 parameter", A, CHAT, out_of_range(), 400, r#"{"error":{"code":"BadRequest","message":"The member 'n' must be between 1 and 128, not 0.","param":"n","type":"invalid_request_error"}}"#),
        ("B7 429 calls", A, EMBEDDINGS, exceeded(Meter::Requests, 1), 429, r#"{"error":{"code":"429","message":"Embeddings_Create: call rate limit of this deployment exceeded. Retry after 1 second."}}"#),
        ("B4 never fits", A, CHAT, never_fits(), 429, r#"{"error":{"code":"429","message":"ChatCompletions_Create: the request asks for an estimated 5000 tokens, and the token rate limit never admits more than 1000 at once. Ask for less, or have the limit raised."}}"#),
        ("B7 500", A, CHAT, WeirError::Bug { what: "x" }, 500, r#"{"error":{"code":"InternalServerError","message":"The gateway failed on this request. Report it with the request id of this answer."}}"#),
        ("B7 503", A, CHAT, LimitError::Unavailable.into(), 503, r#"{"error":{"code":"ServiceUnavailable","message":"The rate limit could not be checked just now. Send the request again in a second."}}"#),
    ]);
}

#[test]
#[rustfmt::skip]
fn databricks_bodies() {
    use Surface::{DatabricksApi as M, ServingEndpoints as Q};
    check(vec![
        ("10.6 D on Q1", Q, INVOCATIONS, unknown("x"), 404, r#"{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Endpoint with name 'x' does not exist.","code":"RESOURCE_DOES_NOT_EXIST","type":"invalid_request_error","param":null,"details":[{"@type":"type.googleapis.com/google.rpc.RequestInfo","request_id":"ID","serving_data":""}]}"#),
        ("10.6 C on Q2", Q, CHAT, unknown("x"), 404, r#"{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Endpoint with name 'x' does not exist.","error":{"message":"Endpoint with name 'x' does not exist.","type":"invalid_request_error","param":null,"code":"RESOURCE_DOES_NOT_EXIST"},"details":[{"@type":"type.googleapis.com/google.rpc.RequestInfo","request_id":"ID","serving_data":""}]}"#),
        ("5.2 no token", Q, INVOCATIONS, AuthError::Missing.into(), 401, r#"{"error_code":"UNAUTHENTICATED","message":"No key was presented. Send it as Authorization: Bearer <key>.","code":"UNAUTHENTICATED","type":"authentication_error","param":null,"details":[{"@type":"type.googleapis.com/google.rpc.RequestInfo","request_id":"ID","serving_data":""}]}"#),
        ("5.2 permission", Q, INVOCATIONS, RouteError::NotAllowed { name: "e".into() }.into(), 403, r#"{"error_code":"PERMISSION_DENIED","message":"User does not have permission 'Query' on Endpoint e","code":"PERMISSION_DENIED","type":"permission_error","param":null,"details":[{"@type":"type.googleapis.com/google.rpc.RequestInfo","request_id":"ID","serving_data":""}]}"#),
        ("5.2 unknown route", Q, INVOCATIONS, wrong_method(), 404, r#"{"error_code":"ENDPOINT_NOT_FOUND","message":"No API found for 'GET /serving-endpoints/e/invocations'","code":"ENDPOINT_NOT_FOUND","type":"invalid_request_error","param":null,"details":[{"@type":"type.googleapis.com/google.rpc.RequestInfo","request_id":"ID","serving_data":""}]}"#),
        ("10.2 wrong task", Q, INVOCATIONS, mismatch(), 400, r#"{"error_code":"BAD_REQUEST","message":"The deployment 'demo' does chat completions, not embeddings.","code":"BAD_REQUEST","type":"invalid_request_error","param":null,"details":[{"@type":"type.googleapis.com/google.rpc.RequestInfo","request_id":"ID","serving_data":""}]}"#),
        ("5.2 permission", Q, INVOCATIONS, RouteError::Lacks { right: Right::Chat, name: "e".into() }.into(), 403, r#"{"error_code":"PERMISSION_DENIED","message":"User does not have permission 'Query' on Endpoint e","code":"PERMISSION_DENIED","type":"permission_error","param":null,"details":[{"@type":"type.googleapis.com/google.rpc.RequestInfo","request_id":"ID","serving_data":""}]}"#),
        ("6.3 exceeded", Q, INVOCATIONS, exceeded(Meter::Requests, 1500), 429, r#"{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"REQUEST_LIMIT_EXCEEDED: Exceeded the call rate limit of this endpoint. Retry after 2 seconds.","code":"REQUEST_LIMIT_EXCEEDED","type":"rate_limit_error","param":null,"details":[{"@type":"type.googleapis.com/google.rpc.RequestInfo","request_id":"ID","serving_data":""}]}"#),
        ("5.2 timeout", Q, INVOCATIONS, AttemptError::Timeout.into(), 504, r#"{"error_code":"DEADLINE_EXCEEDED","message":"The model did not answer in time. Send the request again, or ask for less.","code":"DEADLINE_EXCEEDED","type":"timeout_error","param":null,"details":[{"@type":"type.googleapis.com/google.rpc.RequestInfo","request_id":"ID","serving_data":""}]}"#),
        ("5.2 management field", M, OTHER, out_of_range(), 400, r#"{"error_code":"INVALID_PARAMETER_VALUE","message":"The member 'n' must be between 1 and 128, not 0.","code":"INVALID_PARAMETER_VALUE","type":"invalid_request_error","param":"n","details":[{"@type":"type.googleapis.com/google.rpc.RequestInfo","request_id":"ID","serving_data":""}]}"#),
    ]);
}

#[test]
#[rustfmt::skip]
fn bodies_of_the_other_surfaces() {
    use Surface::{Anthropic, Arm, MlflowGateway, OpenAi, Weir};
    check(vec![
        ("providers 1.4 unknown model", OpenAi, CHAT, unknown("x"), 404, r#"{"error":{"message":"There is no deployment called 'x' in this account. If it was created a moment ago, wait five seconds.","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#),
        ("providers 1.4 401", OpenAi, CHAT, AuthError::UnknownKey.into(), 401, r#"{"error":{"message":"The key is not valid here. Present a key of this account or endpoint.","type":"authentication_error","param":null,"code":"invalid_api_key"}}"#),
        ("providers 1.4 400", OpenAi, CHAT, WireError::MissingMember { member: "messages" }.into(), 400, r#"{"error":{"message":"The member 'messages' is missing.","type":"invalid_request_error","param":"messages","code":null}}"#),
        ("providers 1.4 upstream 400", OpenAi, CHAT, upstream(400, None, Some("too long, see https://a.b/c sk-1")), 400, r#"{"error":{"message":"too long, see [address] [key]","type":"invalid_request_error","param":null,"code":null}}"#),
        ("design 8 never fits", OpenAi, CHAT, never_fits(), 400, r#"{"error":{"message":"ChatCompletions_Create: the request asks for an estimated 5000 tokens, and the token rate limit never admits more than 1000 at once. Ask for less, or have the limit raised.","type":"invalid_request_error","param":null,"code":"limit_too_small"}}"#),
        ("providers 1.4 connect", OpenAi, CHAT, AttemptError::Unreachable.into(), 502, r#"{"error":{"message":"The model could not be reached. Send the request again.","type":"api_error","param":null,"code":"upstream_error"}}"#),
        ("design 8 own credential", OpenAi, CHAT, AttemptError::BadCredential.into(), 502, r#"{"error":{"message":"The model refused the gateway's own credential; the caller's key is not at fault. Tell the operator.","type":"api_error","param":null,"code":"upstream_error"}}"#),
        ("not served yet", OpenAi, OTHER, WireError::Unsupported { what: "The list of models" }.into(), 501, r#"{"error":{"message":"The list of models is not supported by this gateway yet.","type":"invalid_request_error","param":null,"code":"not_supported"}}"#),
        ("providers 4.6", Anthropic, OTHER, AuthError::UnknownKey.into(), 401, r#"{"type":"error","error":{"type":"authentication_error","message":"The key is not valid here. Present a key of this account or endpoint."},"request_id":"ID"}"#),
        ("databricks 11.5", MlflowGateway, OTHER, WireError::Unsupported { what: "The MLflow AI Gateway" }.into(), 501, r#"{"detail":"The MLflow AI Gateway is not supported by this gateway yet."}"#),
        ("databricks 11.5 unknown", MlflowGateway, INVOCATIONS, unknown("x"), 404, r#"{"detail":"The endpoint 'x' is not present or active on the server. Please verify the endpoint name."}"#),
        ("databricks 11.5 schema", MlflowGateway, INVOCATIONS, out_of_range(), 422, r#"{"detail":"The member 'n' must be between 1 and 128, not 0."}"#),
        ("C0 401", Arm, OTHER, AuthError::Missing.into(), 401, r#"{"error":{"code":"AuthenticationFailed","message":"No key was presented. Send it as Authorization: Bearer <key>."}}"#),
        ("design 5", Weir, OTHER, WireError::WrongType { member: "name", expected: "a string", got: "1".into() }.into(), 400, r#"{"error":{"code":"invalid_request","message":"The member 'name' must be a string, not 1.","details":[{"path":"name","problem":"The member 'name' must be a string, not 1."}]}}"#),
        ("design 5 unknown", Weir, OTHER, WireError::UnknownRoute { method: "GET".into(), path: "/".into() }.into(), 404, r#"{"error":{"code":"not_found","message":"There is no GET / here. Compare the base address with the documentation.","details":[]}}"#),
    ]);
}

/// The headers that say when to come again.
fn retry(error: &WeirError, surface: Surface) -> String {
    let told = ["retry-after", "retry-after-ms", "x-should-retry"];
    let reply = render(error, surface, CHAT, ID);
    let found = reply.headers.iter().filter(|(name, _)| told.contains(name));
    found.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn waits_are_told_where_a_retry_helps() {
    let day = exceeded(Meter::Requests, 86_400_000);
    let rows = [
        ("B4", exceeded(Meter::Tokens, 6500), Surface::AzureOpenAi, "retry-after=7 retry-after-ms=6500"),
        ("6.3", exceeded(Meter::Tokens, 1), Surface::ServingEndpoints, "retry-after=1 retry-after-ms=1"),
        ("B9 a day", day.clone(), Surface::AzureOpenAi, "x-should-retry=false"),
        ("B9 a day", day.clone(), Surface::OpenAi, "x-should-retry=false"),
        ("12.4 a day", day, Surface::ServingEndpoints, "retry-after=86400 retry-after-ms=86400000"),
        ("design 8", never_fits(), Surface::AzureOpenAi, "x-should-retry=false"),
        ("A11", WireError::NotAnObject.into(), Surface::ModelInference, ""),
        ("A11", AuthError::Missing.into(), Surface::ModelInference, ""),
        ("promise 6", LimitError::Unavailable.into(), Surface::OpenAi, "retry-after=1 retry-after-ms=1000"),
        ("1.5", upstream(429, Some(2500), None), Surface::OpenAi, "retry-after=3 retry-after-ms=2500"),
        ("1.5", upstream(429, None, None), Surface::OpenAi, ""),
        ("13.8", upstream(429, None, None), Surface::ServingEndpoints, "retry-after=1 retry-after-ms=1000"),
        ("1.4 no quota", upstream(402, None, None), Surface::OpenAi, "x-should-retry=false"),
        ("1.4", upstream(400, Some(5000), None), Surface::OpenAi, ""),
        ("501", WireError::Unsupported { what: "x" }.into(), Surface::OpenAi, "x-should-retry=false"),
    ];
    for (source, error, surface, expected) in rows {
        assert_eq!(retry(&error, surface), expected, "{source} {surface:?}");
    }
}

#[test]
fn upstream_statuses_are_mapped() {
    let rows = [
        (400, 400),
        (401, 502),
        (402, 429),
        (403, 502),
        (404, 404),
        (405, 502),
        (408, 504),
        (409, 409),
        (413, 413),
        (422, 400),
        (424, 502),
        (429, 429),
        (500, 500),
        (502, 502),
        (503, 503),
        (504, 504),
        (520, 502),
        (529, 503),
    ];
    for (given, expected) in rows {
        assert_eq!(
            render(&upstream(given, None, None), Surface::OpenAi, CHAT, ID).status,
            expected,
            "{given}"
        );
    }
}

#[test]
fn every_error_is_legal_on_every_surface() {
    let codes: Vec<&str> = DATABRICKS_CODES.split_whitespace().collect();
    let forbidden = [
        "Unexpected error",
        "Please try again later",
        "RPC token bucket limit",
        "ClusterNotReadyException",
        "does not have any associated worker",
        "10.0.0.1",
        "sk-abc123",
        "secret internals",
    ];
    for error in all() {
        for surface in SURFACES {
            for operation in [CHAT, INVOCATIONS, OTHER] {
                let row = format!("{error:?} {surface:?} {operation}");
                let reply = render(&error, surface, operation, ID);
                assert!((400..600).contains(&reply.status), "{row}");
                let body: Value = serde_json::from_str(&reply.body).unwrap_or_else(|_| panic!("{row}"));
                assert!(forbidden.iter().all(|phrase| !reply.body.contains(phrase)), "{row}");
                for (name, value) in &reply.headers {
                    assert!(name.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase()), "{row}");
                    assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{row} {name}");
                }
                let has = |wanted: &str| reply.headers.iter().filter(|(name, _)| *name == wanted).count();
                assert_eq!((has("content-type"), has("x-request-id")), (1, 1), "{row}");
                if let Some(code) = body.get("error_code").and_then(Value::as_str) {
                    assert!(codes.contains(&code), "{row}");
                }
                let azure = matches!(surface, Surface::ModelInference | Surface::Serverless);
                assert_eq!(has("x-ms-error-code"), usize::from(azure), "{row}");
            }
        }
    }
}

#[test]
fn headers_of_the_request_and_of_the_method() {
    let named = |error: WeirError, surface: Surface, name: &str| {
        let headers = render(&error, surface, CHAT, ID).headers;
        headers.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    };
    assert_eq!(named(unknown("x"), Surface::AzureOpenAi, "apim-request-id").as_deref(), Some(ID_TEXT));
    assert_eq!(named(unknown("x"), Surface::OpenAi, "apim-request-id"), None);
    assert_eq!(named(unknown("x"), Surface::Anthropic, "request-id").as_deref(), Some(ID_TEXT));
    assert_eq!(named(unknown("x"), Surface::Arm, "x-ms-request-id").as_deref(), Some(ID_TEXT));
    assert_eq!(
        named(unknown("x"), Surface::ModelInference, "x-ms-error-code").as_deref(),
        Some("DeploymentNotFound")
    );
    assert_eq!(named(wrong_method(), Surface::OpenAi, "allow").as_deref(), Some("POST"));
    assert_eq!(named(wrong_method(), Surface::AzureOpenAi, "allow"), None);
    assert_eq!(named(AuthError::Missing.into(), Surface::Arm, "www-authenticate").as_deref(), Some("Bearer"));
}

#[test]
fn a_stream_that_breaks_off_ends_in_the_form_its_clients_notice() {
    let rows = [
        (
            "A11: a data event would be skipped",
            Surface::ModelInference,
            "\n\nevent: error\ndata: {\"error\":{\"code\":\"InternalServerError\",\"message\":\"TEXT\"}}\n\n",
        ),
        (
            "B9",
            Surface::AzureOpenAi,
            "\n\ndata: {\"error\":{\"code\":\"InternalServerError\",\"message\":\"TEXT\",\"param\":null,\"type\":\"api_error\"}}\n\n",
        ),
        (
            "1.4",
            Surface::OpenAi,
            "\n\ndata: {\"error\":{\"message\":\"TEXT\",\"type\":\"api_error\",\"param\":null,\"code\":\"upstream_error\"}}\n\n",
        ),
        (
            "10.5",
            Surface::ServingEndpoints,
            "\n\nevent: error\ndata: {\"error\":{\"message\":\"TEXT\",\"type\":\"server_error\",\"code\":\"INTERNAL_ERROR\"},\"error_code\":\"INTERNAL_ERROR\",\"message\":\"TEXT\"}\n\n",
        ),
        (
            "4.6",
            Surface::Anthropic,
            "\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"TEXT\"}}\n\n",
        ),
        (
            "6.7",
            Surface::Gemini,
            "\n\nevent: error\ndata: {\"error\":{\"code\":500,\"message\":\"TEXT\",\"status\":\"INTERNAL\"}}\n\n",
        ),
    ];
    for (source, surface, expected) in rows {
        let text = String::from_utf8(stream_error(surface, None, Broken::Upstream)).unwrap();
        let text = text.replace("The model's answer broke off before its end.", "TEXT");
        assert_eq!(text, expected, "{source} {surface:?}");
        assert!(!text.contains("[DONE]"));
        let unjudged = String::from_utf8(stream_error(surface, None, Broken::Unjudged)).unwrap();
        assert!(unjudged.contains("\"content_filter_error\"") || surface == Surface::Anthropic, "{unjudged}");
    }
}

proptest! {
    #[test]
    fn names_from_outside_only_ever_are_text(name in ".{0,60}", message in ".{0,200}") {
        for surface in SURFACES {
            for error in [unknown(&name), upstream(400, None, Some(&message))] {
                let reply = render(&error, surface, CHAT, ID);
                prop_assert!(serde_json::from_str::<Value>(&reply.body).is_ok());
                prop_assert!(!reply.body.contains(['\r', '\n', '\0']));
                let legal = reply.headers.iter().all(|(_, value)| value.bytes().all(|b| (b' '..=b'~').contains(&b)));
                prop_assert!(legal);
            }
        }
    }
}
