//! The log behind the registry: the compacted topic `_schemas`, one partition, one writer.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::util::Timeout;
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use super::record::{self, Change};

const TOPIC: &str = "_schemas";
/// How long Kafka may take to answer at start, and to give the next record while the topic is read.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// A broker without the admin API doesn't refuse these two, it leaves them unanswered.
const CREATE_PATIENCE: Duration = Duration::from_secs(10);
const DESCRIBE_PATIENCE: Duration = Duration::from_secs(3);
const WRITE_PATIENCE: Duration = Duration::from_secs(15);
/// Waits are this short so that a shutdown is noticed.
const TICK: Duration = Duration::from_millis(500);
/// A schema at the body limit, wrapped into its record, is above Kafka's default of 1 MiB.
const MAX_RECORD_BYTES: &str = "2097152";

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot set up the kafka client: {0}")]
    Client(#[source] KafkaError),
    #[error("kafka at {address} doesn't answer: {source}; see that it runs and that this is its address")]
    Unreachable { address: String, source: KafkaError },
    #[error("topic {TOPIC} cannot be created: {0}; create it with 1 partition and cleanup.policy=compact")]
    NotCreated(String),
    #[error("topic {TOPIC} has cleanup.policy={0}, which deletes schemas in time; set it to compact")]
    NotCompacted(String),
    #[error("topic {TOPIC} cannot be read: {0}")]
    NotRead(#[source] KafkaError),
    #[error("topic {TOPIC} gave nothing for {} s while it was read; see that kafka is healthy", START_PATIENCE.as_secs())]
    Stalled,
    #[error("stopped before topic {TOPIC} was read")]
    Stopped,
    #[error("the change cannot be encoded: {0}")]
    NotEncoded(#[from] serde_json::Error),
    #[error("kafka didn't accept the change: {0}; repeat it once kafka is well")]
    NotWritten(#[source] KafkaError),
    #[error("kafka didn't acknowledge the change in time; repeat it once kafka answers")]
    NotWrittenInTime,
}

/// The end of the topic is an event here, not the error the default context logs it as.
struct ReaderContext;

impl ClientContext for ReaderContext {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::warn!(%error, reason, "the reader of the schema topic has trouble");
        }
    }
}

impl ConsumerContext for ReaderContext {}

type Reader = BaseConsumer<ReaderContext>;

/// The writing end.
pub struct Log {
    producer: FutureProducer,
}

impl Log {
    /// Creates the topic if it is missing, and reads every change in it.
    pub async fn open(
        kafka: &str,
        properties: &[(String, String)],
        shutdown: &CancellationToken,
    ) -> Result<(Self, Vec<Change>), StoreError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", kafka);
        for (name, value) in properties {
            config.set(name, value);
        }
        let reader: Reader = config
            .clone()
            .set("group.id", "schema-registry")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            // Merely looking must not create the topic with the broker's defaults.
            .set("allow.auto.create.topics", "false")
            .create_with_context(ReaderContext)
            .map_err(StoreError::Client)?;
        // One record at a time, each awaited, so retries cannot reorder; a repeated record changes nothing.
        let producer: FutureProducer = config
            .clone()
            .set("acks", "all")
            .set("max.in.flight.requests.per.connection", "1")
            .set("message.timeout.ms", WRITE_PATIENCE.as_millis().to_string())
            .set("message.max.bytes", MAX_RECORD_BYTES)
            .create()
            .map_err(StoreError::Client)?;
        let admin: AdminClient<DefaultClientContext> = config.create().map_err(StoreError::Client)?;

        let (address, stop) = (kafka.to_owned(), shutdown.clone());
        let (reader, partitions) = blocking(move || {
            let partitions = partitions(&reader, &address, &stop)?;
            Ok((reader, partitions))
        })
        .await?;
        if partitions == 0 {
            create(&admin, &producer).await?;
        }
        match cleanup_policy(&admin).await.as_deref() {
            Some("compact") => {}
            Some(other) => return Err(StoreError::NotCompacted(other.to_owned())),
            None => {
                tracing::warn!(topic = TOPIC, "the broker doesn't say whether the schema topic is compacted")
            }
        }
        if partitions > 1 {
            tracing::warn!(topic = TOPIC, partitions, "only partition 0 of the schema topic is used");
        }
        let stop = shutdown.clone();
        let changes = blocking(move || read(&reader, &stop)).await?;
        Ok((Self { producer }, changes))
    }

    /// Done only once Kafka has the record on all in-sync replicas.
    pub async fn append(&self, change: &Change) -> Result<(), StoreError> {
        let (key, value) = record::encode(change)?;
        let mut message = FutureRecord::<[u8], [u8]>::to(TOPIC).partition(0).key(&key);
        if let Some(value) = &value {
            message = message.payload(value);
        }
        match self.producer.send(message, Timeout::After(WRITE_PATIENCE)).await {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::MessageTimedOut | RDKafkaErrorCode::RequestTimedOut) => {
                    StoreError::NotWrittenInTime
                }
                _ => StoreError::NotWritten(error),
            }),
        }
    }
}

/// librdkafka's reads and look-ups block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Err(StoreError::Stopped))
}

fn partitions(reader: &Reader, address: &str, stop: &CancellationToken) -> Result<usize, StoreError> {
    let started = Instant::now();
    loop {
        match reader.fetch_metadata(Some(TOPIC), TICK) {
            Ok(found) => return Ok(found.topics().first().map_or(0, |topic| topic.partitions().len())),
            Err(_) if stop.is_cancelled() => return Err(StoreError::Stopped),
            Err(_) if started.elapsed() < START_PATIENCE => {}
            Err(source) => {
                return Err(StoreError::Unreachable { address: address.to_owned(), source });
            }
        }
    }
}

async fn create(
    admin: &AdminClient<DefaultClientContext>,
    producer: &FutureProducer,
) -> Result<(), StoreError> {
    use RDKafkaErrorCode::{OperationTimedOut, TopicAlreadyExists, UnsupportedFeature};
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(replicas(producer).await))
        .set("cleanup.policy", "compact")
        .set("max.message.bytes", MAX_RECORD_BYTES);
    let options =
        AdminOptions::new().request_timeout(Some(CREATE_PATIENCE)).operation_timeout(Some(CREATE_PATIENCE));
    match admin.create_topics([&topic], &options).await {
        Ok(results) => match results.into_iter().next() {
            Some(Err((_, code))) if code != TopicAlreadyExists => {
                Err(StoreError::NotCreated(code.to_string()))
            }
            _ => {
                tracing::info!(topic = TOPIC, "created the schema topic");
                Ok(())
            }
        },
        Err(KafkaError::AdminOp(OperationTimedOut | UnsupportedFeature)) => auto_create(producer).await,
        Err(error) => Err(StoreError::NotCreated(error.to_string())),
    }
}

/// On three brokers where there are so many, that the loss of one costs no schema.
async fn replicas(producer: &FutureProducer) -> i32 {
    let producer = producer.clone();
    let asked =
        tokio::task::spawn_blocking(move || producer.client().fetch_metadata(None, DESCRIBE_PATIENCE));
    let brokers = asked.await.ok().and_then(Result::ok).map_or(1, |metadata| metadata.brokers().len());
    if brokers >= 3 { 3 } else { 1 }
}

/// Such a broker (librdkafka's mock) may still create topics on use, and a producer's look-up is one.
async fn auto_create(producer: &FutureProducer) -> Result<(), StoreError> {
    let producer = producer.clone();
    blocking(move || {
        let found = producer.client().fetch_metadata(Some(TOPIC), START_PATIENCE);
        let found = found.map_err(|error| StoreError::NotCreated(error.to_string()))?;
        match found.topics().first().map_or(0, |topic| topic.partitions().len()) {
            0 => Err(StoreError::NotCreated("the broker has no admin api".to_owned())),
            partitions => {
                tracing::warn!(
                    topic = TOPIC,
                    partitions,
                    "the broker created the schema topic by its own defaults"
                );
                Ok(())
            }
        }
    })
    .await
}

async fn cleanup_policy(admin: &AdminClient<DefaultClientContext>) -> Option<String> {
    let options = AdminOptions::new().request_timeout(Some(DESCRIBE_PATIENCE));
    let described = admin.describe_configs([&ResourceSpecifier::Topic(TOPIC)], &options).await;
    let topic = described.ok()?.into_iter().next()?.ok()?;
    topic.get("cleanup.policy")?.value.clone()
}

fn read(reader: &Reader, stop: &CancellationToken) -> Result<Vec<Change>, StoreError> {
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(TOPIC, 0, Offset::Beginning)
        .and_then(|()| reader.assign(&assignment))
        .map_err(StoreError::NotRead)?;
    let mut changes = Vec::new();
    let mut progress = Instant::now();
    loop {
        match reader.poll(TICK) {
            Some(Ok(message)) => {
                progress = Instant::now();
                match record::decode(message.key().unwrap_or_default(), message.payload()) {
                    Ok(change) => changes.extend(change),
                    // One bad record must not hold back all the others.
                    Err(error) => {
                        tracing::warn!(topic = TOPIC, offset = message.offset(), %error, "passed over a record");
                    }
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(changes),
            _ if stop.is_cancelled() => return Err(StoreError::Stopped),
            Some(Err(error)) if progress.elapsed() > START_PATIENCE => {
                return Err(StoreError::NotRead(error));
            }
            None if progress.elapsed() > START_PATIENCE => return Err(StoreError::Stalled),
            // librdkafka retries by itself; a new topic has no leader for a moment.
            Some(Err(error)) => tracing::debug!(topic = TOPIC, %error, "reading again"),
            None => {}
        }
    }
}
