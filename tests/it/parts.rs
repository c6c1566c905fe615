//! Embeddings of more texts than one call of a provider takes, on virtual time: the vectors are all there and in order, each
//! text is asked for once as long as nothing fails, and what was used is what is recorded.

use serde_json::{Value, json};
use weir_core::exchange::Settings;
use weir_core::seal::key_hash;
use weir_tests::lone::{Lone, Reply, Seen};

/// Texts of one call of Cohere.
const MOST: usize = 96;

/// A deployment of embeddings over these hosts, each a Cohere.
fn lone(provider: &str, model: &str, hosts: &[&str]) -> Lone {
    let entity = |(at, host): (usize, &&str)| {
        json!({"name": host, "provider": provider, "upstream_model": model, "weight": 0, "priority": at,
            "target": {"http": {"base": format!("https://{host}.example"), "auth": "none",
                "paths": {"native": {"region": "r", "project_id": "p", "bedrock_provider": "amazon"}}}}})
    };
    let entities: Vec<Value> = hosts.iter().enumerate().map(entity).collect();
    let document = json!({"account": "default", "version": 1,
        "keys": [{"hash": key_hash("K"), "id": "k", "principal": "p"}],
        "deployments": [{"name": "e", "kind": "account", "task": "llm/v1/embeddings", "model": "m", "entities": entities}]});
    Lone::new(Settings::default(), &document.to_string())
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("text {at}")).collect()
}

/// Each text's vector is its own number.
fn vectors(texts: std::ops::Range<usize>) -> Reply {
    let vectors: Vec<Value> = texts.clone().map(|at| json!([at, 0.5])).collect();
    let body = json!({"id": "x", "embeddings": {"float": vectors}, "meta": {"billed_units": {"input_tokens": texts.len()}}});
    answer(200, &body)
}

fn answer(status: u16, body: &Value) -> Reply {
    let body = Ok(body.to_string().into_bytes());
    Reply::Answer { status, kind: "application/json", retry_after: None, body }
}

fn ask(lone: &mut Lone, count: usize) -> Seen {
    let body = json!({"model": "e", "input": texts(count), "dimensions": 2});
    lone.exchange("https://weir.example/v1/embeddings", &[("authorization", "Bearer K")], &body.to_string())
}

/// The numbers of the texts whose vectors came, in the order that they came in, and the tokens that the answer tells of.
fn told(seen: &Seen) -> (Vec<u64>, u64) {
    assert_eq!(seen.status, 200, "{}", String::from_utf8_lossy(&seen.body));
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let data = body["data"].as_array().unwrap();
    for (at, item) in data.iter().enumerate() {
        assert_eq!((&item["index"], &item["object"]), (&json!(at), &json!("embedding")));
    }
    (
        data.iter().map(|item| item["embedding"][0].as_u64().unwrap()).collect(),
        body["usage"]["prompt_tokens"].as_u64().unwrap(),
    )
}

/// The texts of each call.
fn asked(seen: &Seen) -> Vec<Vec<String>> {
    let texts = |(_, body): &(_, Vec<u8>)| {
        let body: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(body["output_dimension"], 2, "the other members are in each call");
        serde_json::from_value(body["texts"].clone()).unwrap()
    };
    seen.sent.iter().map(texts).collect()
}

#[test]
fn as_many_calls_are_made_as_it_takes_and_the_answer_is_one() {
    for count in [1, MOST - 1, MOST, MOST + 1, 2 * MOST, 250] {
        let mut lone = lone("cohere", "embed", &["one"]);
        let calls: Vec<_> =
            (0..count).step_by(MOST).map(|from| vectors(from..(from + MOST).min(count))).collect();
        lone.upstream("one.example", &calls);
        let seen = ask(&mut lone, count);
        assert_eq!(told(&seen), ((0..count as u64).collect(), count as u64));
        assert_eq!(asked(&seen).concat(), texts(count), "each text once, in order");
        assert_eq!(seen.calls.len(), count.div_ceil(MOST));
        let records = lone.records();
        assert_eq!((records.len(), records[0].usage.input, records[0].attempts), (1, count as u64, 1));
    }
}

#[test]
fn a_call_that_fails_is_made_again_alone_and_another_entity_begins_anew() {
    let slow_down = || answer(429, &json!({"message": "slow down"}));
    // Nobody stands in: the second call is made once more.
    let mut alone = lone("cohere", "embed", &["one"]);
    alone.upstream("one.example", &[vectors(0..96), slow_down(), vectors(96..192), vectors(192..200)]);
    let seen = ask(&mut alone, 200);
    assert_eq!(told(&seen), ((0..200).collect(), 200));
    assert_eq!(asked(&seen).iter().map(Vec::len).collect::<Vec<_>>(), [96, 96, 96, 8]);
    assert_eq!(alone.records().len(), 1);
    // Another entity's vectors are of another model: it is asked for all of them.
    let mut pair = lone("cohere", "embed", &["one", "two"]);
    pair.upstream("one.example", &[vectors(0..96), slow_down()]);
    pair.upstream("two.example", &[vectors(0..96), vectors(96..192), vectors(192..200)]);
    let seen = ask(&mut pair, 200);
    assert_eq!(told(&seen), ((0..200).collect(), 200));
    assert_eq!(seen.calls, ["one.example", "one.example", "two.example", "two.example", "two.example"]);
    let mut used: Vec<(String, u64)> =
        pair.records().into_iter().map(|record| (record.entity, record.usage.input)).collect();
    used.sort();
    assert_eq!(
        used,
        [("one".to_owned(), 96), ("two".to_owned(), 200)],
        "what was used is recorded, whoever it helped"
    );
    // Whoever failed on the way has a record of its own.
    let mut three = lone("cohere", "embed", &["one", "two", "three"]);
    three.upstream("one.example", &[vectors(0..96), slow_down()]);
    three.upstream("two.example", &[vectors(0..96), vectors(96..192), slow_down()]);
    three.upstream("three.example", &[vectors(0..96), vectors(96..192), vectors(192..200)]);
    assert_eq!(told(&ask(&mut three, 200)).1, 200);
    let mut used: Vec<u64> = three.records().iter().map(|record| record.usage.input).collect();
    used.sort_unstable();
    assert_eq!(used, [96, 192, 200]);
    // Nobody gives all of it: that is an error, and what was used is recorded all the same.
    let mut failing = lone("cohere", "embed", &["one"]);
    failing.upstream("one.example", &[vectors(0..96), answer(400, &json!({"message": "text 100 is odd"}))]);
    let seen = ask(&mut failing, 200);
    assert_eq!((seen.status, seen.calls.len()), (400, 2));
    assert_eq!(failing.records().iter().map(|record| record.usage.input).sum::<u64>(), 96);
}

#[test]
fn more_than_can_be_made_in_one_exchange_is_refused_with_the_number() {
    let (mut many, mut titan) =
        (lone("cohere", "embed", &["one"]), lone("amazon-bedrock", "amazon.titan", &["one"]));
    for (lone, most) in [(&mut many, 64 * MOST), (&mut titan, 64)] {
        let seen = ask(lone, most + 1);
        let text = String::from_utf8(seen.body).unwrap();
        assert!(
            seen.status == 400 && text.contains(&format!("at most {most} texts")),
            "{} {text}",
            seen.status
        );
        assert!(seen.calls.is_empty());
    }
    // What its provider does not count is counted once.
    let one = |at: u64| answer(200, &json!({"embedding": [at]}));
    titan.upstream("one.example", &[one(0), one(1), one(2)]);
    let seen = ask(&mut titan, 3);
    assert_eq!((told(&seen).0, seen.calls.len()), (vec![0, 1, 2], 3));
    let whole = lone("amazon-bedrock", "cohere.embed", &["one"]);
    let mut whole = whole;
    whole.upstream("one.example", &[answer(200, &json!({"embeddings": [[0], [1], [2]]}))]);
    assert_eq!(told(&ask(&mut whole, 3)).1, told(&seen).1);
}
