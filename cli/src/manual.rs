//! Shell completions and man pages, made from the definition of the command line itself.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::output;

#[derive(Debug, Args)]
pub struct CompletionFlags {
    /// The shell that reads them
    shell: Shell,
}

#[derive(Debug, Args)]
pub struct ManFlags {
    /// Where the pages are written, one for each command; made if it is not there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

pub fn completions(flags: &CompletionFlags, mut command: Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, &mut command, "sealtrail", &mut script);
    output::print_text(&String::from_utf8_lossy(&script))
}

pub fn man(flags: &ManFlags, command: Command) -> anyhow::Result<()> {
    let dir = &flags.dir;
    fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    // without `help` and its copies of every command
    let command = command.disable_help_subcommand(true);
    clap_mangen::generate_to(command, dir).with_context(|| format!("write pages to {}", dir.display()))?;
    eprintln!("wrote the pages to {}; read one with `man {}/sealtrail.1`", dir.display(), dir.display());
    Ok(())
}
