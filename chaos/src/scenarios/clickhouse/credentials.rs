//! F19: ClickHouse refuses the password of a processor that runs.

use std::fs;

use anyhow::{Context, ensure};

use super::{all_stopped, restart_clickhouse};
use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;

pub const SCENARIOS: &[Scenario] =
    &[Scenario::new("F19", "the password is changed while the processors run", Expected::Stops, |scene| {
        Box::pin(refused(scene))
    })
    .in_ci()];

const USER: &str = "<sealtrail_processor>";
const HASH: &str = "<password_sha256_hex>";

async fn refused(scene: &mut Scene) -> anyhow::Result<()> {
    let marks = scene.mark();
    let file = scene.stack.dir.join("secrets/clickhouse-users.xml");
    let before = fs::read_to_string(&file).context("the users of clickhouse")?;
    scene.leave_stopped();
    fs::write(&file, with_another_password(&before)?)?;
    let stopped = async {
        restart_clickhouse(scene).await?;
        all_stopped(scene, &marks, &["AUTHENTICATION_FAILED", "Code: 516"]).await
    };
    let stopped = stopped.await;
    fs::write(&file, before)?;
    restart_clickhouse(scene).await?;
    stopped?;
    scene.healed();
    scene.start_stopped().await?;
    scene.stored(500).await
}

/// The processor's user has a password that nobody knows.
fn with_another_password(users: &str) -> anyhow::Result<String> {
    let (head, user) = users.split_once(USER).context("no user of the processor")?;
    let (between, rest) = user.split_once(HASH).context("no password of the processor")?;
    let hash_end = rest.find('<').context("a hash without an end")?;
    ensure!(hash_end == 64, "the hash has {hash_end} digits");
    Ok(format!("{head}{USER}{between}{HASH}{}{}", "0".repeat(hash_end), &rest[hash_end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_processor_s_password_changes() {
        let user = |name: &str, digit: &str| {
            format!("<{name}>{HASH}{}</password_sha256_hex></{name}>", digit.repeat(64))
        };
        let users =
            user("sealtrail", "1") + &user("sealtrail_processor", "2") + &user("sealtrail_query_api", "3");
        let changed = with_another_password(&users).expect("a user");
        assert_eq!(changed.len(), users.len());
        assert_eq!(changed.replace(&"0".repeat(64), &"2".repeat(64)), users);
        assert!(with_another_password("<sealtrail_processor>").is_err());
    }
}
