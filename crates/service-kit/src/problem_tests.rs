//! docs/problems.md against the sources: each type of problem is there, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use axum::http::StatusCode;

/// Where problems are made.
const SOURCES: [&str; 3] = ["crates", "ingest-gateway", "query-api"];
/// The begin of a call that makes one; in two parts, so that this line is none.
const CALLS: [&str; 2] = [concat!("Problem::", "new("), concat!("Self::new(", "StatusCode::")];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn each_source(dir: &Path, visit: &mut impl FnMut(&str)) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            each_source(&path, visit);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            visit(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

/// The types and, where a source names it by its constant, the status.
fn made_in_sources() -> BTreeMap<String, Option<u16>> {
    let mut made = BTreeMap::new();
    let mut visit = |source: &str| {
        for (at, call) in CALLS.iter().flat_map(|call| source.match_indices(call)) {
            let mut parts = source[at..].split('"');
            let (before, kind) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let is_kind = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
            assert!(is_kind, "a type of problem is a literal behind the status: {call}{kind}");
            made.insert(kind.to_owned(), status_in(before));
        }
    };
    SOURCES.iter().for_each(|dir| each_source(&workspace().join(dir), &mut visit));
    made
}

/// The status that `StatusCode::NAME` names.
fn status_in(text: &str) -> Option<u16> {
    let name: String = text
        .split("StatusCode::")
        .nth(1)?
        .chars()
        .take_while(|c| c.is_ascii_uppercase() || *c == '_')
        .collect();
    (400..600).find(|status| {
        let reason = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
        reason.is_some_and(|reason| reason.to_uppercase().replace([' ', '-'], "_") == name)
    })
}

/// A section is headed by its type and status: ``## `rate-limited`: 429``.
fn on_the_page() -> BTreeMap<String, u16> {
    let page = std::fs::read_to_string(workspace().join("docs/problems.md")).expect("the page");
    let heads = page.lines().filter_map(|line| line.strip_prefix("## `")?.split_once("`: "));
    heads.map(|(kind, status)| (kind.to_owned(), status.parse().expect("a status"))).collect()
}

#[test]
fn every_type_of_problem_has_its_section_with_its_status() {
    let (made, told) = (made_in_sources(), on_the_page());
    assert!(made.len() >= 14, "{made:?}");
    let keys = |of: BTreeSet<&String>| of.into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(
        keys(made.keys().collect()),
        keys(told.keys().collect()),
        "left: in the sources; right: in docs/problems.md"
    );
    for (kind, status) in &made {
        assert!(status.is_none_or(|status| told[kind] == status), "docs/problems.md, {kind}: {status:?}");
    }
}

#[test]
fn the_page_names_the_whole_type_of_each() {
    let page = std::fs::read_to_string(workspace().join("docs/problems.md")).expect("the page");
    for kind in on_the_page().keys() {
        assert!(page.contains(&format!("{}{kind}`", super::TYPE_PREFIX)), "{kind}");
    }
}
