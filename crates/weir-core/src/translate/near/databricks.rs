//! A canonical request as a serving endpoint of Databricks takes it.
//!
//! Stage 6. Source: `providers.md` 11 and `databricks.md` 10.2. Everything goes on; what models other than GPT and Claude
//! trip over is taken out or filled in.

use super::function;
use crate::snapshot::Task;
use crate::translate::chat;
use crate::translate::path_segment;
use crate::translate::{Ask, Notes, Translated};
use crate::wire::WireError;
use crate::wire::object::{Array, Object};
use crate::wire::raw::Raw;
use alloc::string::String;

pub(super) fn request(ask: &Ask<'_>, _notes: &mut Notes) -> Result<Translated, WireError> {
    let gpt = ask.model.contains("gpt");
    let mut out = Object::new();
    for (name, value) in ask.body.members() {
        match &*name {
            // The endpoint is in the path; usage is on every chunk; vectors come as numbers.
            "model" | "stream_options" | "encoding_format" => {}
            "messages" if ask.task == Task::Chat && !gpt => {
                let known = super::with_known_roles(value);
                out.put("messages", &messages(Raw::trusted(&known)));
            }
            "tools" if !gpt => {
                let mut tools = Array::default();
                for tool in chat::tools(ask.body)? {
                    tools.put(&function(&tool, false));
                }
                out.put("tools", &tools.end());
            }
            name => out.put(name, value.as_str()),
        }
    }
    let path = ["/serving-endpoints/", &path_segment(ask.model), "/invocations"].concat();
    Ok(Translated { path, body: out.end() })
}

/// Claude refuses an assistant's turn without text even where it calls tools.
fn messages(list: Raw<'_>) -> String {
    let mut out = Array::default();
    for message in list.items() {
        let silent = match message.get("content") {
            None => true,
            Some(content) => matches!(content.as_str(), "\"\"" | "[]"),
        };
        if message.get("tool_calls").is_none() || !silent {
            out.put(message.as_str());
            continue;
        }
        let mut item = Object::new();
        for (name, value) in message.members().filter(|(name, _)| name != "content") {
            item.put(&name, value.as_str());
        }
        out.put(&item.text("content", " ").end());
    }
    out.end()
}
