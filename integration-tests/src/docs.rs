//! The code blocks of a Markdown document, and what becomes of each: run, saved, checked, or left alone with a reason.
//!
//! An HTML comment on the line directly above a fence directs it:
//! - `<!-- not run: REASON -->`: the block is left alone;
//! - `<!-- file: NAME -->`: it is saved as NAME in the scratch directory;
//! - `<!-- as: owner -->`: SQL as the database's owner instead of the tenant's analyst;
//! - `<!-- answer -->` above a `text` block: what the block before must print, where `…` stands for anything within a
//!   line;
//! - `<!-- answer in time -->`: the same, and the block before is run until it does, since rows come after a moment.
//!   SQL is always asked so.

mod answer;
mod shell;

use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

pub use shell::{DOCUMENT_PATIENCE, Place, run};

/// A fenced code block.
#[derive(Debug, Clone)]
pub struct Block {
    /// The document, relative to the root of the repository.
    pub file: String,
    /// The line of the text's first line, from 1.
    pub line: usize,
    pub language: String,
    /// What the comment above the fence says.
    pub directive: Option<String>,
    pub text: String,
}

/// What becomes of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    NotRun,
    /// Shown, and not compared: what it shows differs each time.
    Shown,
    /// What the block before must print.
    Answer(Patience),
    Json,
    File(String),
    Shell,
    Python,
    Sql(Role),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    AtOnce,
    InTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Analyst,
    Owner,
}

/// A document as far as it can be wrong.
#[derive(Default)]
pub struct Document {
    pub file: String,
    pub blocks: Vec<Block>,
    /// The targets of its links, with their lines.
    pub links: Vec<(usize, String)>,
    /// Its headings as links name them.
    pub anchors: Vec<String>,
}

impl Document {
    /// Reads a document of the repository.
    pub fn read(root: &Path, file: &str) -> Self {
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        Self::parse(file, &text)
    }

    pub fn parse(file: &str, text: &str) -> Self {
        let mut document = Self { file: file.to_owned(), ..Self::default() };
        let mut open: Option<Block> = None;
        let mut heading: Option<String> = None;
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = text[..range.start].matches('\n').count() + 1;
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let (language, first_line) = match kind {
                        CodeBlockKind::Fenced(info) => (info.to_string(), line + 1),
                        CodeBlockKind::Indented => (String::new(), line),
                    };
                    let directive = directive_above(text, line);
                    let file = file.to_owned();
                    open = Some(Block { file, line: first_line, language, directive, text: String::new() });
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Text(part) | Event::Code(part) => {
                    let text = open.as_mut().map(|block| &mut block.text).or(heading.as_mut());
                    if let Some(text) = text {
                        text.push_str(&part);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    document.anchors.extend(heading.take().map(|text| anchor(&text)))
                }
                Event::End(TagEnd::CodeBlock) => document.blocks.extend(open.take()),
                Event::Start(Tag::Link { dest_url, .. }) => document.links.push((line, dest_url.to_string())),
                _ => {}
            }
        }
        document
    }

    /// Blocks that do not say what becomes of them, each as `file:line: why`.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut before = None;
        for block in &self.blocks {
            let used = block.used();
            match &used {
                Err(why) => faults.push(format!("{}: {why}", block.place())),
                Ok(Use::Answer(_)) if !matches!(before, Some(Use::Shell | Use::Python | Use::Sql(_))) => {
                    faults.push(format!("{}: an answer must follow a block that runs", block.place()));
                }
                Ok(_) => {}
            }
            before = used.ok();
        }
        faults
    }
}

impl Block {
    /// `file:line`, as an editor takes it.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    pub fn used(&self) -> Result<Use, String> {
        let (directive, argument) = match self.directive.as_deref() {
            Some(text) => text.split_once(':').map_or((text, ""), |(name, rest)| (name, rest.trim())),
            None => ("", ""),
        };
        match (directive.trim(), self.language.as_str()) {
            ("not run", _) if argument.is_empty() => Err("`not run:` needs a reason".to_owned()),
            ("not run", _) => Ok(Use::NotRun),
            ("file", _) if is_plain_name(argument) => Ok(Use::File(argument.to_owned())),
            ("file", _) => Err(format!("`{argument}` is not a plain file name")),
            ("answer", "text") => Ok(Use::Answer(Patience::AtOnce)),
            ("answer in time", "text") => Ok(Use::Answer(Patience::InTime)),
            ("as", "sql") if argument == "owner" => Ok(Use::Sql(Role::Owner)),
            ("", "sh") => Ok(Use::Shell),
            ("", "python") => Ok(Use::Python),
            ("", "sql") => Ok(Use::Sql(Role::Analyst)),
            ("", "text") => Ok(Use::Shown),
            ("", "json") => match serde_json::from_str::<serde_json::Value>(&self.text) {
                Ok(_) => Ok(Use::Json),
                Err(error) => Err(format!("not JSON: {error}")),
            },
            ("", "") => Err("the block names no language".to_owned()),
            ("", other) => Err(format!(
                "nothing runs `{other}`; put `<!-- file: NAME -->` or `<!-- not run: WHY -->` above it"
            )),
            (_, language) => {
                let text = self.directive.as_deref().unwrap_or_default();
                Err(format!("`<!-- {text} -->` does not go with `{language}`"))
            }
        }
    }
}

/// As GitHub makes them: lower case, blanks to hyphens, other marks left out.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The comment on the line before `line`, if the whole line is one.
fn directive_above(text: &str, line: usize) -> Option<String> {
    let above = text.lines().nth(line.checked_sub(2)?)?.trim();
    let inner = above.strip_prefix("<!--")?.strip_suffix("-->")?;
    Some(inner.trim().to_owned())
}

/// A name that stays in the scratch directory: the rest of the scratch directory is links into the repository.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\'', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(text: &str) -> Vec<Result<Use, String>> {
        Document::parse("x.md", text).blocks.iter().map(Block::used).collect()
    }

    #[test]
    fn each_block_has_its_use() {
        let text = "<!-- file: a.py -->\n```python\nx\n```\n\n```sh\nls\n```\n\n<!-- answer -->\n```text\na\n```\n\n\
                    <!-- as: owner -->\n```sql\nSELECT 1\n```\n\n<!-- not run: it takes a day -->\n```toml\na = 1\n```\n";
        let expected = vec![
            Ok(Use::File("a.py".to_owned())),
            Ok(Use::Shell),
            Ok(Use::Answer(Patience::AtOnce)),
            Ok(Use::Sql(Role::Owner)),
            Ok(Use::NotRun),
        ];
        assert_eq!(uses(text), expected);
        assert!(Document::parse("x.md", text).faults().is_empty());
    }

    #[test]
    fn a_block_that_nothing_would_run_is_a_fault_with_its_line() {
        let text = "# A\n\n```toml\na = 1\n```\n\n```json\n{,}\n```\n\n    indented\n\n<!-- not run: -->\n```sh\nls\n```\n\n\
                    <!-- file: ../x -->\n```sh\nls\n```\n\n<!-- answer -->\n```text\na\n```\n";
        let faults = Document::parse("x.md", text).faults();
        let places: Vec<_> = faults.iter().map(|fault| &fault[..fault.find(": ").unwrap()]).collect();
        assert_eq!(places, ["x.md:4", "x.md:8", "x.md:11", "x.md:15", "x.md:20", "x.md:25"], "{faults:?}");
    }

    #[test]
    fn a_block_in_a_list_keeps_its_line_and_loses_its_indent() {
        let document = Document::parse("x.md", "1. one:\n\n   ```sh\n   echo a\n   echo b\n   ```\n");
        assert_eq!(document.blocks[0].line, 4);
        assert_eq!(document.blocks[0].text, "echo a\necho b\n");
    }

    #[test]
    fn links_are_found_with_their_lines_and_headings_as_they_name_them() {
        let document =
            Document::parse("x.md", "# A\n\n[b](c.md#d) and <https://e.test>\n\n## 16. `GET /v1`: a, b?\n");
        assert_eq!(document.links, [(3, "c.md#d".to_owned()), (3, "https://e.test".to_owned())]);
        assert_eq!(document.anchors, ["a", "16-get-v1-a-b"]);
    }
}
