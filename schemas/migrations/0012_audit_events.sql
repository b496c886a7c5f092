-- The view again, since a view keeps the columns of its day: now with what the processor found out.
CREATE OR REPLACE VIEW audit_events AS
SELECT
    * EXCEPT (raw_record, codec_version, schema_id),
    request_trace_id,
    dateDiff('millisecond', occurred_at, received_at) AS received_after_ms
FROM events;
