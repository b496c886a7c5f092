//! The programs and commands of docs/direct-door.md, run as a reader would run them.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::docs::{Block, Document, Use};
use crate::stack::Stack;
use crate::workspace;

/// The page, relative to the root of the repository.
pub const DIRECT_DOOR: &str = "docs/direct-door.md";

/// The longest that one block may take; installing what a program needs is the most of it.
const BLOCK_PATIENCE: Duration = Duration::from_secs(120);

/// A directory with the page's files, and what its commands expect there.
pub struct Page {
    pub dir: PathBuf,
    pub text: String,
    blocks: Vec<Block>,
}

impl Page {
    /// Puts the page's files into a directory of the test's own.
    pub fn unpack(name: &str) -> Self {
        let root = workspace().canonicalize().expect("the workspace");
        let dir = root.join("target/it/direct-door").join(name);
        let _none_yet = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a directory");
        for needed in ["docs", "schemas"] {
            std::os::unix::fs::symlink(root.join(needed), dir.join(needed)).expect("a link");
        }
        let text = fs::read_to_string(root.join(DIRECT_DOOR)).expect(DIRECT_DOOR);
        let blocks = Document::parse(DIRECT_DOOR, &text).blocks;
        for block in &blocks {
            if let Ok(Use::File(name)) = block.used() {
                fs::write(dir.join(name), &block.text).expect("a file");
            }
        }
        Self { dir, text, blocks }
    }

    /// The text of the one block in this language that contains `part`.
    pub fn block(&self, language: &str, part: &str) -> String {
        let is_it = |block: &&Block| block.language == language && block.text.contains(part);
        let found: Vec<_> = self.blocks.iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{DIRECT_DOOR} has one {language} block with {part}");
        found[0].text.clone()
    }

    /// Runs commands of the page against a stack; answers what they print. Nothing is fetched: what they install was
    /// brought by tools/fetch-direct-door.sh.
    pub async fn run(&self, stack: &Stack, commands: &str) -> String {
        let target = workspace().canonicalize().expect("the workspace").join("target");
        let fetched = target.join("direct-door");
        assert!(
            fetched.join("ready").is_file(),
            "run the tests by `make test`, or `make target/direct-door/ready`"
        );
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", commands]).current_dir(&self.dir).envs(stack.vars());
        command.env("PATH", format!("{}:{path}", target.join("tools/bin").display()));
        command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", fetched.join("wheels"));
        command.env("npm_config_cache", fetched.join("npm")).env("npm_config_offline", "true");
        command.env("GOPROXY", "off").env("GOFLAGS", "-buildvcs=false");
        let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(BLOCK_PATIENCE, running).await;
        let output = output.unwrap_or_else(|_| panic!("not done in time:\n{commands}")).expect("bash runs");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}\n{commands}\n{printed}\n{errors}", output.status);
        printed
    }
}

/// Whether one of the programs is not on this machine: a failure in CI, a word elsewhere.
pub fn lacks(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &&str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    let Some(missing) = programs.iter().find(|program| !is_there(program)) else { return false };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing} is not there");
    eprintln!("skipped: {missing} is not there; install it to run this test");
    true
}
