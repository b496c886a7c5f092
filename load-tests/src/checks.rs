//! What must hold for the whole trail, in SQL that uses the tables alone and none of their views.
//!
//! Each query answers one row: how many things it looked at, how many are wrong, and the first of these by name.

/// A check and its query.
pub struct SqlCheck {
    pub name: &'static str,
    pub sql: &'static str,
}

/// Names by which those who sum up know what is lost, and what is doubled.
pub const POSITION_IS_ONCE: &str = "each position is in one of the three tables, once";
pub const BATCHES_REACH: &str = "by partition, batches reach the last acknowledgement";

pub const TRAIL: &[SqlCheck] = &[
    SqlCheck { name: POSITION_IS_ONCE, sql: POSITIONS },
    SqlCheck { name: "batches tile: each begins where the one before ends", sql: TILES },
    SqlCheck { name: "each trail's batches begin at its genesis", sql: GENESIS },
    SqlCheck { name: "batches add up: to - from = rows + duplicates + dead + gaps", sql: ADDS_UP },
    SqlCheck { name: "by partition, batches and tables have the same sums", sql: SUMS },
    SqlCheck { name: "each batch holds what it says, and no row is outside", sql: CONTENTS },
];

/// Takes `{run:String}`, `{partitions:Array(Int32)}` and `{offsets:Array(Int64)}`.
pub const REACH: SqlCheck = SqlCheck { name: BATCHES_REACH, sql: ACKNOWLEDGED };

const POSITIONS: &str = "
SELECT
    sum(e + d + l) AS checked,
    countIf(e + d + l > 1) AS broken,
    arrayMap(x -> format('trail {}, partition {}, offset {}: {} in events, {} in duplicates, {} in dead_letters',
                         toString(x.1), toString(x.2), toString(x.3), toString(x.4), toString(x.5), toString(x.6)),
             groupArrayIf(5)((trail_id, kafka_partition, kafka_offset, e, d, l), e + d + l > 1)) AS offenders
FROM
(
    SELECT trail_id, kafka_partition, kafka_offset, sum(in_events) AS e, sum(in_duplicates) AS d, sum(in_dead) AS l
    FROM
    (
        SELECT trail_id, kafka_partition, kafka_offset, 1 AS in_events, 0 AS in_duplicates, 0 AS in_dead FROM events
        UNION ALL
        SELECT trail_id, kafka_partition, kafka_offset, 0, 1, 0 FROM duplicates
        UNION ALL
        SELECT trail_id, kafka_partition, kafka_offset, 0, 0, 1 FROM dead_letters
    )
    GROUP BY trail_id, kafka_partition, kafka_offset
)
SETTINGS max_bytes_before_external_group_by = 1000000000";

const TILES: &str = "
SELECT
    sum(length(spans)) AS checked,
    sum(length(bad)) AS broken,
    arraySlice(arrayFlatten(groupArray(
        arrayMap(x -> format('trail {}, {}, partition {}: the batch {}-{} follows one that ends at {}',
                             toString(trail_id), topic, toString(kafka_partition),
                             toString(x.1), toString(x.2), toString(x.3)),
                 arraySlice(bad, 1, 5)))), 1, 5) AS offenders
FROM
(
    SELECT
        trail_id,
        topic,
        kafka_partition,
        arraySort(groupArray((from_offset, to_offset))) AS spans,
        arrayMap(x -> x.2, spans) AS ends,
        -- the first has none before it, so it is held against itself
        arrayPushFront(arrayPopBack(ends), spans[1].1) AS ends_before,
        arrayFilter(x -> x.1 != x.3 OR x.2 <= x.1, arrayMap((s, e) -> (s.1, s.2, e), spans, ends_before)) AS bad
    FROM event_batches
    GROUP BY trail_id, topic, kafka_partition
)";

const GENESIS: &str = "
SELECT
    count() AS checked,
    countIf(b.begins != g.genesis OR NOT g.known) AS broken,
    arrayMap(x -> format('trail {}, {}, partition {}: the batches begin at {}, the trail {}',
                         toString(x.1), x.2, toString(x.3), toString(x.4),
                         if(x.6, concat('at ', toString(x.5)), 'is not in trails')),
             groupArrayIf(5)((b.trail_id, b.topic, b.kafka_partition, b.begins, g.genesis, g.known),
                             b.begins != g.genesis OR NOT g.known)) AS offenders
FROM
(
    SELECT trail_id, topic, kafka_partition, min(from_offset) AS begins
    FROM event_batches
    GROUP BY trail_id, topic, kafka_partition
) AS b
LEFT JOIN
(
    SELECT trail_id, topic, toInt32(number - 1) AS kafka_partition, first AS genesis, true AS known
    FROM trails
    ARRAY JOIN genesis AS first, arrayEnumerate(genesis) AS number
) AS g
ON b.trail_id = g.trail_id AND b.topic = g.topic AND b.kafka_partition = g.kafka_partition";

const ADDS_UP: &str = "
SELECT
    count() AS checked,
    countIf(wrong) AS broken,
    arrayMap(x -> format('trail {}, {}, partition {}, batch {}-{}: {} rows, {} duplicates, {} dead letters, {} gaps',
                         toString(x.1), x.2, toString(x.3), toString(x.4), toString(x.5), toString(x.6),
                         toString(x.7), toString(x.8), toString(x.9)),
             groupArrayIf(5)((trail_id, topic, kafka_partition, from_offset, to_offset,
                              rows, duplicates, dead_letters, gaps), wrong)) AS offenders
FROM
(
    SELECT *, to_offset - from_offset != toInt64(rows + duplicates + dead_letters + gaps) AS wrong
    FROM event_batches
)";

const SUMS: &str = "
SELECT
    count() AS checked,
    countIf(wrong) AS broken,
    arrayMap(x -> format('trail {}, partition {}: events {} by batches {}, duplicates {} by batches {}, dead_letters {} by batches {}',
                         toString(x.1), toString(x.2), toString(x.3), toString(x.4),
                         toString(x.5), toString(x.6), toString(x.7), toString(x.8)),
             groupArrayIf(5)((trail_id, kafka_partition, e, said_e, d, said_d, l, said_l), wrong)) AS offenders
FROM
(
    SELECT
        trail_id,
        kafka_partition,
        sumIf(stored, kind = 'e') AS e, sumIf(said, kind = 'e') AS said_e,
        sumIf(stored, kind = 'd') AS d, sumIf(said, kind = 'd') AS said_d,
        sumIf(stored, kind = 'l') AS l, sumIf(said, kind = 'l') AS said_l,
        (e, d, l) != (said_e, said_d, said_l) AS wrong
    FROM
    (
        SELECT trail_id, kafka_partition, 'e' AS kind, count() AS stored, toUInt64(0) AS said
        FROM events GROUP BY trail_id, kafka_partition
        UNION ALL
        SELECT trail_id, kafka_partition, 'd', count(), 0 FROM duplicates GROUP BY trail_id, kafka_partition
        UNION ALL
        SELECT trail_id, kafka_partition, 'l', count(), 0 FROM dead_letters GROUP BY trail_id, kafka_partition
        UNION ALL
        SELECT trail_id, kafka_partition, kind, 0, amount
        FROM event_batches
        ARRAY JOIN ['e', 'd', 'l'] AS kind, [rows, duplicates, dead_letters] AS amount
    )
    GROUP BY trail_id, kafka_partition
)";

/// Every row goes to the last batch that begins at or before it. A marker row per batch keeps empty ones in sight.
const CONTENTS: &str = "
SELECT
    count() AS checked,
    countIf(wrong) AS broken,
    arrayMap(x -> format('trail {}, partition {}, batch {}-{}: {} events for {}, {} duplicates for {}, {} dead_letters for {}, last offset {}',
                         toString(x.1), toString(x.2), toString(x.3), toString(x.4), toString(x.5), toString(x.6),
                         toString(x.7), toString(x.8), toString(x.9), toString(x.10), toString(x.11)),
             groupArrayIf(5)((trail_id, kafka_partition, from_offset, to_offset, e, said_e, d, said_d, l, said_l, last),
                             wrong)) AS offenders
FROM
(
    SELECT
        r.trail_id AS trail_id,
        r.kafka_partition AS kafka_partition,
        b.from_offset AS from_offset,
        b.to_offset AS to_offset,
        sum(r.in_events) AS e, any(b.rows) AS said_e,
        sum(r.in_duplicates) AS d, any(b.duplicates) AS said_d,
        sum(r.in_dead) AS l, any(b.dead_letters) AS said_l,
        max(r.kafka_offset) AS last,
        (e, d, l) != (said_e, said_d, said_l) OR last >= to_offset AS wrong
    FROM
    (
        SELECT trail_id, kafka_partition, kafka_offset, 1 AS in_events, 0 AS in_duplicates, 0 AS in_dead FROM events
        UNION ALL
        SELECT trail_id, kafka_partition, kafka_offset, 0, 1, 0 FROM duplicates
        UNION ALL
        SELECT trail_id, kafka_partition, kafka_offset, 0, 0, 1 FROM dead_letters
        UNION ALL
        SELECT trail_id, kafka_partition, from_offset, 0, 0, 0 FROM event_batches
    ) AS r
    ASOF LEFT JOIN event_batches AS b
    ON r.trail_id = b.trail_id AND r.kafka_partition = b.kafka_partition AND r.kafka_offset >= b.from_offset
    GROUP BY trail_id, kafka_partition, from_offset, to_offset
)";

const ACKNOWLEDGED: &str = "
SELECT
    count() AS checked,
    countIf(t.next <= a.last) AS broken,
    arrayMap(x -> format('partition {}: offset {} was acknowledged, the batches end at {}',
                         toString(x.1), toString(x.2), toString(x.3)),
             groupArrayIf(5)((a.kafka_partition, a.last, t.next), t.next <= a.last)) AS offenders
FROM
(
    SELECT kafka_partition, last
    FROM system.one
    ARRAY JOIN {partitions:Array(Int32)} AS kafka_partition, {offsets:Array(Int64)} AS last
) AS a
LEFT JOIN
(
    SELECT kafka_partition, max(to_offset) AS next
    FROM event_batches
    WHERE trail_id IN (SELECT DISTINCT trail_id FROM events WHERE attributes['run'] = {run:String})
    GROUP BY kafka_partition
) AS t
ON a.kafka_partition = t.kafka_partition";
