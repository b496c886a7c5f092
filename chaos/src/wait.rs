//! Waiting, always with a bound.

use std::time::Duration;

use anyhow::bail;
use tokio::time::Instant;

const TICK: Duration = Duration::from_millis(100);

/// Asks until the answer is yes; an error says what was waited for.
pub async fn until<F>(what: &str, limit: Duration, mut ask: impl FnMut() -> F) -> anyhow::Result<()>
where
    F: Future<Output = bool>,
{
    until_some(what, limit, || {
        let asked = ask();
        async move { asked.await.then_some(()) }
    })
    .await
}

/// Asks until there is an answer.
pub async fn until_some<T, F>(what: &str, limit: Duration, mut ask: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Option<T>>,
{
    let began = Instant::now();
    loop {
        // an engine that hangs must not hold the wait
        if let Ok(Some(answer)) = tokio::time::timeout(limit, ask()).await {
            return Ok(answer);
        }
        if began.elapsed() > limit {
            bail!("{what}: not within {} s", limit.as_secs());
        }
        tokio::time::sleep(TICK).await;
    }
}
