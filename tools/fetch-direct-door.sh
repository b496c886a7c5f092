#!/usr/bin/env bash
# Fetches what the programs of docs/direct-door.md need, so that the tests that run them need no network: npm's packages
# and Python's wheels into target/direct-door, Maven's jars and Go's modules into the user's own caches. A tool that is
# not there is passed over with a word; the tests say what they lack.
set -euo pipefail
cd "$(dirname "$0")/.."
into=$PWD/target/direct-door
rm -rf "$into"
mkdir -p "$into/build"
cp docs/direct-door/* "$into/build"

has() {
    command -v "$1" >/dev/null || {
        echo "fetch-direct-door.sh: $1 is not there; the page's programs that need it cannot run" >&2
        return 1
    }
}

target/venv/bin/pip download --quiet --dest "$into/wheels" "$(grep '^confluent-kafka' integration-tests/requirements.txt)"
if has npm; then
    npm ci --silent --prefix "$into/build" --ignore-scripts --cache "$into/npm"
fi
if has mvn; then
    mvn --quiet --batch-mode -f "$into/build/pom.xml" dependency:copy-dependencies -DoutputDirectory=lib
fi
if has go; then
    # compiled into Go's build cache beforehand: with the standard library that takes a minute
    (cd "$into/build" && go build github.com/google/uuid github.com/twmb/avro github.com/twmb/franz-go/pkg/{kgo,sr})
fi
rm -rf "$into/build"
