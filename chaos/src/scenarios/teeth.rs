//! Whether the verdict has teeth: rows that are taken away and doubled by hand, which it must find. Not a fault of the
//! catalogue; `sealtrail-chaos --fault teeth` must end with "not as expected", 1 lost and more than 0 doubled.

use anyhow::Context;

use crate::scenario::{Expected, Scenario};
use crate::scene::Scene;

pub const SCENARIOS: &[Scenario] = &[Scenario::new(
    "teeth",
    "one row is deleted and another is doubled, by hand",
    Expected::Recovers,
    |scene| Box::pin(bite(scene)),
)
.on_demand()];

async fn bite(scene: &mut Scene) -> anyhow::Result<()> {
    scene.stored(500).await?;
    let last = "SELECT toString(event_id) FROM events WHERE mapContains(attributes, 'run') \
        ORDER BY received_at DESC LIMIT 2";
    let ids = scene.stack.execute(last).await?;
    let (gone, doubled) = ids.split_once('\n').context("two events")?;
    scene.say(&format!("{gone} is deleted, {doubled} is doubled"));
    let delete = format!("ALTER TABLE events DELETE WHERE event_id = '{gone}' SETTINGS mutations_sync = 1");
    scene.stack.execute(&delete).await?;
    let double = format!(
        "INSERT INTO events SELECT * FROM events WHERE event_id = '{doubled}' SETTINGS insert_deduplicate = 0"
    );
    scene.stack.execute(&double).await?;
    scene.healed();
    Ok(())
}
