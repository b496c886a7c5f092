//! The texts below the options of `dlq`.

pub const LIST: &str = "\
Examples:
  sealtrail dlq list
  sealtrail dlq list --reason unknown_schema --since 24h --state open
  sealtrail dlq list --partition 2 --from-offset 1000 --to-offset 2000 --oldest-first --limit 1000
  sealtrail dlq list --summary

A letter is resolved when an event with the tenant and id of its key is stored. A copy is a letter that was replayed and
became a dead letter again; the one that it is a replay of stands for both. The tenant is what the record's key claims.

JSON: {\"trail_id\", \"letters\": [{\"position\", \"received_at\", \"reason\", \"stage\", \"detail\", \"state\", \"tenant_id\",
\"record_key\", \"value_bytes\", \"schema_id\", \"correlation_id\", \"replay_of\"}], \"more\"}; with --summary {\"trail_id\",
\"letters\": n, \"groups\": [{\"reason\", \"tenant_id\", \"letters\", \"resolved\", \"replays\", \"first_received_at\",
\"last_received_at\"}]}";

pub const SHOW: &str = "\
Examples:
  sealtrail dlq show 2:1041
  sealtrail dlq show 2:1041 --bytes 65536
  sealtrail dlq show 2:1041 --output json

The record is read by the schema that the registry has now. Control characters are shown as escapes.

JSON: {\"trail_id\", \"position\", \"received_at\", \"reason\", \"stage\", \"detail\", \"tenant_id\", \"schema_id\", \"schema\",
\"correlation_id\", \"traceparent\", \"record_key\", \"headers\": [{\"name\", \"value\"}], \"value_bytes\", \"value_sha256\",
\"value_hex\", \"now\": {\"becomes\", \"detail\", \"replay\", \"other\": position}, \"event\", \"died_again_at\": [position]}";

pub const REPLAY: &str = "\
Examples:
  sealtrail dlq replay --reason unknown_schema
  sealtrail dlq replay --reason unknown_schema --execute
  sealtrail dlq replay --position 2:1041 --position 0:7 --actor ada@example.org --execute

Without --execute nothing is changed: it says how many letters would be written, and what each would become. With it each
letter is written to the events topic as it was: same key, same value, same headers, and two more that say where it is
from. Before that the replay itself is recorded as an event trail.dead_letters_replayed of each tenant. It may be
interrupted and run again, and two may run at once: an event is stored once.

Never written: a letter whose event is stored; one that conflicts with another event; one whose key is not its tenant's.
--force adds those that this build cannot read, if their key is tenant_id|event_id, and those that were replayed and died
again. Exit code 1 says that not all was written.

JSON: {\"executed\", \"replay_id\", \"letters\", \"to_replay\", \"replayed\", \"overtaken\", \"unconfirmed\": [position], \"too_large\":
[position], \"stopped\": why, \"more\", \"groups\": [{\"reason\", \"becomes\", \"replay\", \"letters\", \"example\", \"detail\"}],
\"recorded\": [{\"tenant_id\", \"event_id\"}], \"command\"}; becomes is event, stored, conflict, repeat, copy, dead_letter or
died_before";
