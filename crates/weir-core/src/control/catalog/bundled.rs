//! The models that every installation knows: those that the documents of Azure and Databricks name.
//!
//! Decides their names, publishers, tasks, registries, regions, offers, versions and list prices; not how they are
//! served: an entry has no backends until an operator gives it some (`design.md`, section 5). The simulated models
//! are served from the start. Prices are published list prices per million tokens, in US dollars, as a start for an
//! operator's own; offers have the form of the marketplace's, their ids are Weir's.

use super::super::external_model::task_text;
use super::super::state::{Backend, CatalogRow};
use super::per_token;
use crate::simulate::SimulatorConfig;
use crate::snapshot::{Price, ServedEntity, Target, Task};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde_json::{Value, json};

/// Publisher, the registry of its models, and who sells them in the marketplace: nobody, if Microsoft does itself.
const PUBLISHERS: [(&str, &str, &str); 10] = [
    ("Weir", "weir", ""),
    ("Meta", "azureml-meta", "metagenai"),
    ("Mistral AI", "azureml-mistral", "mistralai"),
    ("Cohere", "azureml-cohere", "cohere"),
    ("AI21 Labs", "azureml-ai21", "ai21labs"),
    ("Core42", "azureml-core42", "core42"),
    ("Microsoft", "azureml", ""),
    ("OpenAI", "azure-openai", ""),
    ("DeepSeek", "azureml-deepseek", ""),
    ("Databricks", "databricks", ""),
];

/// The regions that the marketplace's models are offered in; all others can be deployed everywhere.
const REGIONS: [&str; 7] =
    ["eastus", "eastus2", "northcentralus", "southcentralus", "swedencentral", "westus", "westus3"];

/// Name, publisher, task (chat, embeddings), versions from the newest on, price of input and output.
#[rustfmt::skip]
const MODELS: &str = "\
simulator-chat|Weir|c|1||
simulator-embed|Weir|e|1||
Meta-Llama-3-8B-Instruct|Meta|c|9,8,7,6,5,4,3,2,1|0.30|0.61
Meta-Llama-3-70B-Instruct|Meta|c|9,8,7,6,5,4,3,2,1|2.68|3.54
Meta-Llama-3.1-8B-Instruct|Meta|c|5,4,3,2,1|0.30|0.61
Meta-Llama-3.1-70B-Instruct|Meta|c|4,3,2,1|2.68|3.54
Meta-Llama-3.1-405B-Instruct|Meta|c|1|5.33|16
Llama-3.3-70B-Instruct|Meta|c|9,8,7,6,5,4,3,2,1|0.71|0.71
Mistral-large|Mistral AI|c|1|4|12
Mistral-large-2407|Mistral AI|c|1|3|9
Mistral-small|Mistral AI|c|1|1|3
Mistral-Nemo|Mistral AI|c|1|0.15|0.15
Cohere-command-r|Cohere|c|1|0.15|0.60
Cohere-command-r-plus|Cohere|c|1|2.50|10
Cohere-embed-v3-english|Cohere|e|1|0.10|0
Cohere-embed-v3-multilingual|Cohere|e|1|0.10|0
AI21-Jamba-Instruct|AI21 Labs|c|1|0.50|0.70
AI21-Jamba-1.5-Mini|AI21 Labs|c|1|0.20|0.40
AI21-Jamba-1.5-Large|AI21 Labs|c|1|2|8
jais-30b-chat|Core42|c|3,2,1||
Phi-3-mini-4k-instruct|Microsoft|c|15,14,13,12,11,10|0.13|0.52
Phi-3-mini-128k-instruct|Microsoft|c|13,12,11,10|0.13|0.52
Phi-3-small-8k-instruct|Microsoft|c|6,5,4|0.15|0.60
Phi-3-small-128k-instruct|Microsoft|c|5,4|0.15|0.60
Phi-3-medium-4k-instruct|Microsoft|c|7,6,5,4|0.17|0.68
Phi-3-medium-128k-instruct|Microsoft|c|7,6,5,4|0.17|0.68
Phi-3.5-mini-instruct|Microsoft|c|6,5,4|0.13|0.52
Phi-3.5-MoE-instruct|Microsoft|c|5,4|0.16|0.64
Phi-4|Microsoft|c|7,6,5|0.125|0.50
gpt-4o|OpenAI|c|2024-11-20,2024-08-06,2024-05-13|2.50|10
gpt-4o-mini|OpenAI|c|2024-07-18|0.15|0.60
gpt-4|OpenAI|c|turbo-2024-04-09,0613|10|30
gpt-35-turbo|OpenAI|c|0125,1106,0613|0.50|1.50
gpt-5|OpenAI|c|2025-08-07|1.25|10
text-embedding-3-small|OpenAI|e|1|0.02|0
text-embedding-3-large|OpenAI|e|1|0.13|0
text-embedding-ada-002|OpenAI|e|2,1|0.10|0
DeepSeek-R1|DeepSeek|c|1|1.35|5.40
DeepSeek-V3|DeepSeek|c|1|1.14|4.56
databricks-meta-llama-3-3-70b-instruct|Databricks|c|1||
databricks-meta-llama-3-1-8b-instruct|Databricks|c|1||
databricks-gpt-oss-120b|Databricks|c|1||
databricks-claude-sonnet-4-5|Databricks|c|1||
databricks-bge-large-en|Databricks|e|1||
databricks-gte-large-en|Databricks|e|1||
";

/// What a provisioned throughput unit is worth where the publisher tells, in input tokens a minute.
const PROVISIONED: [(&str, u64); 6] = [
    ("gpt-4o", 2_500),
    ("gpt-4o-mini", 37_000),
    ("gpt-5", 4_750),
    ("DeepSeek-R1", 4_000),
    ("DeepSeek-V3", 4_000),
    ("Llama-3.3-70B-Instruct", 8_450),
];

/// The bundled entry of this name, without regard to case.
pub(super) fn find(name: &str) -> Option<CatalogRow> {
    let named = |line: &&str| line.split('|').next().is_some_and(|known| known.eq_ignore_ascii_case(name));
    MODELS.lines().find(named).and_then(entry)
}

/// All bundled entries.
pub(super) fn all() -> impl Iterator<Item = CatalogRow> {
    MODELS.lines().filter_map(entry)
}

fn entry(line: &str) -> Option<CatalogRow> {
    let mut fields = line.split('|');
    let (name, publisher, task) = (fields.next()?, fields.next()?, fields.next()?);
    let versions: Vec<String> = fields.next()?.split(',').map(ToOwned::to_owned).collect();
    let (input, output) = (fields.next()?, fields.next()?);
    let (_, registry, seller) = PUBLISHERS.iter().find(|(known, ..)| *known == publisher)?;
    let task = if task == "e" { Task::Embeddings } else { Task::Chat };
    let folded = name.to_ascii_lowercase();
    let offer = (!seller.is_empty()).then(|| {
        json!({"publisher_id": seller, "offer_id": format!("{folded}-offer"), "plan_id": format!("{folded}-plan")})
    });
    let regions: &[&str] = if seller.is_empty() { &[] } else { &REGIONS };
    let price = per_token(input).zip(per_token(output));
    let price =
        price.map(|(input, output)| Price { currency: "USD".to_owned(), input, cached_input: None, output });
    let price_shown =
        price.as_ref().map(|_| json!({"currency": "USD", "input_per_1m": input, "output_per_1m": output}));
    let simulated: Option<Backend> = (publisher == "Weir").then(|| simulator(name, task));
    let backends: Vec<Value> =
        simulated.iter().map(|backend| json!({"external_model": backend.shown})).collect();
    let default_version = versions.first()?.clone();
    let mut shown = json!({
        "format": publisher, "publisher": publisher, "task": task_text(task), "versions": versions,
        "default_version": default_version, "registry_id": format!("azureml://registries/{registry}/models/{name}"),
        "regions": regions, "offer": offer, "price": price_shown, "backends": backends,
        "foundation_model": (publisher == "Databricks").then(|| json!({"pay_per_token": true})),
    });
    if let Some((_, unit)) = PROVISIONED.iter().find(|(known, _)| *known == name) {
        shown.as_object_mut()?.insert(super::PROVISIONED_UNIT.to_owned(), (*unit).into());
    }
    Some(CatalogRow {
        name: name.to_owned(),
        shown: shown.as_object()?.clone(),
        task,
        versions,
        default_version,
        price,
        backends: simulated.into_iter().collect(),
    })
}

fn simulator(name: &str, task: Task) -> Backend {
    let model =
        json!({"name": name, "provider": "simulator", "task": task_text(task), "simulator_config": {}});
    let entity = ServedEntity {
        name: name.to_owned(),
        provider: "simulator".to_owned(),
        upstream_model: name.to_owned(),
        weight: 100,
        priority: 0,
        target: Target::Simulator(SimulatorConfig::default()),
        price: None,
    };
    Backend { shown: model.as_object().cloned().unwrap_or_default(), task, entity, references: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn every_line_is_an_entry_of_its_own() {
        let names: BTreeSet<String> = all().map(|row| row.name.to_ascii_lowercase()).collect();
        assert_eq!(names.len(), MODELS.lines().count());
        for row in all() {
            let offered = !row.shown["offer"].is_null();
            let publisher = row.shown["publisher"].as_str().unwrap();
            let own = ["Microsoft", "OpenAI", "DeepSeek", "Databricks", "Weir"].contains(&publisher);
            assert_eq!(offered, !own, "{}", row.name);
            assert_eq!(row.backends.is_empty(), publisher != "Weir", "{}", row.name);
            assert_eq!(row.versions.first(), Some(&row.default_version));
        }
        assert!(
            PROVISIONED
                .iter()
                .all(|(name, unit)| super::super::provisioned_unit(&find(name).unwrap()) == *unit)
        );
        assert_eq!(super::super::provisioned_unit(&find("gpt-4").unwrap()), 2_500);
        assert!(find("META-LLAMA-3-8B-INSTRUCT").is_some() && find("Meta-Llama-3-8B").is_none());
    }
}
