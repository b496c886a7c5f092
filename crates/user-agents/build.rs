//! Takes the rules of uap-core out of the package `ua-parser`, which ships them as `uap-core/regexes.yaml` and offers no
//! function for it, and leaves them as JSON for `rules.rs`. So they are fetched by cargo, under the checksum in
//! Cargo.lock, and no copy of them stands in this repository.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

const PACKAGE: &str = "ua-parser";
const RULES: &str = "uap-core/regexes.yaml";
const SECTIONS: [&str; 3] = ["user_agent_parsers", "os_parsers", "device_parsers"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    let rules = package_directory().join(RULES);
    let text = fs::read_to_string(&rules)
        .unwrap_or_else(|error| panic!("the package {PACKAGE} has no {}: {error}", rules.display()));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("rules.json"), as_json(&text).to_string()).expect("OUT_DIR can be written");
}

/// Where cargo keeps the package's sources: a registry's cache, or a directory of vendored packages.
fn package_directory() -> PathBuf {
    let cargo = env::var_os("CARGO").expect("cargo sets CARGO");
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let done = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform", &target])
        .output()
        .expect("cargo runs");
    assert!(done.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&done.stderr));
    let metadata: Value = serde_json::from_slice(&done.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("metadata lists packages");
    let package = packages.iter().find(|package| package["name"] == PACKAGE);
    let manifest = package.and_then(|package| package["manifest_path"].as_str());
    let manifest = manifest.unwrap_or_else(|| panic!("Cargo.lock has no package {PACKAGE}"));
    Path::new(manifest).parent().expect("a manifest lies in a directory").to_owned()
}

/// The sections with their rules; a rule maps names to texts.
fn as_json(text: &str) -> Value {
    let documents = YamlLoader::load_from_str(text).expect("the rules are YAML");
    let of_section = |name: &str| {
        let rules = documents[0][name].as_vec().unwrap_or_else(|| panic!("the rules have no {name}"));
        Value::Array(rules.iter().map(rule).collect())
    };
    SECTIONS.iter().map(|name| ((*name).to_owned(), of_section(name))).collect()
}

fn rule(rule: &Yaml) -> Value {
    let fields = rule.as_hash().expect("a rule is a map");
    let field = |(name, value): (&Yaml, &Yaml)| Some((name.as_str()?.to_owned(), text_of(value)?.into()));
    Value::Object(fields.iter().filter_map(field).collect::<Map<_, _>>())
}

/// Versions such as `3` and `10.0` stand there without quotes.
fn text_of(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) | Yaml::Real(text) => Some(text.clone()),
        Yaml::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}
