#!/usr/bin/env bash
# Watches a running local stack: Prometheus with our alert rules, and the dashboards in the browser. Ctrl-C ends it.
#
#   SEALTRAIL_LOCAL_DIR        the stack's directory (.local)
#   SEALTRAIL_PROMETHEUS_PORT  where to listen on 127.0.0.1 (9090, and SEALTRAIL_PORT_SHIFT more)
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
dir=${SEALTRAIL_LOCAL_DIR:-.local}
port=${SEALTRAIL_PROMETHEUS_PORT:-$((9090 + ${SEALTRAIL_PORT_SHIFT:-0}))}
tools=$root/target/tools

fail() {
    echo "dashboards: $*" >&2
    exit 1
}

[[ -f $dir/run/targets.json ]] || fail "no stack has been started in $dir; run \`make up\` in another terminal"
[[ -x $tools/bin/prometheus ]] || fail "Prometheus is not there; \`make dashboards\` fetches it"
dir=$(cd "$dir" && pwd)
! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null ||
    fail "port $port is taken; set SEALTRAIL_PROMETHEUS_PORT to another"

cat >"$dir/run/prometheus.yml" <<CONFIG
global:
  scrape_interval: 5s
  evaluation_interval: 5s
rule_files: ["$root/deploy/prometheus/rules/*.yml"]
scrape_configs:
  - job_name: sealtrail
    file_sd_configs: [{files: ["$dir/run/targets.json"]}]
CONFIG

# shellcheck source=/dev/null
clickhouse=$(set -a && . "$dir/demo.env" && python3 -c \
    'import os, urllib.parse; print(urllib.parse.quote(os.environ["SEALTRAIL_CLICKHOUSE_URL"], safe=""))')
page="http://127.0.0.1:$port/user/viewer/"
echo "The dashboards (the link holds the password of your local ClickHouse, behind the #):"
for board in pipeline tenants clickhouse; do
    echo "  $board: $page#board=$board&clickhouse=$clickhouse"
done
echo "Prometheus itself: http://127.0.0.1:$port/classic/graph, alerts: http://127.0.0.1:$port/classic/alerts"
echo "Ctrl-C ends it; \`make reset\` wipes what it kept."
exec "$tools/bin/prometheus" --log.level=warn \
    --config.file="$dir/run/prometheus.yml" \
    --storage.tsdb.path="$dir/data/prometheus" --storage.tsdb.retention.time=2d \
    --web.listen-address="127.0.0.1:$port" \
    --web.local-assets="$tools/debian/usr/share/prometheus/web" \
    --web.user-assets="$root/deploy/grafana"
