//! AWS CloudTrail records as Sealtrail events.
//!
//! Pure apart from [`read_file`]: the same record always gives the same event, byte for byte, so that an import can be
//! repeated and the trail's deduplication (by `event_id`) meets the very same body again.
//!
//! Nothing of a record is dropped: what has no field of its own stays in `attributes`, as it was. Only JSON `null`
//! counts as absent.

mod kinds;
mod mapping;
mod operation;
mod read;
mod targets;

pub use mapping::map_record;
pub use read::read_file;

/// `eventName` as words: `IAMUser` is `iam_user`, `sharedEventID` is `shared_event_id`, `trust-anchor` is `trust_anchor`.
fn snake_case(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len() + 4);
    for (index, &current) in chars.iter().enumerate() {
        if !current.is_ascii_alphanumeric() {
            if !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
            continue;
        }
        if current.is_ascii_uppercase() && index > 0 {
            let previous = chars[index - 1];
            let next_is_lower = chars.get(index + 1).is_some_and(char::is_ascii_lowercase);
            let starts_word = previous.is_ascii_lowercase() || previous.is_ascii_digit();
            let ends_acronym = previous.is_ascii_uppercase() && next_is_lower;
            if (starts_word || ends_acronym) && !out.ends_with('_') {
                out.push('_');
            }
        }
        out.push(current.to_ascii_lowercase());
    }
    out.trim_end_matches('_').to_owned()
}

/// `s3.amazonaws.com` as `s3`.
fn short_service(event_source: &str) -> &str {
    event_source
        .strip_suffix(".amazonaws.com.cn")
        .or_else(|| event_source.strip_suffix(".amazonaws.com"))
        .filter(|service| !service.is_empty())
        .unwrap_or(event_source)
}

/// A string that says something: an empty one is as good as none where the event needs a value.
fn text<'a>(value: &'a serde_json::Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(serde_json::Value::as_str).filter(|found| !found.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::PathBuf;

    use super::{map_record, read_file, snake_case};

    #[test]
    fn words_are_found_in_camel_case() {
        for (given, expected) in [
            ("IAMUser", "iam_user"),
            ("AssumedRole", "assumed_role"),
            ("AWSService", "aws_service"),
            ("WebIdentityUser", "web_identity_user"),
            ("sharedEventID", "shared_event_id"),
            ("DBInstance", "db_instance"),
            ("trust-anchor", "trust_anchor"),
            ("Root", "root"),
        ] {
            assert_eq!(snake_case(given), expected);
        }
    }

    fn real_files() -> Option<Vec<PathBuf>> {
        let dir = std::env::var_os("SEALTRAIL_CLOUDTRAIL_DIR").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/cloudtrail")),
            PathBuf::from,
        );
        let mut files: Vec<PathBuf> = match std::fs::read_dir(&dir) {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
            Err(error) => {
                assert!(
                    std::env::var("CI").as_deref() != Ok("true"),
                    "no CloudTrail files in {}: {error}",
                    dir.display()
                );
                eprintln!("skipped: no CloudTrail files in {}: {error}", dir.display());
                return None;
            }
        };
        files.retain(|path| path.extension().is_some_and(|ending| ending == "gz" || ending == "json"));
        files.sort();
        Some(files)
    }

    #[test]
    fn every_real_record_maps() {
        let Some(files) = real_files() else { return };
        let mut ids = BTreeSet::new();
        let mut by_operation: BTreeMap<String, usize> = BTreeMap::new();
        let mut total = 0_usize;
        for file in &files {
            for record in read_file(file).unwrap() {
                let event = map_record(&record).unwrap_or_else(|error| panic!("{error}: {record}"));
                total += 1;
                assert_eq!(
                    serde_json::to_vec(&event).unwrap(),
                    serde_json::to_vec(&map_record(&record).unwrap()).unwrap()
                );
                let event_type = event["event_type"].as_str().unwrap();
                assert!(audit_event::event_type::is_well_formed(event_type), "{event_type}");
                assert!(ids.insert(event["event_id"].as_str().unwrap().to_owned()), "an event_id came twice");
                assert!(!event["actor"]["id"].as_str().unwrap().is_empty());
                assert!(event["attributes"].as_object().unwrap().values().all(serde_json::Value::is_string));
                for target in event["targets"].as_array().unwrap() {
                    assert!(!target["id"].as_str().unwrap().is_empty());
                    assert!(!target["type"].as_str().unwrap().is_empty());
                }
                *by_operation.entry(event["operation"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        assert!(total > 0, "no records in {} files", files.len());
        assert_eq!(ids.len(), total);
        // The mapping earns its keep only while few calls stay unclassified.
        let other = by_operation.get("other").copied().unwrap_or_default();
        assert!(other * 100 <= total, "{other} of {total} records have operation other");
    }
}
