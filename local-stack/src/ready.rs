//! Waiting until something answers.

use std::time::{Duration, Instant};

use anyhow::bail;

use crate::supervise::Supervisor;

const TICK: Duration = Duration::from_millis(100);

/// Waits until `probe` says yes. Fails with the end of the service's log when the service ends, or when time is up.
pub async fn wait<F>(
    supervisor: &mut Supervisor,
    name: &'static str,
    limit: Duration,
    mut probe: impl FnMut() -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = bool>,
{
    let began = Instant::now();
    loop {
        if probe().await {
            println!("{name} is ready after {:.1} s", began.elapsed().as_secs_f32());
            return Ok(());
        }
        if supervisor.has_ended(name) {
            bail!("{name} ended while it started; {}", supervisor.last_words(name));
        }
        if began.elapsed() > limit {
            bail!("{name} was not ready within {} s; {}", limit.as_secs(), supervisor.last_words(name));
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Whether a URL answers with success.
pub async fn http_ok(client: &reqwest::Client, url: &str) -> bool {
    client.get(url).send().await.is_ok_and(|answer| answer.status().is_success())
}

/// The same for a request that says more than its URL.
pub async fn answers(client: &reqwest::Client, request: &reqwest::Request) -> bool {
    let Some(request) = request.try_clone() else { return false };
    client.execute(request).await.is_ok_and(|answer| answer.status().is_success())
}
