//! The reference that a service prints of itself: its settings as Markdown (`--settings`), and its HTTP API
//! (`--openapi`). It shows defaults only: no value that the environment or a file holds can get into it.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::OpenApi;

use crate::setting::{self, Choice, Group, Kind, Setting};

/// All settings of a service; `environment` is its name there, such as `GATEWAY`.
pub fn settings<C: JsonSchema + Default + Serialize>(program: &str, environment: &str) -> String {
    let mut text = format!("## `{program}`\n");
    for group in setting::groups::<C>() {
        text.push_str(&section(&group, environment));
    }
    text
}

/// The page of docs/openapi that `make docs` writes.
pub fn openapi(description: &OpenApi) -> String {
    let mut text = description.to_pretty_json().expect("texts, numbers and lists serialise");
    text.push('\n');
    text
}

/// A setting's variable in the environment.
pub fn variable(environment: &str, key: &str) -> String {
    format!("SEALTRAIL_{environment}__{}", key.replace('.', "__").to_uppercase())
}

fn section(group: &Group, environment: &str) -> String {
    let mut text = String::from("\n");
    if !group.name.is_empty() {
        text.push_str(&format!("### `{}`\n\n{}\n\n", group.name, group.about));
    }
    text.push_str("| setting and variable | value | default | unit | meaning |\n|---|---|---|---|---|\n");
    for setting in &group.settings {
        text.push_str(&row(setting, environment));
    }
    text
}

fn row(setting: &Setting, environment: &str) -> String {
    let cells = [
        format!("`{}`<br>`{}`", setting.key, variable(environment, &setting.key)),
        value(&setting.kind),
        default(&setting.default),
        setting.unit.clone().unwrap_or_default(),
        meaning(setting),
    ];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

fn value(kind: &Kind) -> String {
    match kind {
        Kind::Text { format } => format.clone().unwrap_or_else(|| "text".to_owned()),
        Kind::OneOf(choices) => {
            choices.iter().map(|choice| format!("`{}`", choice.value)).collect::<Vec<_>>().join(", ")
        }
        Kind::Number { least, most } => setting::bounds(*least, *most),
        Kind::Flag => "`true`, `false`".to_owned(),
        Kind::List => "texts, with commas between them".to_owned(),
        Kind::Table => "table".to_owned(),
    }
}

fn default(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        Value::Array(list) if list.is_empty() => "none".to_owned(),
        Value::Object(table) if table.is_empty() => "empty".to_owned(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

fn meaning(setting: &Setting) -> String {
    let mut text = setting.about.clone();
    if let Kind::OneOf(choices) = &setting.kind {
        for Choice { value, about } in choices.iter().filter(|choice| !choice.about.is_empty()) {
            text.push_str(&format!("<br>`{value}`: {about}"));
        }
    }
    text
}
