-- What the processor finds out about a record, beside its sealed bytes; empty, 0 or NULL where nothing is known. The
-- names are those of the Elastic Common Schema (source.geo.*, source.as.*, user_agent.*), with `_` for `.`.
ALTER TABLE events
    ADD COLUMN IF NOT EXISTS geo_country_iso_code LowCardinality(String) COMMENT 'ISO 3166-1 alpha-2, of source_ip',
    ADD COLUMN IF NOT EXISTS geo_region_name LowCardinality(String) COMMENT 'the largest subdivision of the country, of source_ip',
    ADD COLUMN IF NOT EXISTS geo_city_name LowCardinality(String) COMMENT 'of source_ip',
    ADD COLUMN IF NOT EXISTS geo_latitude Nullable(Float32) COMMENT 'degrees, WGS 84, of source_ip' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS geo_longitude Nullable(Float32) COMMENT 'degrees, WGS 84, of source_ip' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS geo_as_number UInt32 COMMENT 'the autonomous system that announces source_ip, 0 where unknown' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS geo_as_organization_name LowCardinality(String) COMMENT 'who runs that autonomous system',
    ADD COLUMN IF NOT EXISTS user_agent_name LowCardinality(String) COMMENT 'the program in source_user_agent',
    ADD COLUMN IF NOT EXISTS user_agent_version LowCardinality(String) COMMENT 'of that program',
    ADD COLUMN IF NOT EXISTS user_agent_os_name LowCardinality(String) COMMENT 'the operating system in source_user_agent',
    ADD COLUMN IF NOT EXISTS user_agent_os_version LowCardinality(String) COMMENT 'of that operating system',
    ADD COLUMN IF NOT EXISTS user_agent_device_name LowCardinality(String) COMMENT 'the device in source_user_agent',
    COMMENT COLUMN flags 'unknown_event_type, clock_skew, late_arrival, enrichment_incomplete';
