-- One row a trail: one topic's life, begun explicitly (see docs/adr/0002).
CREATE TABLE trails
(
    trail_id    UUID,
    topic       LowCardinality(String),
    partitions  UInt32,
    genesis     Array(Int64) COMMENT 'the first offset of the trail, by partition number',
    begun_at    DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (topic, begun_at);
