//! What callers of each surface ask for in the fault matrix, and what a model that works says to it.

/// What is asked for, and so what the upstream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Chat,
    Text,
    /// In Anthropic's dialect; the upstream speaks OpenAI's.
    Messages,
    /// Passed as it came.
    Responses,
    /// The same of an upstream that has chats only.
    Told,
    /// In Gemini's dialect, passed as it came.
    Gemini,
}

/// What a model says to what is asked for: the beginning of a stream, its content, its other events to the end, and the
/// whole answer. The content is `GOOD`.
pub(crate) struct Words {
    pub(crate) first: &'static str,
    pub(crate) content: &'static str,
    pub(crate) rest: &'static [&'static str],
    pub(crate) whole: &'static str,
    pub(crate) error: &'static str,
    pub(crate) slow_down: &'static str,
}

const USAGE: &str = r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
const ERROR: &str = r#"data: {"error":{"message":"https://bad.example/secret","type":"server_error"}}"#;
const SLOW_DOWN: &str = r#"data: {"error":{"message":"slow down","code":429}}"#;

const CHAT: Words = Words {
    first: r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
    content: r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"GOOD"},"finish_reason":null}]}"#,
    rest: &[
        r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        USAGE,
        "data: [DONE]",
    ],
    whole: r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"GOOD"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
    error: ERROR,
    slow_down: SLOW_DOWN,
};

const TEXT: Words = Words {
    first: r#"data: {"id":"c","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"","logprobs":null,"finish_reason":null}]}"#,
    content: r#"data: {"id":"c","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"GOOD","logprobs":null,"finish_reason":null}]}"#,
    rest: &[
        r#"data: {"id":"c","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"stop"}]}"#,
        USAGE,
        "data: [DONE]",
    ],
    whole: r#"{"id":"c","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"GOOD","logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
    error: ERROR,
    slow_down: SLOW_DOWN,
};

const RESPONSES: Words = Words {
    first: "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\"}}",
    content: "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"GOOD\"}",
    rest: &[
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"usage\":{\"input_tokens\":3,\"output_tokens\":2,\"total_tokens\":5}}}",
    ],
    whole: r#"{"id":"resp_1","object":"response","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"GOOD"}]}],"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}}"#,
    error: "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"https://bad.example/secret\"}",
    slow_down: "event: error\ndata: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"slow down\"}",
};

const GEMINI: Words = Words {
    first: r#"data: {"candidates":[{"content":{"role":"model","parts":[{"text":""}]},"index":0}],"usageMetadata":{"promptTokenCount":3,"totalTokenCount":3}}"#,
    content: r#"data: {"candidates":[{"content":{"role":"model","parts":[{"text":"GOOD"}]},"index":0}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5}}"#,
    rest: &[
        r#"data: {"candidates":[{"content":{"role":"model","parts":[{"text":""}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5}}"#,
    ],
    whole: r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"GOOD"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5}}"#,
    error: r#"data: {"error":{"code":500,"message":"https://bad.example/secret","status":"INTERNAL"}}"#,
    slow_down: r#"data: {"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}"#,
};

impl Asked {
    pub(crate) const fn words(self) -> &'static Words {
        match self {
            Self::Chat | Self::Messages | Self::Told => &CHAT,
            Self::Text => &TEXT,
            Self::Responses => &RESPONSES,
            Self::Gemini => &GEMINI,
        }
    }
}
