//! What must hold before queries are answered: the control topic is read, and ClickHouse has the tables.

use std::time::Duration;

use clickhouse_io::ClickHouse;
use clickhouse_io::tables::TableFault;
use kafka_io::control::ControlFollower;
use service_kit::health::PartState;
use service_kit::{Readiness, Shutdown};

/// Parts of the readiness.
pub const CONTROL: &str = "control";
pub const CLICKHOUSE: &str = "clickhouse";

/// The first and the longest wait before tables that were not right are looked at again.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// Tables change under a running service too.
const CHECK_EVERY: Duration = Duration::from_secs(60);

pub fn is_ready(readiness: &Readiness, part: &str) -> bool {
    readiness.parts().get(part) == Some(&PartState::Ready)
}

pub async fn wait_for_control(mut control: ControlFollower, readiness: Readiness, shutdown: Shutdown) {
    readiness.not_ready(CONTROL, "the control topic has not been read yet; is Kafka up?");
    tokio::select! {
        () = shutdown.wait() => {}
        () = control.caught_up() => {
            readiness.ready(CONTROL);
            tracing::info!(api_keys = control.state().api_keys.len(), "control topic read");
        }
    }
}

/// Compares the tables until the stop, often while they are not right.
pub async fn watch_tables(engine: ClickHouse, readiness: Readiness, shutdown: Shutdown) {
    let mut retry = RETRY_MIN;
    loop {
        let wait = match engine.check_tables().await {
            Ok(()) => {
                retry = RETRY_MIN;
                readiness.ready(CLICKHOUSE);
                CHECK_EVERY
            }
            Err(fault) => {
                tracing::warn!(%fault, "the tables are not ready");
                readiness.not_ready(CLICKHOUSE, public_reason(&fault));
                let wait = retry;
                retry = (retry * 2).min(RETRY_MAX);
                wait
            }
        };
        tokio::select! {
            () = shutdown.wait() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// The main port shows `/readyz` to anyone, so ClickHouse's own words stay in the log.
fn public_reason(fault: &TableFault) -> String {
    match fault {
        TableFault::Engine(error) => format!("clickhouse: cannot {}; the log has the cause", error.action),
        ours => ours.to_string(),
    }
}
