-- The request that brought a record, beside its sealed bytes: a retry has another.
ALTER TABLE events
    ADD COLUMN IF NOT EXISTS traceparent String COMMENT 'W3C traceparent of the request, empty where there was none' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS correlation_id String COMMENT 'the X-Correlation-Id that the request was answered with' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS request_trace_id String ALIAS substring(traceparent, 4, 32) COMMENT 'the trace id in traceparent',
    ADD INDEX IF NOT EXISTS by_correlation_id correlation_id TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS by_request_trace_id substring(traceparent, 4, 32) TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS by_trace_id trace_id TYPE bloom_filter(0.01) GRANULARITY 1;
