//! Every route of `design.md`, section 1, as a table; path tricks; arbitrary input.

use super::*;
use alloc::format;
use alloc::string::String;
use alloc::string::ToString;
use proptest::prelude::*;

/// What a disposition is, in short: `surface task name@account`, or the refusal's label.
fn told(method: &str, url: &str) -> String {
    match classify(method, url) {
        Disposition::Data(route) => {
            let task = match route.task {
                Some(Task::Chat) => "chat",
                Some(Task::Completions) => "completions",
                Some(Task::Embeddings) => "embeddings",
                None => "any",
            };
            let task = match &route.asks {
                Asks::Answer => task.to_string(),
                Asks::Schema(_) => format!("{task} by schema"),
                Asks::Messages { counts } => format!("messages {counts}"),
                Asks::Models { id: None, deployments } => format!("models {deployments}"),
                Asks::Models { id: Some(id), .. } => format!("model={id}"),
                Asks::Gemini(ask) => ask.method().to_string(),
                Asks::Info => "info".to_string(),
                Asks::Document => "document".to_string(),
                Asks::Pass(passage) => {
                    let form = if passage.form { " form" } else { "" };
                    format!("pass {}?{}{form}", passage.path, passage.query)
                }
            };
            let mut text = format!("{} {task}", route.surface.label());
            if let Some(name) = &route.name {
                text = format!("{text} {name}");
            }
            if let Some(account) = route.account {
                text = format!("{text} @{account}");
            }
            text
        }
        Disposition::Management(route) => match route.account {
            Some(account) => format!("management {} @{account}", route.surface.label()),
            None => format!("management {}", route.surface.label()),
        },
        Disposition::Infra(infra) => format!("{infra:?}"),
        Disposition::Refused { surface, error, .. } => format!("{}: {}", surface.label(), error.label()),
    }
}

#[track_caller]
fn check(rows: &[(&str, &str, &str)]) {
    for (method, path, expected) in rows {
        let url = if path.starts_with('/') {
            format!("http://127.0.0.1:8787{path}")
        } else {
            format!("https://{path}")
        };
        assert_eq!(told(method, &url), *expected, "{method} {url}");
    }
}

#[test]
fn azure_routes() {
    check(&[
        ("POST", "/models/chat/completions?api-version=2024-05-01-preview", "model_inference chat by schema"),
        (
            "POST",
            "/models/completions?api-version=2024-05-01-preview",
            "model_inference completions by schema",
        ),
        ("POST", "/models/embeddings?a=b&api-version=2025-04-01", "model_inference embeddings by schema"),
        ("POST", "/models/embeddings", "model_inference: api_version"),
        ("POST", "/models/embeddings?api-version=2024-08-01-preview", "model_inference: api_version"),
        ("POST", "/models/embeddings?api-version=", "model_inference: api_version"),
        ("POST", "/models/images/embeddings?api-version=2025-04-01", "model_inference embeddings by schema"),
        ("GET", "/models/info?api-version=2024-05-01-preview", "model_inference info"),
        ("GET", "/models/info?api-version=2025-05-01&model=My%2Ddep", "model_inference info My-dep"),
        ("GET", "/models/info?model_deployment=d&api-version=2025-04-01", "model_inference info d"),
        ("POST", "/models/info?api-version=2025-04-01", "model_inference: wrong_method"),
        ("GET", "/models/chat/completions?api-version=2025-04-01", "model_inference: wrong_method"),
        ("POST", "/models/other?api-version=2025-04-01", "model_inference: unknown_route"),
        ("POST", "/openai/deployments/d/chat/completions?api-version=2024-10-21", "azure_openai chat d"),
        ("POST", "/openai/deployments/d/completions?api-version=2022-12-01", "azure_openai completions d"),
        (
            "POST",
            "/openai/deployments/d/embeddings?api-version=2025-04-01-preview",
            "azure_openai embeddings d",
        ),
        ("POST", "/openai/deployments/d/chat/completions", "azure_openai: api_version"),
        ("POST", "/openai/deployments/d/chat/completions?api-version=0613", "azure_openai: api_version"),
        (
            "GET",
            "/openai/deployments/d/chat/completions?api-version=2024-10-21",
            "azure_openai: wrong_method",
        ),
        (
            "POST",
            "/openai/deployments/d/images/generations?api-version=2024-10-21",
            "azure_openai pass images/generations?api-version=2024-10-21 d",
        ),
        (
            "POST",
            "/openai/deployments/d/audio/transcriptions?api-version=2024-10-21",
            "azure_openai pass audio/transcriptions?api-version=2024-10-21 form d",
        ),
        ("POST", "/openai/images/generations?api-version=2024-10-21", "azure_openai: unknown_route"),
        (
            "GET",
            "/openai/files/file-1?api-version=2024-10-21",
            "azure_openai pass files/file-1?api-version=2024-10-21",
        ),
        (
            "POST",
            "/openai/responses?api-version=2025-03-01-preview",
            "azure_openai pass responses?api-version=2025-03-01-preview",
        ),
        ("GET", "/openai/models?api-version=2024-10-21", "azure_openai models false"),
        ("GET", "/openai/models/gpt-4o?api-version=2024-10-21", "azure_openai model=gpt-4o"),
        ("GET", "/openai/models", "azure_openai: api_version"),
        ("GET", "/openai/deployments?api-version=2024-10-21", "azure_openai: unknown_route"),
        ("GET", "/openai/deployments?api-version=2023-03-15-preview", "azure_openai models true"),
        ("POST", "/openai/deployments/d/nothing?api-version=2024-10-21", "azure_openai: unknown_route"),
        ("POST", "/openai/v1/chat/completions", "azure_openai_v1 chat"),
        ("POST", "/openai/v1/chat/completions?api-version=preview", "azure_openai_v1 chat"),
        ("POST", "/openai/v1/embeddings", "azure_openai_v1 embeddings"),
        ("GET", "/openai/v1/models", "azure_openai_v1 models false"),
        ("GET", "/openai/v1/responses/resp_1", "azure_openai_v1 pass responses/resp_1?"),
    ]);
}

#[test]
fn hosts_select_accounts_and_endpoints() {
    check(&[
        (
            "POST",
            "contoso.services.ai.azure.com/models/chat/completions?api-version=2025-04-01",
            "model_inference chat by schema @contoso",
        ),
        (
            "POST",
            "contoso.openai.localhost:8787/openai/v1/completions",
            "azure_openai_v1 completions @contoso",
        ),
        ("GET", "contoso.openai.azure.com/nothing", "azure_openai: unknown_route"),
        ("POST", "llama.eastus.models.ai.azure.com/chat/completions", "serverless chat by schema llama"),
        ("POST", "llama.eastus.models.ai.azure.com/v1/chat/completions", "serverless chat llama"),
        ("POST", "llama.eastus.models.localhost:8787/embeddings", "serverless embeddings by schema llama"),
        ("GET", "llama.eastus.models.ai.azure.com/info", "serverless info llama"),
        ("GET", "llama.eastus.models.ai.azure.com/swagger.json", "serverless document llama"),
        ("GET", "llama.eastus.models.ai.azure.com/v1/info", "serverless: unknown_route"),
        ("GET", "llama.eastus.models.ai.azure.com/healthz", "Healthz"),
        ("POST", "llama.eastus.models.ai.azure.com/models/chat/completions", "serverless: unknown_route"),
        ("POST", "/serverless/llama/v1/chat/completions", "serverless chat llama"),
        ("POST", "/serverless/llama/completions", "serverless completions by schema llama"),
        ("POST", "/serverless/llama/images/embeddings", "serverless embeddings by schema llama"),
        ("POST", "/serverless", "weir: unknown_route"),
    ]);
}

#[test]
fn databricks_and_mlflow_routes() {
    check(&[
        ("POST", "/serving-endpoints/chat/invocations", "serving_endpoints any chat"),
        ("POST", "/serving-endpoints/chat/completions", "serving_endpoints chat"),
        ("POST", "/serving-endpoints/completions", "serving_endpoints completions"),
        ("POST", "/serving-endpoints/embeddings", "serving_endpoints embeddings"),
        ("POST", "/serving-endpoints/responses", "serving_endpoints pass responses?"),
        ("GET", "/serving-endpoints/responses/resp_1", "serving_endpoints pass responses/resp_1?"),
        ("POST", "/serving-endpoints/responses/invocations", "serving_endpoints any responses"),
        ("GET", "/serving-endpoints/models", "serving_endpoints models false"),
        ("GET", "/serving-endpoints/models/chat", "serving_endpoints model=chat"),
        ("POST", "/serving-endpoints/models/invocations", "serving_endpoints any models"),
        ("GET", "/serving-endpoints/anthropic/v1/messages", "anthropic: wrong_method"),
        ("POST", "/ai-gateway/anthropic/v1/nothing", "serving_endpoints: unknown_route"),
        ("POST", "/serving-endpoints/gemini/v1beta/models/m:generateContent", "gemini generateContent m"),
        (
            "POST",
            "/ai-gateway/gemini/v1beta/models/m:1:streamGenerateContent?alt=sse",
            "gemini streamGenerateContent?alt=sse m:1",
        ),
        (
            "POST",
            "/gateway/gemini/v1beta/models/a%20b:streamGenerateContent",
            "gemini streamGenerateContent a b",
        ),
        ("POST", "/serving-endpoints/gemini/v1beta/models/m:countTokens", "gemini countTokens m"),
        ("POST", "/serving-endpoints/gemini/v1/models/m:generateContent", "gemini generateContent m"),
        ("POST", "/serving-endpoints/gemini/v2/models/m:generateContent", "serving_endpoints: unknown_route"),
        ("GET", "/serving-endpoints/gemini/v1beta/models/m:countTokens", "gemini: wrong_method"),
        ("POST", "/serving-endpoints/gemini/v1beta/models/m:embedContent", "gemini: unsupported"),
        ("POST", "/serving-endpoints/gemini/v1beta/models/m", "gemini: unknown_route"),
        ("POST", "/serving-endpoints/gemini/v1beta/models/a/b:generateContent", "gemini: unknown_route"),
        ("POST", "/serving-endpoints/gemini/v1beta/models/:generateContent", "gemini: illegal_name"),
        ("POST", "/serving-endpoints/gemini/invocations", "serving_endpoints any gemini"),
        ("POST", "/gateway/anthropic/v1/messages", "anthropic messages false"),
        ("POST", "/gateway/nothing", "mlflow_gateway: unknown_route"),
        ("POST", "/ai-gateway/mlflow/v1/chat/completions", "serving_endpoints chat"),
        ("POST", "/ai-gateway/mlflow/v1/embeddings", "serving_endpoints embeddings"),
        ("POST", "/ai-gateway/mlflow/v1/responses", "serving_endpoints pass responses?"),
        ("POST", "/ai-gateway/openai/v1/chat/completions", "serving_endpoints chat"),
        ("POST", "/ai-gateway/openai/v1/responses", "serving_endpoints pass responses?"),
        ("GET", "/ai-gateway/openai/v1/models", "serving_endpoints models false"),
        ("POST", "/ai-gateway/other/v1/chat/completions", "serving_endpoints: unknown_route"),
        ("GET", "/serving-endpoints/chat/invocations", "serving_endpoints: wrong_method"),
        ("POST", "/serving-endpoints/chat", "serving_endpoints: unknown_route"),
        ("POST", "/endpoints/chat/invocations", "mlflow_gateway any chat"),
        ("POST", "/gateway/chat/invocations", "mlflow_gateway any chat"),
        ("GET", "/gateway/chat/invocations", "mlflow_gateway: wrong_method"),
        ("POST", "/gateway/chat", "mlflow_gateway: unknown_route"),
        ("GET", "/api/2.0/endpoints/", "mlflow_gateway models false"),
        ("GET", "/api/2.0/endpoints", "mlflow_gateway models false"),
        ("GET", "/api/2.0/endpoints/chat", "mlflow_gateway model=chat"),
        ("GET", "/api/2.0/endpoints/limits/chat", "mlflow_gateway: unsupported"),
        ("POST", "/api/2.0/gateway/limits/", "mlflow_gateway: unsupported"),
        ("GET", "/api/2.0/gateway/routes/", "mlflow_gateway models true"),
        ("GET", "/api/2.0/gateway/routes/chat", "mlflow_gateway model=chat"),
        ("GET", "/api/3.0/gateway/endpoint/chat", "mlflow_gateway model=chat"),
        ("GET", "/api/3.0/gateway/route/chat", "mlflow_gateway model=chat"),
        ("POST", "/api/2.0/endpoints/", "mlflow_gateway: wrong_method"),
        ("GET", "/health", "Health"),
    ]);
}

#[test]
fn openai_and_anthropic_routes() {
    check(&[
        ("POST", "/v1/chat/completions", "openai chat"),
        ("POST", "/v1/completions", "openai completions"),
        ("POST", "/v1/embeddings", "openai embeddings"),
        ("GET", "/v1/models", "openai models false"),
        ("GET", "/v1/models/gpt-4o", "openai model=gpt-4o"),
        ("POST", "/v1/models", "openai: wrong_method"),
        ("POST", "/v1/responses", "openai pass responses?"),
        ("POST", "/v1/files", "openai pass files? form"),
        ("GET", "/v1/files?limit=2&after=x", "openai pass files?limit=2&after=x"),
        ("DELETE", "/v1/threads/t/messages/m", "openai pass threads/t/messages/m?"),
        (
            "GET",
            "/v1/chat/completions/chatcmpl-1/messages",
            "openai pass chat/completions/chatcmpl-1/messages?",
        ),
        ("PUT", "/v1/files", "openai: wrong_method"),
        ("GET", "/v1/images/generations", "openai: wrong_method"),
        ("GET", "/v1/files/..", "openai: unknown_route"),
        ("GET", "/v1/files/%2e%2e/x", "openai: unknown_route"),
        ("GET", "/v1/files//x", "openai: unknown_route"),
        ("GET", "/v1/files/a%2fb", "openai: unknown_route"),
        ("POST", "/v1/fine_tuning/jobs", "openai pass fine_tuning/jobs?"),
        (
            "GET",
            "/v1/fine_tuning/jobs/ftjob-1/events?limit=2",
            "openai pass fine_tuning/jobs/ftjob-1/events?limit=2",
        ),
        ("PUT", "/v1/fine_tuning/jobs", "openai: wrong_method"),
        ("POST", "/v1/fine_tuning", "openai: unsupported"),
        ("POST", "/v1/images/generations", "openai pass images/generations?"),
        ("DELETE", "/v1/chat/completions", "openai: wrong_method"),
        ("POST", "/v1/nothing", "openai: unknown_route"),
        ("POST", "/v1/messages", "anthropic messages false"),
        ("POST", "/v1/messages/count_tokens", "anthropic messages true"),
        ("GET", "/v1/messages", "anthropic: wrong_method"),
    ]);
}

#[test]
fn management_and_infrastructure_routes() {
    check(&[
        (
            "GET",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts",
            "management arm",
        ),
        ("PUT", "/SUBSCRIPTIONS/s", "management arm"),
        ("GET", "/providers/Microsoft.Authorization/operations", "management arm"),
        ("POST", "/api/2.0/serving-endpoints", "management databricks_api"),
        ("POST", "/api/2.0/serving-endpoints/", "management databricks_api"),
        ("GET", "/api/2.0/preview/scim/v2/Me", "management databricks_api"),
        ("POST", "/oidc/v1/token", "management databricks_api"),
        ("GET", "/api/weir/v1/usage?from=0", "management weir"),
        ("GET", "/api/weir", "management weir"),
        ("GET", "/api/9.9/x", "databricks_api: unknown_route"),
        ("GET", "/.well-known/databricks-config", "DatabricksConfig"),
        ("GET", "/healthz", "Healthz"),
        ("HEAD", "/readyz", "Readyz"),
        ("GET", "/metrics", "Metrics"),
        ("POST", "/healthz", "weir: wrong_method"),
        ("GET", "/", "weir: unknown_route"),
        ("GET", "/favicon.ico", "weir: unknown_route"),
    ]);
}

#[test]
fn path_tricks_reach_no_other_route() {
    let long = format!("/v1/{}", "a".repeat(9000));
    check(&[
        ("POST", "//v1/chat/completions", "weir: unknown_route"),
        ("POST", "/v1//chat/completions", "openai: unknown_route"),
        ("POST", "/v1/chat/completions/", "openai: unknown_route"),
        ("POST", "/v1/chat//completions", "openai: unknown_route"),
        ("POST", "/v1/%63hat/completions", "openai: unknown_route"),
        ("POST", "/v1/chat%2fcompletions", "openai: unknown_route"),
        ("POST", "/v1/../api/weir/v1/keys", "openai: unknown_route"),
        ("POST", "/v1/CHAT/completions", "openai: unknown_route"),
        ("post", "/v1/chat/completions", "openai: wrong_method"),
        ("", "/v1/chat/completions", "openai: wrong_method"),
        ("POST", "/serving-endpoints/../invocations", "serving_endpoints any .."),
        ("POST", "/serving-endpoints/%2e%2e/invocations", "serving_endpoints any .."),
        ("POST", "/serving-endpoints//invocations", "serving_endpoints: illegal_name"),
        ("POST", "/serving-endpoints/a%2fb/invocations", "serving_endpoints: illegal_name"),
        ("POST", "/serving-endpoints/%00/invocations", "serving_endpoints: illegal_name"),
        ("POST", "/serving-endpoints/a%0d%0aSet-Cookie:x/invocations", "serving_endpoints: illegal_name"),
        ("POST", "/serving-endpoints/a\r\nX: y/invocations", "serving_endpoints: illegal_name"),
        ("POST", "/serving-endpoints/%ff/invocations", "serving_endpoints: illegal_name"),
        ("POST", "/serving-endpoints/demo%2Dchat/invocations", "serving_endpoints any demo-chat"),
        (
            "POST",
            "/openai/deployments/../v1/chat/completions?api-version=2024-10-21",
            "azure_openai: unknown_route",
        ),
        ("POST", "/v1/chat/completions#/api/weir", "openai chat"),
        ("POST", "/v1/chat/completions?x=/api/weir/v1", "openai chat"),
        ("POST", "user:pass@evil.openai.example/v1/chat/completions", "openai chat @evil"),
        ("POST", "x", "weir: unknown_route"),
        ("POST", &long, "openai: url_too_long"),
    ]);
    for url in ["", "/v1/chat/completions", "://", "http://", "http:///v1/chat/completions"] {
        assert_eq!(told("POST", url), "weir: unknown_route", "{url}");
    }
}

#[test]
fn a_plain_name_is_borrowed_from_the_address() {
    let Disposition::Data(route) = classify("POST", "http://h/serving-endpoints/demo/invocations") else {
        panic!("not a data route");
    };
    assert!(matches!(route.name, Some(Cow::Borrowed("demo"))));
}

#[test]
fn only_the_headers_of_the_surface_are_wanted() {
    let bits = |url: &str| wanted(&classify("POST", url));
    let has = |url: &str, header: Header| bits(url) & header.bit() != 0;
    let models = "http://h/models/chat/completions?api-version=2024-05-01-preview";
    assert!(has(models, Header::ModelMeshModelName));
    assert!(!has("http://h/v1/chat/completions", Header::ModelMeshModelName));
    for url in
        [models, "http://h/v1/embeddings", "http://h/serving-endpoints/e/invocations", "http://h/api/weir/v1"]
    {
        assert!(has(url, Header::Authorization), "{url}");
    }
    assert_eq!(bits("http://h/nothing").to_string(), "0");
}

proptest! {
    #[test]
    fn arbitrary_input_never_panics(method in ".{0,8}", url in ".{0,200}") {
        let disposition = classify(&method, &url);
        let _bits = wanted(&disposition);
    }

    /// Whatever stands where a name stands, the route stays that route or is refused.
    #[test]
    fn a_name_never_leads_elsewhere(name in "[a-zA-Z0-9%./\\\\?#:@\r\n\u{0}é-]{0,40}") {
        let url = format!("http://h/serving-endpoints/{name}/invocations");
        match classify("POST", &url) {
            Disposition::Data(route) => {
                prop_assert_eq!(route.surface, Surface::ServingEndpoints);
                prop_assert_eq!(route.operation, INVOCATIONS);
                let name = route.name.unwrap_or_default();
                prop_assert!(!name.contains('/') && !name.contains(char::is_control));
            }
            Disposition::Refused { surface, .. } => prop_assert_eq!(surface, Surface::ServingEndpoints),
            Disposition::Management(_) | Disposition::Infra(_) => prop_assert!(false, "{}", url),
        }
    }
}
