//! The store in memory, by its changes.

use super::*;

fn version(subject: &str, version: u32, id: u32, text: &str, deleted: bool) -> Change {
    Change::Version { subject: subject.to_owned(), version, id, text: text.to_owned(), deleted }
}

fn state(changes: impl IntoIterator<Item = Change>) -> State {
    let mut state = State::default();
    for change in changes {
        state.apply(change);
    }
    state
}

const INT: &str = r#""int""#;
const LONG: &str = r#""long""#;

#[test]
fn a_schema_is_one_id_under_many_subjects() {
    let state = state([
        version("a", 1, 1, INT, false),
        version("b", 1, 1, r#"{"type":"int"}"#, false),
        version("b", 2, 2, LONG, false),
    ]);
    assert_eq!(state.id_of(INT), Some(1));
    assert_eq!(state.uses(1, Which::Live), Some(vec![("a", 1), ("b", 1)]));
    assert_eq!(state.next_id(), 3);
    assert_eq!(state.next_version("b"), 3);
    assert_eq!(state.subjects(Which::Live, ""), ["a", "b"]);
    assert_eq!(state.subjects(Which::Live, "b"), ["b"]);
    let latest = state.version("b", VersionSpec::Latest, Which::Live).expect("two versions");
    assert_eq!((latest.version, latest.id, latest.schema), (2, 2, LONG));
}

#[test]
fn soft_deleted_versions_are_hidden_but_their_ids_resolve() {
    let state = state([
        version("a", 1, 1, INT, false),
        version("a", 1, 1, INT, true),
        version("a", 2, 2, LONG, false),
    ]);
    assert!(matches!(
        state.version("a", VersionSpec::Number(1), Which::Live),
        Err(RegistryError::VersionNotFound(_))
    ));
    assert!(state.version("a", VersionSpec::Number(1), Which::All).is_ok());
    assert!(matches!(state.lookup("a", INT, Which::Live), Err(RegistryError::SchemaNotFound(_))));
    assert_eq!(state.text(1), Some(INT));
    assert_eq!(state.uses(1, Which::Live), Some(Vec::new()));
}

#[test]
fn nothing_is_numbered_twice() {
    let mut state =
        state([version("a", 1, 1, INT, true), Change::Forget { subject: "a".to_owned(), version: 1 }]);
    assert!(matches!(state.versions("a", Which::All), Err(RegistryError::SubjectNotFound(_))));
    assert_eq!((state.text(1), state.id_of(INT)), (None, None));
    assert_eq!((state.next_id(), state.next_version("a")), (2, 2));
    state.reserve(&version("a", 2, 2, LONG, false));
    assert_eq!((state.next_id(), state.next_version("a")), (3, 3));
}

#[test]
fn a_subject_deleted_by_another_registry_is_deleted_here() {
    let state = state([
        version("a", 1, 1, INT, false),
        version("a", 2, 2, LONG, false),
        Change::DeleteUpTo { subject: "a".to_owned(), version: 2 },
    ]);
    assert!(state.subjects(Which::Live, "").is_empty());
    assert_eq!(state.subjects(Which::Deleted, ""), ["a"]);
}

#[test]
fn a_subject_without_a_level_has_the_global_one() {
    let level = |subject: Option<&str>, level| Change::Level { subject: subject.map(str::to_owned), level };
    let mut state = state([level(None, Some(Level::Full)), level(Some("a"), Some(Level::None))]);
    assert_eq!((state.level("a"), state.level("b")), (Level::None, Level::Full));
    state.apply(level(Some("a"), None));
    state.apply(level(None, None));
    assert_eq!((state.subject_level("a"), state.level("a")), (None, DEFAULT_LEVEL));
}

#[test]
fn a_doubtful_change_is_answered_with_what_is_held() {
    let state = state([version("a", 1, 1, INT, false)]);
    assert_eq!(state.restoring(&version("a", 1, 1, INT, true)), version("a", 1, 1, INT, false));
    let never = version("a", 2, 2, LONG, false);
    assert_eq!(state.restoring(&never), Change::Forget { subject: "a".to_owned(), version: 2 });
    let level = Change::Level { subject: None, level: Some(Level::Full) };
    assert_eq!(state.restoring(&level), Change::Level { subject: None, level: None });
}
