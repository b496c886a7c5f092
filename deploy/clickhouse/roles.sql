-- The services' roles in ClickHouse. Written by `make docs` from `sealtrail analysts sql`.
CREATE ROLE IF NOT EXISTS `sealtrail_owner_role`;
GRANT ALL ON sealtrail.* TO `sealtrail_owner_role`;
GRANT SELECT ON system.* TO `sealtrail_owner_role`;
CREATE ROLE IF NOT EXISTS `sealtrail_processor_role`;
GRANT SELECT ON sealtrail.* TO `sealtrail_processor_role`;
GRANT INSERT ON sealtrail.* TO `sealtrail_processor_role`;
GRANT SELECT ON system.tables TO `sealtrail_processor_role`;
GRANT SELECT ON system.columns TO `sealtrail_processor_role`;
GRANT SELECT ON system.processes TO `sealtrail_processor_role`;
GRANT SELECT ON system.parts TO `sealtrail_processor_role`;
CREATE ROLE IF NOT EXISTS `sealtrail_query_api_role`;
GRANT SELECT ON sealtrail.* TO `sealtrail_query_api_role`;
GRANT SELECT ON system.tables TO `sealtrail_query_api_role`;
GRANT SELECT ON system.columns TO `sealtrail_query_api_role`;
