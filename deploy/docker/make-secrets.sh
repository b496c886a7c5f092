#!/usr/bin/env bash
# Makes the secrets that docker-compose.yml names: `deploy/docker/make-secrets.sh DIR`. One that is there stays.
#
# Only the owner can enter the directory. The files in it can be read by everybody who gets at them, for each is mounted
# on its own into containers whose users differ. Letters and digits only: one of them also travels in a URL.
set -euo pipefail
dir=${1:?usage: make-secrets.sh DIR}
umask 077
mkdir -p "$dir"
chmod 0700 "$dir"
for name in pepper clickhouse_owner_password clickhouse_processor_password clickhouse_query_api_password \
    clickhouse_grafana_password grafana_admin_password; do
    if [ -s "$dir/$name" ]; then
        echo "$dir/$name is there and stays"
        continue
    fi
    # under another name until it is whole
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$dir/$name.new"
    chmod 0444 "$dir/$name.new"
    mv -f "$dir/$name.new" "$dir/$name"
    echo "$dir/$name made"
done
