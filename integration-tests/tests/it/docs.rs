//! The documents hold: every code block of README.md and docs/ runs, and every link leads somewhere.

use std::fs;
use std::path::Path;

use integration_tests::docs::{Document, Place, run};
use integration_tests::stack::{Stack, shared};
use integration_tests::workspace;

/// Runs only the documents whose path contains this text, for who writes one.
const ONLY: &str = "SEALTRAIL_DOCS_ONLY";

/// What `make docs` makes documents from; their links hold where they come to stand.
const PARTS: &str = "docs/templates";

fn documents() -> Vec<Document> {
    let root = workspace();
    let mut files = vec!["README.md".to_owned()];
    find_markdown(&root, "docs", &mut files);
    files.sort();
    let only = std::env::var(ONLY).unwrap_or_default();
    let documents: Vec<_> =
        files.iter().filter(|file| file.contains(&only)).map(|file| Document::read(&root, file)).collect();
    assert!(!documents.is_empty(), "{ONLY}={only} leaves no document");
    documents
}

fn find_markdown(root: &Path, directory: &str, files: &mut Vec<String>) {
    for entry in fs::read_dir(root.join(directory)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{directory}/{}", entry.file_name().to_string_lossy());
        if path == PARTS {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            find_markdown(root, &path, files);
        } else if path.ends_with(".md") {
            files.push(path);
        }
    }
}

fn assert_none(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{} {what}:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_block_of_the_documents_says_what_becomes_of_it() {
    let faults: Vec<_> = documents().iter().flat_map(Document::faults).collect();
    assert_none("blocks that nothing runs", &faults);
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let root = workspace();
    let mut faults = Vec::new();
    for document in documents() {
        for (line, link) in document.links.iter().filter(|(_, link)| !link.contains("://")) {
            if !leads_somewhere(&root, &document, link) {
                faults.push(format!("{}:{line}: {link} is not there", document.file));
            }
        }
    }
    assert_none("broken links", &faults);
}

/// To a file, and where the file is Markdown and the link names a heading, to that.
fn leads_somewhere(root: &Path, from: &Document, link: &str) -> bool {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let here = Path::new(&from.file);
    let target = if file.is_empty() { here.to_owned() } else { here.with_file_name("").join(file) };
    if anchor.is_empty() || target.extension().is_none_or(|extension| extension != "md") {
        return root.join(target).exists();
    }
    root.join(&target).is_file()
        && Document::read(root, &target.to_string_lossy()).anchors.iter().any(|known| known == anchor)
}

/// All failures at once: who changed a command wants to see every document that names it.
#[tokio::test(flavor = "multi_thread")]
async fn every_block_of_the_documents_runs() {
    let stack = shared();
    load_sample(stack);
    let mut faults = Vec::new();
    for document in documents() {
        let place = Place {
            root: workspace().canonicalize().unwrap(),
            target: integration_tests::program("sealtrail").parent().unwrap().parent().unwrap().to_owned(),
            stack_dir: stack.dir.canonicalize().unwrap(),
            env: stack.vars().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            scratch: workspace().join("target/it/docs").join(document.file.replace(['/', '.'], "-")),
        };
        if let Err(fault) = run(&place, &document.blocks).await {
            faults.push(fault);
        }
    }
    assert_none("documents failed", &faults);
}

/// The sample that `make up` loads, which the shared stack starts without.
fn load_sample(stack: &Stack) {
    let examples = workspace().join("schemas/examples");
    let files = fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path().display().to_string());
    for file in files {
        let sent = stack.run("sealtrail", &["send", &file]);
        assert!(sent.status.success(), "{file}: {}", String::from_utf8_lossy(&sent.stderr));
    }
}
