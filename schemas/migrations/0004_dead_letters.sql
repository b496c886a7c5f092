-- One row a record that is no event: as it was, with the reason and where it was.
CREATE TABLE dead_letters
(
    trail_id         UUID CODEC(ZSTD(1)),
    kafka_partition  Int32 CODEC(ZSTD(1)),
    kafka_offset     Int64 CODEC(Delta, ZSTD(1)),
    received_at      DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    reason           LowCardinality(String),
    stage            LowCardinality(String),
    detail           String CODEC(ZSTD(1)),
    tenant_id        LowCardinality(String) COMMENT 'from the record key, which anybody may have written, empty where there is none',
    schema_id        Nullable(UInt32) CODEC(ZSTD(1)),
    record_key       Nullable(String) CODEC(ZSTD(1)),
    record_value     Nullable(String) CODEC(ZSTD(1)),
    header_names     Array(String) CODEC(ZSTD(1)),
    header_values    Array(String) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(received_at)
ORDER BY (kafka_partition, kafka_offset)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
