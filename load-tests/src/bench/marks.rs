//! What the topic holds: the sum of its high watermarks, against which every count of a client is held.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use schemas::EVENTS_TOPIC;

const ASK_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub struct Marks {
    consumer: BaseConsumer,
    partitions: Vec<i32>,
}

impl Marks {
    pub fn new(brokers: &str) -> Result<Self> {
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", brokers).create().context("make a kafka client")?;
        let metadata = consumer.fetch_metadata(Some(EVENTS_TOPIC), ASK_TIMEOUT).context("ask kafka")?;
        let topic = metadata.topics().first().context("kafka does not know the topic")?;
        let partitions: Vec<i32> = topic.partitions().iter().map(|partition| partition.id()).collect();
        ensure!(!partitions.is_empty(), "{EVENTS_TOPIC} has no partition; run `sealtrail init`");
        Ok(Self { consumer, partitions })
    }

    /// By partition.
    pub fn all(&self) -> Result<Vec<(i32, i64)>> {
        let high = |partition: &i32| -> Result<(i32, i64)> {
            let marks = self.consumer.fetch_watermarks(EVENTS_TOPIC, *partition, ASK_TIMEOUT);
            let (_, high) = marks.with_context(|| format!("ask for the end of partition {partition}"))?;
            Ok((*partition, high))
        };
        self.partitions.iter().map(high).collect()
    }

    pub fn sum(&self) -> Result<u64> {
        let sum: i64 = self.all()?.iter().map(|(_, high)| high).sum();
        u64::try_from(sum).context("a negative offset")
    }

    /// Waits until so many records are there, and sees that there is none more.
    pub fn reach(&self, wanted: u64, patience: Duration) -> Result<()> {
        let began = Instant::now();
        loop {
            let sum = self.sum()?;
            ensure!(
                sum <= wanted,
                "the topic holds {} records too many: does somebody else write?",
                sum - wanted
            );
            if sum == wanted {
                return Ok(());
            }
            let missing = wanted - sum;
            ensure!(
                began.elapsed() < patience,
                "{missing} records that were answered for are not in the topic after {} s",
                patience.as_secs()
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }
}
