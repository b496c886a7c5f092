//! What all rounds share: two tenants with their keys, ready bodies and records, and those who count.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use audit_event::{SchemaId, TenantId};
use chrono::Utc;
use rand::Rng;
use serde::Deserialize;
use tokio::runtime::Runtime;

use super::alone::Alone;
use super::bodies::{Body, Ids};
use super::count::Needle;
use super::cpu::Processes;
use super::load::{self, Done, Kind};
use super::marks::Marks;
use super::records::{self, ReadyRecord};
use super::side::{BATCH_EVENTS, Measured, Side};
use crate::env::Settings;
use crate::event::{Event, Run};
use crate::http1::{Address, Connection, Route};
use crate::own_stack::sealtrail;
use crate::pid_file::PidFile;

/// Tenants of the bench's own, so that no other's level is in the way.
const KEPT: &str = "bench-kept";
const DROPPED: &str = "bench-dropped";
const ONE: &str = "/v1/events";
const BATCH: &str = "/v1/events/batch";
const BUFFERED_BATCH: &str = "/v1/events/batch?delivery=async";

/// How long the gateway may take to learn of a new key.
const KEY_PATIENCE: Duration = Duration::from_secs(20);
/// Buffered events may still be on their way when the last of them is answered.
const ARRIVAL_PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(100);

pub struct Scene {
    address: Address,
    kept_key: String,
    dropped_key: String,
    singles: Vec<Body>,
    batches: Vec<Body>,
    ids: Arc<Ids>,
    alone: Alone,
    marks: Marks,
    processes: Processes,
    runtime: Runtime,
    /// Whether the gateway knows buffered delivery.
    pub has_buffered: bool,
}

impl Scene {
    /// `scratch` keeps the two keys.
    pub async fn prepare(settings: &Settings<'_>, scratch: &Path, connections: u64) -> Result<Self> {
        let brokers = settings.plain_kafka()?;
        let address = Address::of(&settings.gateway_url()?).await?;
        let kept_key = key(settings, scratch, KEPT, "all").await?;
        let dropped_key = key(settings, scratch, DROPPED, "off").await?;
        wait_for_key(&address, &kept_key).await?;
        wait_for_key(&address, &dropped_key).await?;
        let run = Run::new(rand::rng().random(), Utc::now());
        let total = connections * BATCH_EVENTS;
        let events: Vec<Event> = (1..=total).map(|n| run.event(n)).collect();
        let tenant: TenantId = KEPT.parse().context("a tenant's name")?;
        let schema_id = schema_id(settings).await?;
        let ready = |event: &Event| ReadyRecord::of(event, &tenant, schema_id);
        let records = events.iter().map(ready).collect::<Result<Vec<_>>>()?;
        let batch = usize::try_from(BATCH_EVENTS)?;
        let batches = events.chunks(batch).map(Body::batch).collect::<Result<Vec<_>>>()?;
        check_records(&address, &kept_key, &batches[0], &records[..batch]).await?;
        let has_buffered = knows_buffered(&address, &kept_key, &run, total + 1).await?;
        let process =
            |name| -> Result<i32> { Ok(PidFile::of(&settings.run_dir()?, name).living()?.as_raw()) };
        Ok(Self {
            address,
            kept_key,
            dropped_key,
            singles: events
                .iter()
                .take(usize::try_from(connections)?)
                .map(Body::single)
                .collect::<Result<_>>()?,
            batches,
            ids: Arc::new(Ids::after(run, total + 1)),
            alone: Alone::new(&brokers, records)?,
            marks: Marks::new(&brokers)?,
            processes: Processes { gateway: process("gateway")?, kafka: process("kafka")? },
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            has_buffered,
        })
    }

    /// One side for so long. Blocks. An answer or a count that is not as it must be is an error.
    pub fn measure(&mut self, side: Side, time: Duration) -> Result<Measured> {
        let marks_before = self.quiet_marks()?;
        let cpu_before = self.processes.now()?;
        let mut done = self.run(side, time)?;
        let answered = Instant::now();
        let kept = if side.is_kept() { done.events } else { 0 };
        self.marks.reach(marks_before + kept, ARRIVAL_PATIENCE).context(side.name())?;
        if side == Side::Buffered {
            // it has not delivered what is not in the topic
            done.wall += answered.elapsed();
        }
        Ok(Measured { side, done, cpu: self.processes.now()?.since(cpu_before) })
    }

    fn run(&mut self, side: Side, time: Duration) -> Result<Done> {
        let (path, key, status, bodies, events) = match side {
            Side::Alone => return self.alone.run(time, &self.ids),
            Side::DurableOne => (ONE, &self.kept_key, "accepted", &self.singles, 1),
            Side::DroppedOne => (ONE, &self.dropped_key, "dropped_by_policy", &self.singles, 1),
            Side::DurableBatch => (BATCH, &self.kept_key, "accepted", &self.batches, BATCH_EVENTS),
            Side::Buffered => (BUFFERED_BATCH, &self.kept_key, "buffered", &self.batches, BATCH_EVENTS),
        };
        let route = Route::post(&self.address, path, key)?;
        let kind = Kind { address: self.address.clone(), route, needle: Needle::status(status), events };
        load::run(&self.runtime, &Arc::new(kind), bodies, &self.ids, time).context(side.name())
    }

    /// Nobody else may write, and nothing of the side before may be on its way.
    fn quiet_marks(&self) -> Result<u64> {
        let before = self.marks.sum()?;
        std::thread::sleep(PAUSE);
        let after = self.marks.sum()?;
        ensure!(before == after, "somebody else writes to this trail: {} records came in", after - before);
        Ok(after)
    }
}

/// Makes tenant and key; a key that is still good is kept.
async fn key(settings: &Settings<'_>, scratch: &Path, tenant: &str, level: &str) -> Result<String> {
    std::fs::create_dir_all(scratch).with_context(|| format!("make {}", scratch.display()))?;
    let file = scratch.join(format!("{tenant}.key"));
    let name = file.to_str().context("the directory's name is not text")?;
    let variables = settings.variables();
    sealtrail(&["tenants", "create", tenant, "--level", level], &variables).await?;
    sealtrail(&["keys", "create", "--tenant", tenant, "--role", "producer", "--file", name], &variables)
        .await?;
    let key = std::fs::read_to_string(&file).with_context(|| format!("read {name}"))?;
    Ok(key.trim().to_owned())
}

/// A key is good once the gateway refuses an empty body for what it is, and not for the key.
async fn wait_for_key(address: &Address, api_key: &str) -> Result<()> {
    let route = Route::post(address, BATCH, api_key)?;
    let began = Instant::now();
    loop {
        let mut connection = Connection::open(address).await?;
        let (status, _) = connection.send(route.request("[".into())).await?;
        match status.as_u16() {
            400 => return Ok(()),
            _ if began.elapsed() < KEY_PATIENCE => tokio::time::sleep(PAUSE).await,
            status => bail!("the gateway answers {status} to a new key after {} s", KEY_PATIENCE.as_secs()),
        }
    }
}

async fn schema_id(settings: &Settings<'_>) -> Result<SchemaId> {
    #[derive(Deserialize)]
    struct Latest {
        id: i32,
    }
    let url = settings.registry_url()?;
    let url = format!("{}/subjects/{}/versions/latest", url.trim_end_matches('/'), schemas::EVENTS_SUBJECT);
    let answer = settings.http()?.build()?.get(url).send().await.context("ask the registry")?;
    let Latest { id } = answer.error_for_status()?.json().await.context("the registry's answer")?;
    Ok(SchemaId(id.try_into().context("a negative schema id")?))
}

async fn check_records(address: &Address, api_key: &str, body: &Body, ready: &[ReadyRecord]) -> Result<()> {
    let mut connection = Connection::open(address).await?;
    let request = Route::post(address, BATCH, api_key)?.request(body.text());
    let (_, answer) = connection.send(request).await?;
    records::check_same(ready, &serde_json::from_slice(answer).context("the gateway's answer")?)
}

/// A gateway that does not know the parameter refuses it, or answers as always.
async fn knows_buffered(address: &Address, api_key: &str, run: &Run, n: u64) -> Result<bool> {
    let mut connection = Connection::open(address).await?;
    let body = Body::batch(&[run.event(n)])?;
    let request = Route::post(address, BUFFERED_BATCH, api_key)?.request(body.text());
    let (_, answer) = connection.send(request).await?;
    Ok(Needle::status("buffered").count(answer) == 1)
}
