//! Runs the blocks of one document in order, in one bash, as a reader with one terminal would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{Block, Patience, Role, Use, answer};

/// The longest that one document may take.
pub const DOCUMENT_PATIENCE: Duration = Duration::from_secs(300);

/// How long a block is run again until it gives the answer shown: rows come within about a second.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);
const ANSWER_PAUSE: Duration = Duration::from_millis(250);

/// How much of a failed block's output is shown.
const SHOWN_OUTPUT_BYTES: usize = 4_000;

/// Where the runner keeps its own files, in the scratch directory.
const RUNNER_DIR: &str = ".blocks";

/// Where a document's blocks run.
pub struct Place {
    /// The root of the repository.
    pub root: PathBuf,
    /// The directory with the programs, which the documents call `target`.
    pub target: PathBuf,
    /// The directory of a running stack, which the documents call `.local`.
    pub stack_dir: PathBuf,
    /// The stack's addresses and keys, as in `demo.env`.
    pub env: Vec<(String, String)>,
    /// Made anew for each document.
    pub scratch: PathBuf,
}

/// Runs all blocks of a document. The error says where, what and with which output.
pub async fn run(place: &Place, blocks: &[Block]) -> Result<(), String> {
    place.prepare().map_err(|error| format!("{}: {error}", place.scratch.display()))?;
    let mut shell = Shell::start(place).map_err(|error| format!("bash: {error}"))?;
    let within = tokio::time::timeout(DOCUMENT_PATIENCE, run_blocks(&mut shell, place, blocks));
    let result = within.await.unwrap_or_else(|_| {
        let at = shell.at.clone();
        Err(format!("{at}: not done when the document's {} s were over", DOCUMENT_PATIENCE.as_secs()))
    });
    shell.end();
    result
}

async fn run_blocks(shell: &mut Shell, place: &Place, blocks: &[Block]) -> Result<(), String> {
    for (number, block) in blocks.iter().enumerate() {
        let answer = blocks.get(number + 1).filter(|next| matches!(next.used(), Ok(Use::Answer(_))));
        match block.used().map_err(|why| format!("{}: {why}", block.place()))? {
            Use::NotRun | Use::Shown | Use::Answer(_) | Use::Json => {}
            Use::File(name) => {
                let path = place.scratch.join(&name);
                fs::write(&path, &block.text).map_err(|error| format!("{}: {error}", block.place()))?;
            }
            used @ (Use::Shell | Use::Python | Use::Sql(_)) => {
                shell.run_block(number, block, &used, answer).await?;
            }
        }
    }
    Ok(())
}

impl Place {
    /// A copy of the repository's root made of links, so that a block that writes a file leaves the repository alone.
    fn prepare(&self) -> std::io::Result<()> {
        let _none_yet = fs::remove_dir_all(&self.scratch);
        for directory in [RUNNER_DIR, ".blocks/lenient", ".blocks/strict"] {
            fs::create_dir_all(self.scratch.join(directory))?;
        }
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            if name != "target" && !name.to_string_lossy().starts_with('.') {
                std::os::unix::fs::symlink(entry.path(), self.scratch.join(name))?;
            }
        }
        std::os::unix::fs::symlink(&self.target, self.scratch.join("target"))?;
        std::os::unix::fs::symlink(&self.stack_dir, self.scratch.join(".local"))?;
        // an HTTP error fails a block, unless the answer below it says what to expect
        fs::write(self.scratch.join(".blocks/strict/.curlrc"), "fail-with-body\nmax-time = 60\n")?;
        fs::write(self.scratch.join(".blocks/lenient/.curlrc"), "max-time = 60\n")
    }
}

/// One bash that lives as long as the document.
struct Shell {
    child: Child,
    stdin: ChildStdin,
    /// Bash's own output: a line after each block that ended well. The blocks' output goes to files.
    done: Lines<BufReader<ChildStdout>>,
    dir: PathBuf,
    /// The block that runs.
    at: String,
}

impl Shell {
    fn start(place: &Place) -> std::io::Result<Self> {
        let dir = place.scratch.join(RUNNER_DIR);
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc"]).current_dir(&place.scratch);
        command.envs(place.env.iter().map(|(name, value)| (name, value)));
        command.env("TMPDIR", &dir).env("BLOCKS_DIR", &dir).env("BLOCKS_ROOT", &place.scratch);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // a group of its own, so that what a block left in the background ends with it
        let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
        let stdin = child.stdin.take().expect("piped");
        let done = BufReader::new(child.stdout.take().expect("piped")).lines();
        Ok(Self { child, stdin, done, dir, at: String::new() })
    }

    async fn run_block(
        &mut self,
        number: usize,
        block: &Block,
        used: &Use,
        answer: Option<&Block>,
    ) -> Result<(), String> {
        self.at = block.place();
        let script = write_script(&self.dir, number, block, used);
        let script = script.map_err(|error| format!("{}: {error}", block.place()))?;
        let began = Instant::now();
        loop {
            let (ended_well, output) = self.source(&script, block.line, answer.is_some()).await;
            let Some(answer) = answer.filter(|_| ended_well) else {
                return if ended_well { Ok(()) } else { Err(failure(block, "failed", &output)) };
            };
            if answer::matches(&answer.text, &output) {
                return Ok(());
            }
            let again = matches!(used, Use::Sql(_)) || answer.used() == Ok(Use::Answer(Patience::InTime));
            if !again || began.elapsed() > ANSWER_PATIENCE {
                let why = format!("printed something else than {} shows", answer.place());
                return Err(failure(block, &why, &output));
            }
            tokio::time::sleep(ANSWER_PAUSE).await;
        }
    }

    /// Runs a script in the shell itself, so that its variables and its directory stay. Answers whether it ended well,
    /// and what it printed.
    async fn source(&mut self, script: &Path, first_line: usize, has_answer: bool) -> (bool, String) {
        let output = script.with_extension("out");
        let curl = self.dir.join(if has_answer { "lenient" } else { "strict" });
        // the trap names the line of the document; a block must not read the shell's own input
        let line = format!(
            "set -eEuo pipefail; export CURL_HOME='{}'; \
             trap 'echo \"line $((LINENO + {})): exit $?: $BASH_COMMAND\" >&2' ERR; \
             {{ . '{}'; }} >'{}' 2>&1 </dev/null; echo done\n",
            curl.display(),
            first_line - 1,
            script.display(),
            output.display()
        );
        let written = self.stdin.write_all(line.as_bytes()).await.is_ok() && self.stdin.flush().await.is_ok();
        let ended_well = written && matches!(self.done.next_line().await, Ok(Some(_)));
        let printed = fs::read(&output).unwrap_or_default();
        (ended_well, String::from_utf8_lossy(&printed).into_owned())
    }

    fn end(mut self) {
        if let Some(group) = self.child.id() {
            let _gone_already = killpg(Pid::from_raw(group.cast_signed()), Signal::SIGKILL);
        }
        let _ended = self.child.start_kill();
    }
}

/// Every block becomes a script for the shell, so that variables that one block exports reach the next of any kind.
fn write_script(dir: &Path, number: usize, block: &Block, used: &Use) -> std::io::Result<PathBuf> {
    let script = dir.join(format!("{number:03}.sh"));
    let body = dir.join(format!("{number:03}.{}", block.language));
    let text = match used {
        Use::Python => format!("\"$BLOCKS_ROOT/target/venv/bin/python\" '{}'\n", body.display()),
        Use::Sql(role) => {
            let url = match role {
                Role::Analyst => "$SEALTRAIL_ANALYST_URL",
                Role::Owner => "$SEALTRAIL_CLICKHOUSE_URL",
            };
            format!(
                "curl -sS --fail-with-body \"{url}&default_format=PrettyCompactMonoBlock\" --data-binary '@{}'\n",
                body.display()
            )
        }
        _ => block.text.clone(),
    };
    fs::write(&body, &block.text)?;
    fs::write(&script, text)?;
    Ok(script)
}

fn failure(block: &Block, why: &str, output: &str) -> String {
    let mut from = output.len().saturating_sub(SHOWN_OUTPUT_BYTES);
    while !output.is_char_boundary(from) {
        from += 1;
    }
    format!("{}: the block {why}\n{}--- its output:\n{}\n", block.place(), block.text, &output[from..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docs::Document;

    async fn run_text(name: &str, text: &str) -> Result<(), String> {
        let base = std::env::temp_dir().join(format!("sealtrail-docs-{}-{name}", std::process::id()));
        fs::create_dir_all(base.join("root/docs")).unwrap();
        fs::create_dir_all(base.join("local")).unwrap();
        let place = Place {
            root: base.join("root"),
            target: base.clone(),
            stack_dir: base.join("local"),
            env: vec![("GREETING".to_owned(), "hello".to_owned())],
            scratch: base.join("scratch"),
        };
        let result = run(&place, &Document::parse("x.md", text).blocks).await;
        fs::remove_dir_all(&base).unwrap();
        result
    }

    #[tokio::test]
    async fn blocks_share_a_shell_and_files_and_answers_are_compared() {
        let text = "<!-- file: a.txt -->\n```text\none\n```\n\n```sh\ncat a.txt\nname=$GREETING\n```\n\n\
                    <!-- answer -->\n```text\none\n```\n\n```sh\necho \"$name me\"\necho \"$name you\" >&2\n```\n\n\
                    <!-- answer -->\n```text\nhello …\nhello you\n```\n\n```sh\ntest -L docs && echo x >new\n```\n";
        assert_eq!(run_text("share", text).await, Ok(()));
    }

    #[tokio::test]
    async fn a_failing_block_tells_its_place_its_command_and_its_output() {
        let told = run_text("fail", "# A\n\n```sh\necho before\nfalse\necho after\n```\n").await.unwrap_err();
        assert!(told.starts_with("x.md:4: the block failed"), "{told}");
        assert!(told.contains("before\nline 5: exit 1: false"), "{told}");
        assert!(!told.contains("\nafter"), "{told}");
        let unset = run_text("unset", "```sh\necho $not_set\n```\n").await.unwrap_err();
        assert!(unset.contains("unbound variable"), "{unset}");
    }

    #[tokio::test]
    async fn an_answer_in_time_is_waited_for() {
        let text = "```sh\necho x >>lines\nwc -l <lines\n```\n\n<!-- answer in time -->\n```text\n3\n```\n";
        assert_eq!(run_text("in-time", text).await, Ok(()));
    }

    #[tokio::test]
    async fn another_answer_than_shown_fails() {
        let told =
            run_text("other", "```sh\necho a\n```\n\n<!-- answer -->\n```text\nb\n```\n").await.unwrap_err();
        assert!(told.contains("something else than x.md:7 shows"), "{told}");
    }
}
