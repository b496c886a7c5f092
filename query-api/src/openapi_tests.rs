use std::collections::BTreeSet;

use super::*;
use crate::answer::tests::sample;

#[test]
fn the_event_schema_has_what_is_answered() {
    let schema = serde_json::to_value(EventAnswer::schema()).expect("serialises");
    let answered = serde_json::to_value(sample()).expect("serialises");
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&schema["properties"]), keys(&answered));
    assert_eq!(schema["required"].as_array().expect("a list").len(), keys(&answered).len());
    assert_eq!(keys(&schema["properties"]["actor"]["properties"]), keys(&answered["actor"]));
    assert_eq!(schema["properties"]["occurred_at"]["format"], "date-time");
    assert_eq!(schema["properties"]["outcome"]["enum"][2], "denied");
    assert_eq!(schema["properties"]["attributes"]["additionalProperties"]["type"], "string");
}

#[test]
fn all_parameters_are_there() {
    let names = |parameters: Vec<ApiParameter>| parameters.into_iter().map(|p| p.name).collect::<Vec<_>>();
    let search = names(SearchParameters::into_params(|| None));
    assert_eq!(search.len(), 14);
    assert!(search.contains(&"cursor".to_owned()));
    let stats = names(StatsParameters::into_params(|| None));
    assert_eq!(stats.len(), 14);
    assert!(stats.contains(&"group_by".to_owned()));
}
