//! F18: ClickHouse answers, and says no. What passes is tried again; what a person has to mend stops the service.

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::{Calm, all_stopped, restart_clickhouse, rows_stored, sit_out};
use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;

pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("F18", "too many parts", Expected::Recovers, |scene| Box::pin(too_many_parts(scene))),
    Scenario::new("F18", "the memory limit of its user", Expected::Recovers, |scene| {
        Box::pin(with_profile(scene, "<max_memory_usage>1000000</max_memory_usage>", "Code: 241"))
    }),
    Scenario::new("F18", "read-only", Expected::Recovers, |scene| {
        // 2: settings may be changed, rows not
        Box::pin(with_profile(scene, "<readonly>2</readonly>", "Code: 164"))
    }),
    Scenario::new("F18", "a table is gone", Expected::Stops, |scene| Box::pin(table_gone(scene))),
];

/// Within this the processors insert again after a restart of the engine.
const SAID_LIMIT: Duration = Duration::from_secs(30);

async fn too_many_parts(scene: &mut Scene) -> anyhow::Result<()> {
    let calm = Calm::take(scene).await?;
    let marks = scene.mark();
    for table in ["events", "event_batches"] {
        scene.stack.execute(&format!("ALTER TABLE {table} MODIFY SETTING parts_to_throw_insert = 1")).await?;
        let sat_out = sit_out(scene, super::SETTLED_AFTER * 4).await;
        scene.stack.execute(&format!("ALTER TABLE {table} RESET SETTING parts_to_throw_insert")).await?;
        sat_out?;
        scene.healed();
        scene.stored(500).await?;
    }
    scene.expect("clickhouse said so", scene.logged(&marks, "TOO_MANY_PARTS"))?;
    calm.expect_kept(scene).await
}

/// The processor's user gets another profile. The engine reads its users at its start, so it starts anew, twice.
async fn with_profile(scene: &mut Scene, settings: &str, said: &str) -> anyhow::Result<()> {
    let calm = Calm::take(scene).await?;
    let marks = scene.mark();
    let file = scene.stack.dir.join("secrets/clickhouse-users.xml");
    let before = fs::read_to_string(&file).context("the users of clickhouse")?;
    fs::write(&file, confined(&before, settings)?)?;
    let sat_out = async {
        restart_clickhouse(scene).await?;
        // what was under way at the restart has to land or not before anything else is inserted
        scene.wait_logged(&marks, said, SAID_LIMIT).await?;
        sit_out(scene, super::SETTLED_AFTER * 4).await
    };
    let sat_out = sat_out.await;
    fs::write(&file, before)?;
    restart_clickhouse(scene).await?;
    sat_out?;
    scene.healed();
    scene.stored(500).await?;
    calm.expect_kept(scene).await
}

/// The users file with a profile of these settings, which the processor's user has.
fn confined(users: &str, settings: &str) -> anyhow::Result<String> {
    const PROFILES: &str = "<profiles>";
    const USER: &str = "<sealtrail_processor>";
    const PROFILE: &str = "<profile>default</profile>";
    let with_profile = users.replacen(PROFILES, &format!("{PROFILES}<confined>{settings}</confined>"), 1);
    let (head, user) = with_profile.split_once(USER).context("no user of the processor")?;
    ensure!(user.contains(PROFILE), "the processor's user has another profile than expected");
    Ok(format!("{head}{USER}{}", user.replacen(PROFILE, "<profile>confined</profile>", 1)))
}

async fn table_gone(scene: &mut Scene) -> anyhow::Result<()> {
    let marks = scene.mark();
    scene.leave_stopped();
    scene.stack.execute("RENAME TABLE duplicates TO duplicates_away").await?;
    let stopped = all_stopped(scene, &marks, &["table duplicates is missing", "UNKNOWN_TABLE"]).await;
    let before = rows_stored(scene).await;
    scene.stack.execute("RENAME TABLE duplicates_away TO duplicates").await?;
    stopped?;
    scene.healed();
    scene.start_stopped().await?;
    scene.stored(500).await?;
    scene.log.note(&format!("{} rows while it was gone", before?));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_processor_is_confined() {
        let user = |name: &str| format!("<{name}><profile>default</profile></{name}>");
        let users = ["sealtrail", "sealtrail_processor", "sealtrail_query_api"].map(user).join("\n");
        let file = format!("<profiles><default/></profiles><users>{users}</users>");
        let confined = confined(&file, "<readonly>2</readonly>").expect("a user");
        assert!(
            confined.contains("<profiles><confined><readonly>2</readonly></confined><default/>"),
            "{confined}"
        );
        assert!(confined.contains("<sealtrail_processor><profile>confined</profile>"), "{confined}");
        assert_eq!(confined.matches("<profile>default</profile>").count(), 2, "{confined}");
        assert!(super::confined("<users/>", "").is_err());
    }
}
