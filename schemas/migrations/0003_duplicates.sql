-- One row a record that repeats an earlier one: narrow, because the first holds the event.
CREATE TABLE duplicates
(
    trail_id         UUID CODEC(ZSTD(1)),
    kafka_partition  Int32 CODEC(ZSTD(1)),
    kafka_offset     Int64 CODEC(Delta, ZSTD(1)),
    received_at      DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    tenant_id        LowCardinality(String),
    event_id         UUID,
    record_sha256    FixedString(32) COMMENT 'SHA-256 of the record value',
    first_offset     Int64 COMMENT 'the record in the same partition that this one repeats' CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(received_at)
ORDER BY (kafka_partition, kafka_offset)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
