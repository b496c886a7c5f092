-- What analysts should use: an event with its delay, and the accounting of each partition with its faults in plain sight.
CREATE VIEW audit_events AS
SELECT
    * EXCEPT (raw_record, codec_version, schema_id),
    dateDiff('millisecond', occurred_at, received_at) AS received_after_ms
FROM events;
