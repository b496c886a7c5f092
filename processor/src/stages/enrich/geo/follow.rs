//! Follows the configured files: each is looked at in intervals, loaded on a thread of its own where it changed, and
//! swapped in whole. What cannot be loaded leaves the last good one in place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::file::{Database, LoadError, Signature};
use super::{EnrichMetrics, GeoIp, Source};

/// How long a start waits for the first loading. It goes on behind; rows before its end are not enriched.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Answers after the first look at each file, or when that takes too long.
pub async fn start(geo: Arc<GeoIp>, interval: Duration, metrics: EnrichMetrics, stop: CancellationToken) {
    let (looked_in, looked) = oneshot::channel();
    tokio::spawn(async move {
        let mut follower = Follower { geo, metrics, seen: BTreeMap::new(), said: BTreeMap::new() };
        follower = follower.look().await;
        let _start_may_be_gone = looked_in.send(());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            follower = follower.look().await;
        }
    });
    if tokio::time::timeout(START_PATIENCE, looked).await.is_err() {
        tracing::error!("the geoip files take long to load; rows are not enriched with them until they are");
    }
}

struct Follower {
    geo: Arc<GeoIp>,
    metrics: EnrichMetrics,
    /// By setting: what is loaded.
    seen: BTreeMap<&'static str, Signature>,
    /// By setting: what was last said to be wrong, so that it is said once.
    said: BTreeMap<&'static str, String>,
}

impl Follower {
    /// Looks at each file, where nothing else waits for it.
    async fn look(mut self) -> Self {
        let (geo, metrics) = (self.geo.clone(), self.metrics.clone());
        let (seen, said) = (self.seen.clone(), self.said.clone());
        let looked = tokio::task::spawn_blocking(move || {
            for source in &self.geo.sources {
                look_at(source, &mut self.seen, &mut self.said, &self.metrics);
            }
            self
        });
        looked.await.unwrap_or_else(|error| {
            tracing::error!(%error, "loading the geoip files panicked; the loaded ones stay");
            for source in &geo.sources {
                metrics.geoip_loads.with_label_values(&[source.kind.label(), "failed"]).inc();
            }
            Self { geo, metrics, seen, said }
        })
    }
}

fn look_at(
    source: &Source,
    seen: &mut BTreeMap<&'static str, Signature>,
    said: &mut BTreeMap<&'static str, String>,
    metrics: &EnrichMetrics,
) {
    let setting = source.kind.setting();
    let result = match load_if_changed(source, seen.get(setting)) {
        Ok(None) => return,
        Ok(Some((database, signature))) => {
            let built_s = i64::try_from(database.built_s()).unwrap_or_default();
            tracing::info!(setting, path = %source.path.display(), kind = database.kind_of_file(), built_s, "geoip file loaded");
            metrics.geoip_built.with_label_values(&[source.kind.label()]).set(built_s);
            source.database.store(Some(Arc::new(database)));
            seen.insert(setting, signature);
            said.remove(setting);
            "loaded"
        }
        Err(error) => {
            let kept = source.database.load().is_some();
            let error = error.to_string();
            if said.get(setting) != Some(&error) {
                tracing::error!(
                    setting,
                    error,
                    kept,
                    "geoip file not loaded; the last good one stays, where there is one"
                );
                said.insert(setting, error);
            }
            "failed"
        }
    };
    metrics.geoip_loads.with_label_values(&[source.kind.label(), result]).inc();
}

fn load_if_changed(
    source: &Source,
    seen: Option<&Signature>,
) -> Result<Option<(Database, Signature)>, LoadError> {
    if seen == Some(&Signature::of(&source.path)?) {
        return Ok(None);
    }
    Database::load(&source.path, source.kind, source.max_bytes).map(Some)
}
