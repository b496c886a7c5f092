//! The catalogue of event types: what each is called, what it does by default, and its OCSF class.

use std::collections::HashMap;
use std::sync::LazyLock;

use audit_event::json::TypeDefaults;
use audit_event::{Operation, Severity};
use serde::{Deserialize, Serialize};

const TEXT: &str = include_str!("../catalogue/event_types.toml");

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventType {
    pub name: String,
    pub category: Category,
    pub operation: Operation,
    pub severity: Severity,
    pub description: String,
    /// The class uid of the Open Cybersecurity Schema Framework.
    pub ocsf_class: u32,
    pub ocsf_name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    User,
    Agent,
    Test,
    Api,
    System,
    Security,
    Compliance,
    Data,
}

#[derive(Deserialize)]
struct File {
    event_type: Vec<EventType>,
}

static CATALOGUE: LazyLock<HashMap<String, EventType>> = LazyLock::new(|| {
    let file: File = toml::from_str(TEXT).expect("the built-in catalogue parses");
    file.event_type.into_iter().map(|entry| (entry.name.clone(), entry)).collect()
});

pub fn find(name: &str) -> Option<&'static EventType> {
    CATALOGUE.get(name)
}

pub fn all() -> impl Iterator<Item = &'static EventType> {
    CATALOGUE.values()
}

/// What the catalogue says where a producer is silent.
pub fn defaults_of(name: &str) -> Option<TypeDefaults> {
    find(name).map(|entry| TypeDefaults { operation: entry.operation, severity: entry.severity })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_catalogue_is_whole() {
        let categories: HashSet<_> = all().map(|entry| entry.category).collect();
        assert_eq!(categories.len(), 8);
        assert!(all().count() >= 43, "{}", all().count());
        let file: File = toml::from_str(TEXT).expect("parses");
        assert_eq!(file.event_type.len(), all().count(), "a name stands twice");
        for entry in all() {
            assert!(audit_event::event_type::is_well_formed(&entry.name), "{}", entry.name);
            assert_eq!(entry.name, entry.name.to_lowercase());
            assert!(entry.description.ends_with('.') && !entry.ocsf_name.is_empty(), "{}", entry.name);
        }
        assert_eq!(defaults_of("user.deleted").map(|d| d.operation), Some(Operation::Delete));
    }

    /// An enum's serde falls back to the default on an unknown symbol; the catalogue must not lean on that.
    #[test]
    fn the_catalogue_spells_its_symbols_right() {
        let file: toml::Table = toml::from_str(TEXT).expect("parses");
        for entry in file["event_type"].as_array().expect("a list") {
            let text = |field: &str| entry[field].as_str().expect("a text").to_owned();
            assert!(text("operation").parse::<Operation>().is_ok(), "{entry}");
            assert!(text("severity").parse::<Severity>().is_ok(), "{entry}");
        }
    }
}
