use std::io::Write;

use super::*;
use crate::Secret;

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sample {
    /// How it logs.
    log: LogConfig,
    /// How deep.
    #[schemars(range(min = 0, max = 9), extend("unit" = "levels"))]
    depth: u32,
    /// Nobody may see it.
    pepper: Option<Secret>,
    /// A name.
    name: String,
    /// Others' names.
    friends: Vec<String>,
}

fn load_with(set: &[&str]) -> Result<Sample, ConfigError> {
    load("SAMPLE_TEST", &CommonFlags { config: None, set: set.iter().map(|s| (*s).to_owned()).collect() })
}

fn refused(set: &[&str]) -> String {
    load_with(set).expect_err("refused").to_string()
}

#[test]
fn flags_reach_nested_keys_and_an_unknown_key_is_an_error() {
    let sample = load_with(&["log.level=debug", "depth=7"]).expect("loads");
    assert_eq!((sample.log.level.as_str(), sample.depth), ("debug", 7));
    assert!(refused(&["log.colour=red"]).contains("colour"));
    assert!(refused(&["dept=7"]).contains("dept"));
    assert!(matches!(load_with(&["depth"]), Err(ConfigError::Flag(_))));
}

#[test]
fn a_message_names_the_setting_and_where_it_came_from() {
    let said = refused(&["depth=deep"]);
    assert!(said.contains("for key \"depth\" in --set depth"), "{said}");
}

#[test]
fn a_number_outside_its_bounds_is_an_error() {
    assert_eq!(refused(&["depth=10"]), "configuration: depth is 10, it must be 0 to 9");
    assert_eq!(load_with(&["depth=9"]).expect("loads").depth, 9);
}

#[test]
fn a_text_stays_as_it_is_written() {
    for text in ["007", "1e3", "true", "[a]", "{a=1}", "\"quoted\"", "'c'", "a=b", "  x ", ""] {
        let sample = load_with(&[&format!("pepper={text}"), &format!("name={text}")]).expect("loads");
        assert_eq!(sample.pepper.expect("there").expose(), text);
        assert_eq!(sample.name, text);
    }
}

#[test]
fn a_list_is_given_with_commas() {
    let friends = |given: &str| load_with(&[&format!("friends={given}")]).expect("loads").friends;
    assert_eq!(friends("https://a.example, 007"), ["https://a.example", "007"]);
    assert_eq!(friends(""), [""; 0]);
}

#[test]
fn a_secret_that_a_file_holds_as_a_number_is_refused_and_not_shown() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "pepper = 8675309").expect("written");
    let flags = CommonFlags { config: Some(file.path().to_owned()), set: vec![] };
    let said = load::<Sample>("SAMPLE_TEST", &flags).expect_err("refused").to_string();
    assert!(said.contains("quotes") && !said.contains("8675309"), "{said}");
}

#[test]
fn a_missing_file_is_an_error() {
    let flags = CommonFlags { config: Some("/nowhere/x.toml".into()), set: vec![] };
    assert!(matches!(load::<Sample>("SAMPLE_TEST", &flags), Err(ConfigError::NoFile(_))));
}
