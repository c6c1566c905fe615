//! Requests outside of the measurement: waiting for the first answer, and Weir's configuration.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::http;

use super::framing::{Framing, Side};
use super::mock::{UPSTREAM_KEY, UPSTREAM_MODEL};
use super::variant::{CALLER_KEY, DEPLOYMENT, FILTERED};

/// The administrator's token of the benched Worker, as tests/bench/weir.capnp sets it.
const ADMIN_TOKEN: &str = "weir-dev-admin-token";
const PATIENCE: Duration = Duration::from_secs(20);

/// One request on its own connection; returns status and body.
fn call(address: SocketAddr, request: &[u8]) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut framing = Framing::new(Side::Response);
    let (mut buffer, mut body) = (vec![0; 64 * 1024], Vec::new());
    while !framing.is_done() {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            bail!("the server closed the connection");
        }
        framing.push(&buffer[..count], &mut |part| body.extend_from_slice(part))?;
    }
    Ok((framing.status()?, String::from_utf8_lossy(&body).into_owned()))
}

/// Repeats a request until it is answered with 200; returns the time it took.
pub(super) fn wait_for(address: SocketAddr, request: &[u8]) -> Result<Duration> {
    let began = Instant::now();
    loop {
        let answer = call(address, request);
        if matches!(answer, Ok((200, _))) {
            return Ok(began.elapsed());
        }
        if began.elapsed() > PATIENCE {
            let (status, body) = answer?;
            bail!("still {status} after {} s: {body}", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Creates the bench's deployments, with limits that are counted and never reached, and the bench's key.
pub(super) fn configure_weir(address: SocketAddr, upstream: SocketAddr) -> Result<()> {
    let model = json!({
        "name": UPSTREAM_MODEL, "provider": "openai", "task": "llm/v1/chat",
        "openai_config": {
            "openai_api_base": format!("http://{upstream}/v1"),
            "openai_api_key_plaintext": UPSTREAM_KEY,
        },
    });
    let limits = json!([{ "calls": 1_000_000_000, "key": "endpoint", "renewal_period": "minute" }]);
    let endpoint = json!({
        "name": DEPLOYMENT,
        "config": { "served_entities": [{ "name": "mock", "external_model": model }] },
        "rate_limits": limits,
    });
    manage(address, "POST", "/api/2.0/serving-endpoints", &endpoint)?;
    let path = format!("/api/2.0/serving-endpoints/{DEPLOYMENT}/rate-limits");
    manage(address, "PUT", &path, &json!({ "rate_limits": limits }))?;
    let catalog = json!({
        "format": "OpenAI", "publisher": "OpenAI", "task": "llm/v1/chat", "versions": ["1"], "default_version": "1",
        "backends": [{ "external_model": model }],
    });
    manage(address, "PUT", &format!("/api/weir/v1/catalog/models/{UPSTREAM_MODEL}"), &catalog)?;
    let account = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/weir/providers\
                   /Microsoft.CognitiveServices/accounts/default";
    let filtered = json!({
        "sku": { "name": "Standard", "capacity": 1_000_000 },
        "properties": { "model": { "format": "OpenAI", "name": UPSTREAM_MODEL, "version": "1" } },
    });
    manage(address, "PUT", &format!("{account}/deployments/{FILTERED}?api-version=2024-10-01"), &filtered)?;
    manage(address, "PUT", "/api/weir/v1/keys/bench", &json!({ "name": "bench", "key": CALLER_KEY }))?;
    Ok(())
}

fn manage(address: SocketAddr, method: &str, path: &str, body: &Value) -> Result<()> {
    let answer = http::send(address.port(), method, path, Some(ADMIN_TOKEN), Some(&body.to_string()))
        .with_context(|| format!("{method} {path}"))?;
    if !(200..300).contains(&answer.status) {
        bail!("{method} {path}: {}: {}", answer.status, answer.body);
    }
    Ok(())
}
