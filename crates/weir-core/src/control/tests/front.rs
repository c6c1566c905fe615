//! Where the front sends requests, and which it answers itself.

use super::*;

#[test]
fn the_front_sends_each_request_where_it_belongs() {
    let settings = settings(&Value::Null);
    let arm = "/subscriptions/s/resourceGroups/weir/providers/Microsoft.CognitiveServices/accounts";
    let registry = |name: &str| Some(FrontPlan::Registry(AccountId::parse(name).unwrap()));
    let rows = [
        (format!("GET {arm}/Team-A/deployments"), registry("team-a")),
        ("GET /api/2.0/serving-endpoints/".to_owned(), registry("default")),
        ("POST /api/2.0/secrets/put".to_owned(), registry("default")),
        ("GET /api/weir/v1/keys?account=b2".to_owned(), registry("b2")),
        ("GET /api/weir/v1/audit".to_owned(), registry("default")),
        (
            "GET /api/weir/v1/usage?from=1".to_owned(),
            Some(FrontPlan::Usage(vec![AccountId::default_account()])),
        ),
        ("GET /metrics?account=b2".to_owned(), Some(FrontPlan::Usage(vec![AccountId::parse("b2").unwrap()]))),
        ("GET /metrics".to_owned(), Some(FrontPlan::Accounts(br#"{"accounts":{}}"#.to_vec()))),
        ("POST /metrics".to_owned(), None),
        (
            "POST /subscriptions/s/resourceGroups/G/providers/Microsoft.CostManagement/query".to_owned(),
            Some(FrontPlan::Accounts(br#"{"accounts":{"group":"G","subscription":"s"}}"#.to_vec())),
        ),
        ("GET /subscriptions/s/providers/Microsoft.CostManagement/query".to_owned(), None),
        ("GET /api/weir/v1/keys?account=%2e".to_owned(), None),
        ("GET /api/2.0/token/list".to_owned(), registry("default")),
        ("GET /subscriptions".to_owned(), None),
        ("GET /.well-known/databricks-config".to_owned(), None),
    ];
    for (line, expected) in rows {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = ManagementRequest {
            method: method.to_owned(),
            url: format!("https://weir.test{path}"),
            authorization: Some("Bearer the-admin".to_owned()),
            ..ManagementRequest::default()
        };
        let got = plan(&request, &settings, RequestId(7));
        assert_eq!(matches!(got, FrontPlan::Reply(_)), expected.is_none(), "{line}");
        if let Some(expected) = expected {
            assert_eq!(got, expected, "{line}");
        }
        request.authorization = None;
        let FrontPlan::Reply(answer) = plan(&request, &settings, RequestId(7)) else {
            panic!("{line}: open to all")
        };
        let open = path == "/.well-known/databricks-config";
        assert_eq!(answer.status, if open { 200 } else { 401 }, "{line}");
    }
    let discovery = ManagementRequest {
        method: "GET".to_owned(),
        url: "https://weir.test/.well-known/databricks-config".to_owned(),
        ..ManagementRequest::default()
    };
    let FrontPlan::Reply(answer) = plan(&discovery, &settings, RequestId(7)) else { panic!("not answered") };
    assert_eq!(answer.body, r#"{"cloud":"aws","oidc_endpoint":"https://weir.test/oidc"}"#);
}
