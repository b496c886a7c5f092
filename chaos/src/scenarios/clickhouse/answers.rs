//! F16: inserts that are done and whose answers are lost, or say that nobody knows.

use std::time::Duration;

use super::{Calm, arm, insert_into, metric, wait_struck};
use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;
use crate::tools::proxy::{Fault, Loss};

pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("F16", "answers to inserts are lost by resets", Expected::Recovers, |scene| {
        Box::pin(lost(scene, Loss::Reset, Duration::ZERO))
    })
    .in_ci(),
    Scenario::new("F16", "answers to inserts never come", Expected::Recovers, |scene| {
        Box::pin(lost(scene, Loss::Silence, SILENCE))
    }),
    Scenario::new("F18", "inserts of unknown status, done and not done", Expected::Recovers, |scene| {
        Box::pin(unknown_status(scene))
    }),
];

/// Longer than insert.max_execution_s and clickhouse.query_timeout_ms together, which are shortened to 3 and 5 s.
const SILENCE: Duration = Duration::from_secs(9);
/// Each processor loses so many of each table.
const TIMES: u64 = 3;

async fn lost(scene: &mut Scene, loss: Loss, at_least: Duration) -> anyhow::Result<()> {
    let calm = Calm::take(scene).await?;
    let doubts = metric(scene, "sealtrail_processor_unsure_inserts_total").await;
    for table in ["events", "duplicates", "event_batches"] {
        arm(scene, &insert_into(table).times(TIMES), &Fault::LoseAnswer(loss));
        wait_struck(scene, 2).await?;
        scene.pass(at_least).await;
    }
    scene.stack.break_clickhouse(&Fault::Pass);
    scene.healed();
    scene.stored(500).await?;
    let since = metric(scene, "sealtrail_processor_unsure_inserts_total").await - doubts;
    scene.expect(&format!("{since} batches were in doubt, at least 2"), since >= 2.0)?;
    calm.expect_kept(scene).await
}

/// Only a replicated table answers so; the code is ClickHouse's own.
const UNKNOWN_STATUS: &str = "Code: 319. DB::Exception: Unknown status of this part, client must retry. \
     (UNKNOWN_STATUS_OF_INSERT) (version 26.7.3.1)\n";

async fn unknown_status(scene: &mut Scene) -> anyhow::Result<()> {
    let calm = Calm::take(scene).await?;
    let answer = format!(
        "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\nX-ClickHouse-Exception-Code: 319\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{UNKNOWN_STATUS}",
        UNKNOWN_STATUS.len()
    );
    let answer = answer.into_bytes();
    let marks = scene.mark();
    for fault in [Fault::ReplaceAnswer(answer.clone()), Fault::AnswerInstead(answer)] {
        arm(scene, &insert_into("events").times(TIMES), &fault);
        wait_struck(scene, 2).await?;
        scene.wait_logged(&marks, "UNKNOWN_STATUS_OF_INSERT", SILENCE).await?;
    }
    scene.stack.break_clickhouse(&Fault::Pass);
    scene.healed();
    scene.stored(500).await?;
    calm.expect_kept(scene).await
}
