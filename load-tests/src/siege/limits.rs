//! Open files: a socket is one, and a siege has more of them than a shell allows.

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Beside the sockets of the siege: the runtime's, a log, the stack's pipes.
const SPARE: u64 = 200;

/// Raises this process's own limit as far as it may, before the stack starts, which inherits it.
pub fn raise(sockets: u64) -> Result<()> {
    let wanted = sockets + SPARE;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("ask for the limit of open files")?;
    ensure!(
        wanted <= hard,
        "{wanted} open files are needed, and the limit is {hard}: raise it (`ulimit -Hn`, or LimitNOFILE), or take fewer \
         connections"
    );
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raise the limit of open files")?;
    }
    Ok(())
}

/// What another process may have open, by /proc.
pub fn of_process(pid: i32) -> Result<u64> {
    let file = format!("/proc/{pid}/limits");
    let text = std::fs::read_to_string(&file).with_context(|| format!("read {file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    Ok(soft.and_then(|soft| soft.parse().ok()).unwrap_or(u64::MAX))
}

/// Refuses a gateway that cannot hold so many, with what to do.
pub fn check_gateway(pid: i32, sockets: u64) -> Result<()> {
    let limit = of_process(pid)?;
    ensure!(
        sockets + SPARE <= limit,
        "the gateway (process {pid}) may have {limit} open files, and {} are needed: start its stack under `ulimit -n {}`",
        sockets + SPARE,
        sockets + SPARE
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within_the_limit_is_given_and_more_is_refused_with_advice() {
        raise(1).expect("a few sockets");
        assert!(of_process(std::process::id().cast_signed()).expect("a limit") >= SPARE);
        let refused = raise(u64::MAX - SPARE).map_err(|error| error.to_string());
        assert!(refused.is_ok() || refused.is_err_and(|why| why.contains("ulimit")));
    }
}
