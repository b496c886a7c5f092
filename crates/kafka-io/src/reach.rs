//! Asking a broker, with a clear word when it does not let us in: a refusal is told as soon as it is known, not as a
//! timeout.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};

use crate::KafkaError;
use crate::config::KafkaConfig;

/// The first and the longest wait for one answer; a refusal is noticed after each.
const FIRST_TRY: Duration = Duration::from_millis(500);
const LONGEST_TRY: Duration = Duration::from_secs(4);
/// Events that are looked at after a try: more than a client makes in one.
const MAX_EVENTS: usize = 100;

/// A consumer that is only asked, never read.
pub(crate) type Asker = BaseConsumer<Doorman>;

/// Remembers what kept us out.
#[derive(Clone, Default)]
pub(crate) struct Doorman {
    trouble: Arc<Mutex<Option<Trouble>>>,
}

#[derive(Debug, Clone)]
struct Trouble {
    /// A certificate or a password was refused: no retry mends that.
    is_refusal: bool,
    reason: String,
    /// The settings to look at.
    check: Option<&'static str>,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        self.check.map_or(Ok(()), |settings| write!(f, "; check {settings}"))
    }
}

impl ClientContext for Doorman {
    fn error(&self, error: ClientError, reason: &str) {
        let check = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication) => {
                Some("kafka.security.mechanism, kafka.security.username and its password")
            }
            Some(RDKafkaErrorCode::SSL) => Some("kafka.security.protocol and kafka.security.ca_file"),
            // the broker's last word about the client's certificate
            _ if reason.contains("SSL alert") => Some("kafka.security.certificate_file and its key_file"),
            _ => None,
        };
        tracing::debug!(%error, reason, "kafka client");
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            // says that something went wrong, not what
            return;
        }
        self.remember(Trouble { is_refusal: check.is_some(), reason: reason.to_owned(), check });
    }

    /// That a broker hung up on a client without TLS or password is logged, and not an error.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            tracing::debug!(message, "kafka client");
            let reason = message.split_once("]: ").map_or(message, |(_thread, reason)| reason);
            let check = reason.contains("Disconnected").then_some("kafka.security.protocol");
            self.remember(Trouble { is_refusal: false, reason: reason.to_owned(), check });
        } else if level as i32 <= RDKafkaLogLevel::Warning as i32 {
            tracing::warn!(facility, message, "kafka client");
        }
    }
}

impl ConsumerContext for Doorman {}

impl Doorman {
    /// A refusal is not forgotten over what follows from it.
    fn remember(&self, new: Trouble) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if new.is_refusal || trouble.as_ref().is_none_or(|trouble| !trouble.is_refusal) {
            *trouble = Some(new);
        }
    }

    fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(crate) fn asker(config: &KafkaConfig, client_id: &str) -> Result<Asker, KafkaError> {
    let mut client = config.client(client_id)?;
    client
        // here a connection that is closed is the answer
        .set("log.connection.close", "true")
        .set_log_level(RDKafkaLogLevel::Info)
        .create_with_context(Doorman::default())
        .map_err(|e| KafkaError::of_client("create a kafka client", &e))
}

/// Asks until there is an answer, the brokers refuse us, or [`KafkaConfig::REQUEST_TIMEOUT_MS`] is over. The consumer
/// has nothing assigned yet: what can be polled is thrown away.
pub(crate) fn ask<T>(
    consumer: &BaseConsumer<Doorman>,
    action: impl Fn() -> String,
    question: impl Fn(&BaseConsumer<Doorman>, Duration) -> Result<T, ClientError>,
) -> Result<T, KafkaError> {
    let limit = Duration::from_millis(KafkaConfig::REQUEST_TIMEOUT_MS);
    let began = Instant::now();
    let mut wait = FIRST_TRY;
    loop {
        let error = match question(consumer, wait) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        // librdkafka tells its troubles to who polls
        for _ in 0..MAX_EVENTS {
            let _a_trouble_or_nothing = consumer.poll(Duration::ZERO);
        }
        let trouble = consumer.context().trouble();
        if let Some(trouble) = trouble.as_ref().filter(|trouble| trouble.is_refusal) {
            return Err(KafkaError::new(action(), trouble));
        }
        if began.elapsed() >= limit {
            return Err(match trouble {
                Some(trouble) => KafkaError::new(action(), format!("{error}: {trouble}")),
                None => KafkaError::new(action(), error),
            });
        }
        wait = (wait * 2).min(LONGEST_TRY);
    }
}
