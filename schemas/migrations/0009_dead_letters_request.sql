-- As in events: who asks after a request also wants to know that it ended in a dead letter.
ALTER TABLE dead_letters
    ADD COLUMN IF NOT EXISTS traceparent String COMMENT 'W3C traceparent of the request, empty where there was none' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS correlation_id String COMMENT 'the X-Correlation-Id that the request was answered with' CODEC(ZSTD(1));
