#!/usr/bin/env bash
# Gives ClickHouse the roles and users of the services. docker-compose.yml runs it in ClickHouse's own image at each
# start; it changes nothing where all is there, but for a password that is new.
set -euo pipefail

# empty but in tests
root=${ACCESS_ROOT:-}

# user NAME SECRET ROLE: only the hash of the password goes over the network
user() {
    local password hash
    password=$(cat "$2") || exit
    # the hash of nothing would let everybody in
    if [ -z "$password" ]; then
        echo "access.sh: $2 is empty; make it anew" >&2
        exit 1
    fi
    hash=$(printf '%s' "$password" | sha256sum)
    cat <<SQL
CREATE USER IF NOT EXISTS sealtrail_$1 IDENTIFIED WITH sha256_hash BY '${hash%% *}';
ALTER USER sealtrail_$1 IDENTIFIED WITH sha256_hash BY '${hash%% *}' DEFAULT ROLE ALL;
GRANT $3 TO sealtrail_$1;
SQL
}

statements() {
    cat "$root/access/roles.sql"
    user processor "$root/run/secrets/clickhouse_processor_password" sealtrail_processor_role
    user query_api "$root/run/secrets/clickhouse_query_api_password" sealtrail_query_api_role
    # the dashboards read as the query API does
    user grafana "$root/run/secrets/clickhouse_grafana_password" sealtrail_query_api_role
    # and its own dashboard looks at the server
    printf 'GRANT SELECT ON system.%s TO sealtrail_grafana;\n' parts disks processes errors
}

# to look at, and for the tests
if [ "${1:-}" = --print ]; then
    statements
    exit
fi
# clickhouse-client reads these two, so that the password stands on no command line
export CLICKHOUSE_USER=sealtrail
CLICKHOUSE_PASSWORD=$(cat "$root/run/secrets/clickhouse_owner_password")
export CLICKHOUSE_PASSWORD
# made whole before a word of it is run
all=$(statements)
clickhouse-client --host "${1:?usage: access.sh HOST, or --print}" <<<"$all"
