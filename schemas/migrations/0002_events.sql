-- One row an event. The row is the record: from the columns down to `signature_value`, the codec named in
-- `codec_version` rebuilds the exact bytes that were in Kafka; where it can't, they stand in `raw_record`.
CREATE TABLE events
(
    tenant_id                LowCardinality(String),
    event_id                 UUID,
    occurred_at              DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    event_type               LowCardinality(String),
    operation                LowCardinality(String),
    outcome                  LowCardinality(String),
    severity                 LowCardinality(String),
    actor_id                 String CODEC(ZSTD(1)),
    actor_type               LowCardinality(String),
    actor_name               Nullable(String) CODEC(ZSTD(1)),
    actor_session_id         Nullable(String) CODEC(ZSTD(1)),
    actor_on_behalf_of       Nullable(String) CODEC(ZSTD(1)),
    targets                  Nested(id String, type LowCardinality(String), name Nullable(String)),
    source_ip                Nullable(String) CODEC(ZSTD(1)),
    source_user_agent        Nullable(String) CODEC(ZSTD(1)),
    source_service           LowCardinality(Nullable(String)),
    source_host              Nullable(String) CODEC(ZSTD(1)),
    source_request_id        Nullable(String) CODEC(ZSTD(1)),
    trace_id                 Nullable(String) CODEC(ZSTD(1)),
    span_id                  Nullable(String) CODEC(ZSTD(1)),
    duration_ms              Nullable(Int64) CODEC(ZSTD(1)),
    batch_id                 Nullable(String) CODEC(ZSTD(1)),
    message                  Nullable(String) CODEC(ZSTD(1)),
    changes                  Nested(path String, before Nullable(String), after Nullable(String)),
    attributes               Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    signature_key_id         Nullable(String) CODEC(ZSTD(1)),
    signature_algorithm      LowCardinality(Nullable(String)),
    signature_value          Nullable(String) CODEC(ZSTD(1)),

    -- what the record carried beside its sealed bytes
    trail_id                 UUID CODEC(ZSTD(1)),
    kafka_partition          Int32 CODEC(ZSTD(1)),
    kafka_offset             Int64 CODEC(Delta, ZSTD(1)),
    received_at              DateTime64(3, 'UTC') COMMENT 'the record timestamp, given by the broker (LogAppendTime)' CODEC(Delta, ZSTD(1)),
    door                     LowCardinality(String) COMMENT 'http or direct',
    peer_address             LowCardinality(String) COMMENT 'the caller as the gateway saw it, empty at the direct door',
    schema_id                UInt32 CODEC(ZSTD(1)),
    codec_version            UInt8 CODEC(ZSTD(1)),
    raw_record               String COMMENT 'the record value where the columns cannot rebuild it, else empty' CODEC(ZSTD(1)),
    flags                    Array(LowCardinality(String)) COMMENT 'unknown_event_type, clock_skew, late_arrival',

    INDEX position           kafka_offset TYPE minmax GRANULARITY 1,
    INDEX by_event_id        event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX message_text       message TYPE text(tokenizer = splitByNonAlpha),
    INDEX target_text        targets.id TYPE text(tokenizer = splitByNonAlpha),
    INDEX attribute_text     mapValues(attributes) TYPE text(tokenizer = splitByNonAlpha)
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(received_at)
ORDER BY (tenant_id, occurred_at, event_id)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
