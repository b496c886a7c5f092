-- Per partition: does the trail tile and add up? `breaks` and `sums_off` are 0 in a sound trail.
CREATE VIEW batch_accounting AS
SELECT
    t.trail_id AS trail_id,
    t.topic AS topic,
    t.kafka_partition AS kafka_partition,
    min(t.from_offset) AS first_offset,
    max(t.to_offset) AS next_offset,
    count() AS batches,
    sum(t.rows) AS total_rows,
    sum(t.duplicates) AS total_duplicates,
    sum(t.dead_letters) AS total_dead_letters,
    sum(t.gaps) AS total_gaps,
    countIf(t.previous_to != t.from_offset AND NOT t.is_first) AS breaks,
    countIf(t.to_offset - t.from_offset != t.rows + t.duplicates + t.dead_letters + t.gaps) AS sums_off
FROM
(
    SELECT
        *,
        lagInFrame(to_offset, 1, -1) OVER w AS previous_to,
        row_number() OVER w = 1 AS is_first
    FROM event_batches
    WINDOW w AS (PARTITION BY trail_id, topic, kafka_partition ORDER BY from_offset, to_offset
                 ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
) AS t
GROUP BY trail_id, topic, kafka_partition;
