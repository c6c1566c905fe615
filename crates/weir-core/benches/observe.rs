//! What it costs to watch a stream of 200 events, in the forms that upstreams send.

use weir_core::account::observe::StreamObserver;

fn main() {
    divan::main();
}

/// A stream of 200 events: like ones; with a member that is random in each (as OpenAI's `obfuscation`); with
/// usage in each (as Databricks' foundation models).
fn stream(form: &str) -> Vec<u8> {
    let mut out = String::new();
    for i in 0..200u32 {
        let last = match form {
            "alike" => String::new(),
            "random" => format!(",\"obfuscation\":\"{:x}\"", i.wrapping_mul(2_654_435_761)),
            _ => format!(
                ",\"usage\":{{\"prompt_tokens\":20,\"completion_tokens\":{i},\"total_tokens\":{}}}",
                i + 20
            ),
        };
        let event = format!(
            "data: {{\"id\":\"chatcmpl-9a3f\",\"object\":\"chat.completion.chunk\",\"created\":1763760001,\
             \"model\":\"gpt-4o-2024-08-06\",\"system_fingerprint\":\"fp_a\",\"choices\":[{{\"index\":0,\"delta\":\
             {{\"content\":\" word{i}\"}},\"logprobs\":null,\"finish_reason\":null}}]{last}}}\n\n"
        );
        out.push_str(&event);
    }
    out += "data: {\"id\":\"chatcmpl-9a3f\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    out += "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":200}}\n\ndata: [DONE]\n\n";
    out.into_bytes()
}

#[divan::bench(args = ["alike", "random", "usage"])]
fn stream_200_events_in_pieces_of_4_kib(bencher: divan::Bencher<'_, '_>, form: &str) {
    let stream = stream(form);
    bencher.bench_local(|| {
        let mut observer = StreamObserver::new();
        for piece in stream.chunks(4096) {
            observer.push(divan::black_box(piece));
        }
        observer.finish()
    });
}
