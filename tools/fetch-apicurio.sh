#!/usr/bin/env bash
# Fetches Apicurio Registry from Maven Central, checks it, and links target/apicurio to it: a registry that is not ours,
# for the tests. It is the last line of releases that runs on Java 17; 3.x needs Java 21.
set -euo pipefail
cd "$(dirname "$0")/.."
version=2.6.13.Final
sha256=3cda1b34aa020fb4ac4dd6a66018d757e81e437f97e20a1f92d366b70091c6ba
place=${XDG_CACHE_HOME:-$HOME/.cache}/sealtrail/apicurio-$version-${sha256:0:12}

if [ ! -d "$place" ]; then
    command -v mvn >/dev/null || {
        echo "fetch-apicurio.sh: mvn is not there; the tests that need this registry cannot run" >&2
        exit 0
    }
    work=$place.fetching-$$
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$work/unpacked"
    mvn --quiet --batch-mode -Dmaven.repo.local="$work/repository" \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
        -Dartifact="io.apicurio:apicurio-registry-app:$version:tar.gz:all" -DoutputDirectory="$work"
    archive=$work/apicurio-registry-app-$version-all.tar.gz
    echo "$sha256  $archive" | sha256sum --check --quiet
    tar xzf "$archive" -C "$work/unpacked"
    # another clone may have been faster
    [ -d "$place" ] || mv -T "$work/unpacked" "$place"
fi
mkdir -p target
ln -sfnT "$place" target/apicurio
