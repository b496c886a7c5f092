-- One row a closed batch. For each partition they tile (from_offset = the previous to_offset), and in each
-- to_offset - from_offset = rows + duplicates + dead_letters + gaps.
CREATE TABLE event_batches
(
    trail_id              UUID CODEC(ZSTD(1)),
    topic                 LowCardinality(String),
    kafka_partition       Int32,
    from_offset           Int64,
    to_offset             Int64,
    rows                  UInt64,
    duplicates            UInt64,
    dead_letters          UInt64,
    gaps                  UInt64 COMMENT 'offsets without a record, such as transaction markers',
    least_received_at     DateTime64(3, 'UTC'),
    greatest_received_at  DateTime64(3, 'UTC'),
    rules                 UInt32 COMMENT 'the version of the rules that gave the verdicts',
    attempt               UInt32 COMMENT 'how many tries the batch took, from 0'
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(least_received_at)
ORDER BY (trail_id, kafka_partition, from_offset)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
