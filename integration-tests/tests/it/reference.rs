//! The pages that are written from what the programs say of themselves, and what must stand there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use integration_tests::{program, workspace};

const SERVICES: [(&str, &str); 4] = [
    ("sealtrail-gateway", "GATEWAY"),
    ("sealtrail-processor", "PROCESSOR"),
    ("sealtrail-query-api", "QUERY_API"),
    ("sealtrail-sealer", "SEALER"),
];
/// Made up by tests and tools; no program reads them.
const NOT_FOR_PEOPLE: [&str; 2] = ["SEALTRAIL_A", "SEALTRAIL_B"];

fn configuration() -> String {
    std::fs::read_to_string(workspace().join("docs/CONFIGURATION.md")).unwrap()
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn settings(program_name: &str) -> String {
    text(Command::new(program(program_name)).arg("--settings").output().unwrap())
}

#[test]
fn the_pages_say_what_the_programs_say() {
    let checked =
        Command::new("python3").arg(workspace().join("tools/write_docs.py")).arg("--check").output();
    let checked = checked.unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// The cells of each setting's row: names, value, default, unit, meaning.
fn rows(reference: &str) -> Vec<Vec<String>> {
    let rows = reference.lines().filter(|line| line.starts_with("| `"));
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    rows.map(cells).collect()
}

#[test]
fn every_setting_has_a_sentence_and_every_number_its_unit_and_bounds() {
    for (service, environment) in SERVICES {
        let rows = rows(&settings(service));
        assert!(rows.len() > 20, "{service} shows {} settings", rows.len());
        for row in rows {
            let [names, value, default, unit, meaning] = &row[..] else { panic!("{service}: {row:?}") };
            assert!(names.contains(&format!("<br>`SEALTRAIL_{environment}__")), "{names}");
            assert!(meaning.contains('.'), "{service} {names} has no sentence");
            let is_number = default.trim_matches('`').parse::<f64>().is_ok() || !unit.is_empty();
            if is_number {
                assert!(value.contains(" to "), "{service} {names} has no bounds: {value}");
                assert!(!unit.is_empty(), "{service} {names} has no unit");
            }
        }
    }
}

#[test]
fn every_flag_and_variable_of_the_commands_has_a_meaning() {
    let page = configuration();
    let (_, commands) = page.split_once("## The command `sealtrail`").unwrap();
    let (generated, _) = commands.split_once("`.local/demo.env` holds").unwrap();
    let rows: Vec<_> = generated.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(rows.len() > 25, "{} rows", rows.len());
    for row in rows {
        let mut cells = row.split(" | ").map(|cell| cell.trim_matches(['|', ' ']));
        let has_words = cells.any(|cell| !cell.starts_with('`') && cell.contains(' '));
        assert!(has_words, "{row}");
    }
}

#[test]
fn what_the_environment_holds_is_not_printed() {
    for (service, environment) in SERVICES {
        let pepper = format!("SEALTRAIL_{environment}__PEPPER");
        let brokers = format!("SEALTRAIL_{environment}__KAFKA__BROKERS");
        let with_values = Command::new(program(service))
            .args(["--settings", "--set", "admin.listen=192.0.2.1:1"])
            .env(pepper, "a-pepper-that-nobody-may-see")
            .env(brokers, "elsewhere:9092")
            .output()
            .unwrap();
        assert_eq!(text(with_values), settings(service));
    }
}

#[test]
fn a_check_takes_a_secret_of_digits_and_names_what_is_wrong() {
    let gateway = |name: &str, value: &str| {
        Command::new(program("sealtrail-gateway")).arg("--check").env(name, value).output().unwrap()
    };
    assert!(gateway("SEALTRAIL_GATEWAY__PEPPER", "0012345678901234").status.success());
    assert!(gateway("SEALTRAIL_GATEWAY__REGISTRY__PASSWORD", "007").status.success());
    let refused = gateway("SEALTRAIL_GATEWAY__LIMITS__MAX_BATCH_EVENTS", "0");
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("limits.max_batch_events is 0, it must be 1 to"), "{said}");
}

/// Every SEALTRAIL_ variable that a source names outside of the services' own keys.
#[test]
fn every_variable_of_the_sources_is_in_the_reference() {
    let page = configuration();
    let documented = variables_in(&page);
    let mut missing = BTreeSet::new();
    let dirs = ["cli", "crates", "ingest-gateway", "load-tests", "local-stack", "processor", "query-api"];
    for dir in dirs.into_iter().chain(["tools", "deploy"]) {
        each_source(&workspace().join(dir), &mut |source| missing.extend(variables_in(source)));
    }
    for file in ["docker-compose.yml", "Makefile", ".env.example"] {
        missing.extend(variables_in(&std::fs::read_to_string(workspace().join(file)).unwrap()));
    }
    missing.retain(|name| !documented.contains(name) && !NOT_FOR_PEOPLE.contains(&name.as_str()));
    assert!(missing.is_empty(), "not in docs/CONFIGURATION.md: {missing:?}");
}

fn each_source(dir: &Path, visit: &mut impl FnMut(&str)) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            each_source(&path, visit);
        } else if path
            .extension()
            .is_some_and(|extension| ["rs", "sh", "yml"].iter().any(|e| extension == *e))
        {
            visit(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// Whole names: one that goes on with a placeholder, such as `SEALTRAIL_{service}__`, is none.
fn variables_in(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (start, _) in text.match_indices("SEALTRAIL_") {
        let rest = &text[start..];
        let end = rest.find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
        let name = &rest[..end.unwrap_or(rest.len())];
        let goes_on = rest[name.len()..].starts_with(['{', '<', '*', '$']);
        if !goes_on && !name.ends_with('_') {
            found.insert(name.to_owned());
        }
    }
    found
}
