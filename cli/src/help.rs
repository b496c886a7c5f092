//! The texts that stand below each command's options: examples that can be pasted, and what JSON output holds.

pub const ROOT: &str = "\
Examples:
  set -a; . .local/demo.env; set +a
  sealtrail doctor
  sealtrail send events.json
  sealtrail tenants list --output json
  sealtrail dlq list --since 24h
  sealtrail backup --to /backups/2026-11-22

Environment (flags of the same meaning win):
  SEALTRAIL_KAFKA             Kafka brokers, host:port, several with commas between
  SEALTRAIL_SINGLE_BROKER     true where one replica is enough, as on a laptop
  SEALTRAIL_KAFKA_CONFIG      file with Kafka's TLS and SASL settings
  SEALTRAIL_CLICKHOUSE_URL    ClickHouse over HTTP, database, user and password in the query string
  SEALTRAIL_REGISTRY_URL      schema registry
  SEALTRAIL_GATEWAY_URL       ingest gateway
  SEALTRAIL_QUERY_URL         query API
  SEALTRAIL_PROCESSOR_URL     processor's admin port
  SEALTRAIL_API_KEY           API key of a producer or an admin
  SEALTRAIL_CA_FILE           certificate authorities to trust for https
  SEALTRAIL_PEPPER_FILE       file with the secret under which API keys are hashed

Exit codes, the same for every command:
  0  all done; with doctor: nothing is broken
  1  done in part (some events were not taken), or something was found (doctor)
  2  failed, or called wrongly; nothing was done, or nobody knows how much

Results go to standard output, as tables or with --output json as one JSON object; progress and remarks go to
standard error. Fields of JSON results are added, never renamed.";

pub const MIGRATE: &str = "\
Examples:
  sealtrail migrate

JSON: {\"applied\": [name]}";

pub const INIT: &str = "\
Examples:
  sealtrail init --partitions 12
  sealtrail init --single-broker

JSON: {\"made_topics\": [name], \"trail_id\": uuid, \"partitions\": n, \"begun\": whether it was begun now}";

pub const TENANTS_CREATE: &str = "\
Examples:
  sealtrail tenants create payroll
  sealtrail tenants create payroll --level all

JSON: {\"tenant_id\", \"level\", \"created_at\"}";

pub const TENANTS_LIST: &str = "\
Examples:
  sealtrail tenants list
  sealtrail tenants list --output json

JSON: {\"tenants\": [{\"tenant_id\", \"level\", \"created_at\"}]}";

pub const POLICIES_LIST: &str = "\
Examples:
  sealtrail policies list
  sealtrail policies list --output json

JSON: {\"policies\": [a policy as `policies show` prints it]}";

pub const POLICIES_SHOW: &str = "\
Examples:
  sealtrail policies show payroll

JSON: {\"tenant_id\", \"level\", \"excluded_event_types\"?, \"excluded_actor_ids\"?, \"excluded_target_types\"?,
  \"samples\"?: [{\"event_type\", \"rate\": of a million}]}";

pub const POLICIES_SET: &str = "\
Examples:
  sealtrail policies set payroll --level all --exclude-types metrics.*,page.viewed
  sealtrail policies set payroll --sample document.read=10%
  sealtrail policies set payroll --level off
  sealtrail policies set payroll --clear types,samples
  sealtrail policies set payroll --signatures required

Every gateway follows within a second, without a restart. The level `off` is the kill switch: nothing of the tenant is
taken. Exclusions count whatever an event's outcome is; samples take every failure. What is left out is answered as
dropped_by_policy and counted. The direct door knows no policies. The change is recorded as an event trail.policy_changed.

JSON: as of `policies show`, with \"event_id\", the event that records the change";

pub const RECEIPT_KEYS_CREATE: &str = "\
Examples:
  sealtrail receipt-keys create --name example.com/receipts --file receipt.key

The gateway reads the file by its setting receipts.key_file. It holds a secret: who has it can sign receipts in your name.

JSON: {\"file\", \"verifier\"}";

pub const RECEIPT_KEYS_ROTATE: &str = "\
Examples:
  sealtrail receipt-keys rotate --file receipt.key --listed receipt-keys.txt

The gateway signs with the new key within receipts.reload_interval_ms, without a restart. The former key stays listed at
/.well-known/sealtrail-keys, for the receipts that it has signed.

JSON: {\"file\", \"verifier\"}, of the new key";

pub const RECEIPT_KEYS_SHOW: &str = "\
Examples:
  sealtrail receipt-keys show --file receipt.key

JSON: {\"file\", \"verifier\"}";

pub const LOG_KEYS_CREATE: &str = "\
Examples:
  sealtrail log-keys create --name example.com/audit --file log.key

The sealer reads the file by its setting key_file. It holds a secret: who has it can sign another history in your name. The
key of each log, <name>/<trail>/<partition>, and that of the heartbeat are derived from it.

JSON: {\"file\", \"name\"}";

pub const LOG_KEYS_POLICY: &str = "\
Examples:
  sealtrail log-keys policy --file log.key
  sealtrail log-keys policy --file log.key --receipt-keys receipt-keys.txt

The answer is a policy file (c2sp.org/tlog-policy) of public keys. Give it to auditors by a way that they trust: whoever can
change it decides what they believe.

JSON: {\"policy\"}";

pub const SIGNING_KEYS_CREATE: &str = "\
Examples:
  sealtrail signing-keys create --tenant payroll --algorithm hmac-sha256 --file payroll.signing
  sealtrail signing-keys create --tenant payroll --algorithm ed25519 --public-key 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=

A producer signs the Avro datum of its event without the field `signature`; `sealtrail sign` does it. Signatures are asked
for after `sealtrail policies set payroll --signatures required`. The change is recorded as an event trail.policy_changed.

JSON: {\"tenant_id\", \"key_id\", \"algorithm\", \"secret\", \"file\"}; secret is null where a file or the producer has it";

pub const SIGNING_KEYS_LIST: &str = "\
Examples:
  sealtrail signing-keys list --tenant payroll

JSON: {\"tenant_id\", \"required\", \"keys\": [{\"key_id\", \"algorithm\", \"public_key\"?, \"ends_at\"?}]}";

pub const SIGNING_KEYS_END: &str = "\
Examples:
  sealtrail signing-keys end s1gn1ngk3y00 --tenant payroll --in 24h
  sealtrail signing-keys end s1gn1ngk3y00 --tenant payroll

JSON: as of `signing-keys list`";

pub const SIGN: &str = "\
Examples:
  sealtrail sign --tenant payroll --key-id s1gn1ngk3y00 --algorithm hmac-sha256 --key-file payroll.signing event.json
  sealtrail sign --tenant payroll --key-id s1gn1ngk3y00 --algorithm ed25519 --key-file payroll.private <event.json

Prints the event with its signature as one line of JSON, ready for POST /v1/events. It gets an event_id if it has none.";

pub const KEYS_CREATE: &str = "\
Examples:
  sealtrail keys create --tenant payroll --role producer
  sealtrail keys create --tenant payroll --role admin --file payroll.key
  sealtrail keys create --tenant payroll --role auditor --scopes read,export --expires-in 90d
  sealtrail keys create --tenant operations --role operator --expires-in 30d --file operator.key

JSON: {\"key_id\", \"tenant_id\", \"role\", \"api_key\", \"file\"}; api_key is null where a file has it, key_id where the
file's key was good";

pub const KEYS_LIST: &str = "\
Examples:
  sealtrail keys list
  sealtrail keys list --tenant payroll --output json

JSON: {\"keys\": [{\"key_id\", \"tenant_id\", \"role\", \"created_at\", \"scopes\"?, \"expires_at\"?, \"revoked_at\"?,
\"last_used_at\"?}]}; last_used_at is told about once a minute";

pub const KEYS_ROTATE: &str = "\
Examples:
  sealtrail keys rotate k3y1d0fpayr0 --file payroll.key
  sealtrail keys rotate k3y1d0fpayr0 --overlap 7d --expires-in 90d

The new key has the tenant, role and scopes of the old one, which goes on for the overlap.

JSON: {\"old\", \"new\": a key as `keys list` prints it, \"api_key\", \"file\"}";

pub const KEYS_REVOKE: &str = "\
Examples:
  sealtrail keys revoke k3y1d0fpayr0

Every service follows within a second. A revoked key stays in the list and cannot come back.

JSON: a key as `keys list` prints it";

pub const IMPORT_CLOUDTRAIL: &str = "\
Examples:
  sealtrail import cloudtrail logs/*.json.gz

Records that are there already count as accepted or as there already; the trail keeps one. Exit code 1 says that some
records are not in the trail: each is named on standard error.

JSON: {\"files\", \"records\", \"accepted\", \"duplicate\", \"dropped_by_policy\", \"not_taken\": [sentence]}";

pub const SEND: &str = "\
Examples:
  sealtrail send events.json
  sealtrail send monday.ndjson tuesday.ndjson

Exit code 1 says that some events were not taken; each is named on standard error.

JSON: {\"events\", \"accepted\", \"duplicate\", \"dropped_by_policy\", \"not_taken\": [{\"event\", \"why\"}]}";

pub const DOCTOR: &str = "\
Examples:
  sealtrail doctor
  sealtrail doctor --single-broker
  sealtrail doctor --output json

Each check is ok, warn (works, look at it), broken (a part does not work, or a promise is not kept) or unknown (what it
hangs on could not be reached). Nothing is written. Exit code 1 says that something is broken. Disk space is not looked
at, nor is the broker's clock other than through the times of its records.

JSON: {\"state\": worst, \"checks\": [{\"name\", \"state\", \"seen\", \"do\"}]}";

pub const BACKUP: &str = "\
Examples:
  sealtrail backup --to /backups/2026-11-22
  sealtrail backup --to /backups/2026-11-23 --since /backups/2026-11-22

It holds the rows of all tables up to the last closed batch of each partition, the control records (hashes of API keys
among them), and the schemas. Files are readable by their owner only. It is written under DIR.partial and renamed when it
is whole. Services go on meanwhile.

JSON: {\"directory\", \"backup_id\", \"since\", \"files\", \"bytes\", \"tables\": [{\"table\", \"rows\"}]}";

pub const RESTORE: &str = "\
Examples:
  sealtrail restore --from /backups/2026-11-22
  sealtrail restore --from /backups/2026-11-22 --from /backups/2026-11-23
  sealtrail restore --from /backups/2026-11-22 --check-only

Stop every processor first. The database must be empty. When the rows are in and add up, the processor group's commits
are set to the end of the backup, so that a processor that is started then reads from Kafka what came after it. A
restore that was interrupted has set no commits: drop the database and run it again.

JSON: {\"backup_ids\": [uuid], \"restored\": false with --check-only, \"tables\": [{\"table\", \"rows\"}],
\"commits\": [{\"partition\", \"offset\"}]}";

pub const COMPLETIONS: &str = "\
Examples:
  sealtrail completions bash > /etc/bash_completion.d/sealtrail
  sealtrail completions zsh > ~/.zfunc/_sealtrail
  sealtrail completions fish > ~/.config/fish/completions/sealtrail.fish";

pub const MAN: &str = "\
Examples:
  sealtrail man --dir /usr/local/share/man/man1";
