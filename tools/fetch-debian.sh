#!/usr/bin/env bash
# Unpacks tools that the tests run out of Debian's own packages into target/tools, and installs nothing:
#
#   tools/fetch-debian.sh prometheus kcat
#
# A package comes with the libraries that it depends on. Each program gets a wrapper in target/tools/bin that finds them.
set -euo pipefail

RELEASE=12
# the upstream version of each package; Debian's own revisions of it (security updates) are taken as they come
declare -A VERSIONS=([prometheus]=2.42.0 [kcat]=1.7.1)
declare -A PROGRAMS=([prometheus]="prometheus promtool" [kcat]="kcat")
# part of every Debian system; a second C library beside the system's own would not even start
BASE=" libc6 libgcc-s1 libcrypt1 "

fail() {
    echo "fetch-debian.sh: $*" >&2
    exit 1
}

# what packages depend on; of alternatives (marked with a bar, but for the last) the first
first_choices() {
    apt-cache depends --important "$@" |
        awk '/Depends:/ { if (!alternative) print $NF; alternative = ($1 ~ /^\|/) }'
}

# a package and all libraries below it, one a line
closure() {
    local level=("$1") seen=" $1 " dependency
    while ((${#level[@]} > 0)); do
        printf '%s\n' "${level[@]}"
        local next=()
        while read -r dependency; do
            [[ $seen$BASE == *" $dependency "* ]] && continue
            seen+="$dependency "
            next+=("$dependency")
        done < <(first_choices "${level[@]}" | grep -E '^(lib|fonts-)')
        level=("${next[@]}")
    done
}

check_version() {
    local found
    found=$(apt-cache show --no-all-versions "$1" 2>/dev/null | sed -n 's/^Version: //p')
    [[ -n $found ]] || return 1
    [[ ${found#*:} == "${VERSIONS[$1]}"* ]] ||
        fail "Debian's $1 is version $found here, the tests are made for ${VERSIONS[$1]}; use Debian $RELEASE"
}

unpack() {
    local package=$1 debs names
    mapfile -t names < <(closure "$package")
    debs=$(mktemp -d)
    # no sandbox user: it could not write into our directory
    (cd "$debs" && apt-get --quiet --quiet --option APT::Sandbox::User=root download "${names[@]}") ||
        fail "$package cannot be downloaded; is the network there? (apt-get update renews the list of packages)"
    local deb
    for deb in "$debs"/*.deb; do
        dpkg-deb --extract "$deb" "$tools/debian"
    done
    rm -r "$debs"
}

wrap() {
    local program=$1
    cat >"$tools/bin/$program" <<WRAPPER
#!/bin/sh
unpacked="\$(dirname "\$(readlink -f "\$0")")/../debian"
LD_LIBRARY_PATH="\$unpacked/usr/lib/$triplet:\$unpacked/lib/$triplet" exec "\$unpacked/usr/bin/$program" "\$@"
WRAPPER
    chmod +x "$tools/bin/$program"
    local missing
    missing=$(LD_LIBRARY_PATH="$tools/debian/usr/lib/$triplet:$tools/debian/lib/$triplet" \
        ldd "$tools/debian/usr/bin/$program" | sed -n 's/ => not found//p')
    [[ -z $missing ]] || fail "$program lacks libraries: $missing"
}

(($# > 0)) || fail "name packages: ${!VERSIONS[*]}"
for package in "$@"; do
    [[ -n ${VERSIONS[$package]:-} ]] || fail "unknown package $package; it has to be one of: ${!VERSIONS[*]}"
done
for needed in apt-get apt-cache dpkg-deb ldd; do
    command -v "$needed" >/dev/null || fail "$needed is not there; the tests take $* out of Debian $RELEASE's packages"
done
tools=$(cd "$(dirname "$0")/.." && pwd)/target/tools
triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo "$(uname -m)-linux-gnu")
mkdir -p "$tools/debian" "$tools/bin"
for package in "$@"; do
    if ! check_version "$package"; then
        apt-get --quiet --quiet update || fail "the list of packages cannot be fetched; run apt-get update as root"
        check_version "$package" || fail "there is no package $package; it comes with Debian $RELEASE"
    fi
    unpack "$package"
    for program in ${PROGRAMS[$package]}; do
        wrap "$program"
    done
done
