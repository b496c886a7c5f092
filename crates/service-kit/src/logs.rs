//! Structured logs on standard error.

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Starts logging for the process. A filter that can't be read falls back to `info`, and says so.
pub fn init(config: &LogConfig) {
    let parsed = EnvFilter::try_new(&config.level);
    let unreadable = parsed.is_err();
    let filter = parsed.unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // a reader of the log that has gone away must not end the service
        .log_internal_errors(false);
    match config.format {
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).init(),
        LogFormat::Text => builder.with_ansi(false).init(),
    }
    if unreadable {
        tracing::warn!(level = config.level, "log.level cannot be read; logging at info");
    }
}
