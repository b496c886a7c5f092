#!/usr/bin/env python3
"""Holds the rules of ARCHITECTURE.md: which of our crates may depend on which, who may name an engine's client, and
which licences may come in. Reads `cargo metadata` and deny.toml; prints each breach and exits with 1."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Each of our crates and what it may depend on among them, ordinary dependencies only.
ALLOWED = {
    "audit-event": set(),
    "pipeline-core": {"audit-event"},
    "client-security": set(),
    "schemas": {"audit-event"},
    "service-kit": {"audit-event", "client-security"},
    "kafka-io": {"audit-event", "client-security"},
    "clickhouse-io": {"audit-event", "client-security", "pipeline-core", "schemas"},
    "user-agents": set(),
    "transparency-log": {"audit-event"},
    "identity": {"audit-event", "client-security"},
    "log-store": {"audit-event", "transparency-log"},
    "verifier": {"audit-event", "transparency-log"},
    "verify": {"transparency-log", "verifier"},
    "ingest-gateway": {"audit-event", "schemas", "service-kit", "kafka-io", "identity", "transparency-log"},
    "processor": {
        "audit-event", "pipeline-core", "schemas", "service-kit", "kafka-io", "clickhouse-io", "user-agents",
    },
    "query-api": {"audit-event", "schemas", "service-kit", "kafka-io", "clickhouse-io", "identity"},
    "sealer": {"audit-event", "schemas", "service-kit", "kafka-io", "transparency-log", "log-store"},
    "cli": {
        "audit-event", "client-security", "pipeline-core", "schemas", "service-kit", "kafka-io", "clickhouse-io",
        "transparency-log",
    },
    "local-stack": {"audit-event", "client-security", "schemas"},
    "integration-tests": {
        "audit-event", "client-security", "pipeline-core", "schemas", "clickhouse-io", "transparency-log", "log-store",
    },
    "load-tests": {"audit-event", "client-security", "schemas"},
    "chaos": {"audit-event", "client-security", "schemas", "load-tests"},
}

# Nothing that waits, tells the time or draws a number: the pure crates stay pure.
PURE = {"audit-event", "pipeline-core", "schemas", "transparency-log", "verifier"}
IMPURE = {"tokio", "rand", "getrandom", "reqwest", "axum", "hyper", "rdkafka", "clickhouse", "tracing"}
STRANGERS_BAN = {"rdkafka", "rdkafka-sys", "clickhouse", "reqwest", "hyper", "tokio", "axum", "kafka-io", "clickhouse-io"}
# `std` has clocks and waits too.
PURE_SOURCE_BREACH = re.compile(r"\b(Instant::now|SystemTime|Utc::now|thread::sleep|\.await\b|async fn)")


def breaches_of_direction(packages: dict) -> list[str]:
    found = []
    for name, package in packages.items():
        if name not in ALLOWED:
            found.append(f"{name} is not in the table of tools/check_dependencies.py; say what it may depend on")
            continue
        ours = {d["name"] for d in package["dependencies"] if d["name"] in packages and d["kind"] is None}
        for extra in sorted(ours - ALLOWED[name]):
            found.append(f"{name} depends on {extra}, which it may not")
    return found


def breaches_of_purity(packages: dict) -> list[str]:
    found = []
    for name in sorted(PURE):
        package = packages[name]
        named = {d["name"] for d in package["dependencies"] if d["kind"] is None}
        found += [f"{name} is pure and depends on {extra}" for extra in sorted(named & IMPURE)]
        for source in Path(package["manifest_path"]).parent.glob("src/**/*.rs"):
            for number, line in enumerate(source.read_text().splitlines(), 1):
                if PURE_SOURCE_BREACH.search(line) and not line.lstrip().startswith("//"):
                    found.append(f"{source.relative_to(ROOT)}:{number}: {name} is pure: {line.strip()}")
    return found


def breaches_of_a_strangers_tool(packages: dict, resolve: dict) -> list[str]:
    """An auditor's command must not link what it would have to trust: no client of an engine, nothing that connects."""
    by_id = {node["id"]: node for node in resolve["nodes"]}
    waiting, seen = [packages["verify"]["id"]], set()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        ordinary = [d for d in by_id[node]["deps"] if any(kind["kind"] is None for kind in d["dep_kinds"])]
        waiting += [d["pkg"] for d in ordinary]
    names = {identity.split("#")[-1].split("@")[0].rsplit("/", 1)[-1] for identity in seen}
    return [f"sealtrail-verify links {name}" for name in sorted(names & STRANGERS_BAN)]


def breaches_of_wrappers(packages: dict, everything: list, deny: dict) -> list[str]:
    found = []
    present = {package["name"] for package in everything}
    for ban in deny["bans"]["deny"]:
        if "wrappers" not in ban:
            if ban["crate"] in present:
                found.append(f"{ban['crate']} is banned and came in")
            continue
        for name, package in packages.items():
            named = {d["name"] for d in package["dependencies"]}
            if ban["crate"] in named and name not in ban["wrappers"]:
                found.append(f"{name} names {ban['crate']}; only {', '.join(ban['wrappers'])} may")
    return found


def licence_allowed(expression: str, allowed: set) -> bool:
    """SPDX with OR and AND as cargo writes it; `/` is the old way to write OR."""
    text = expression.replace("/", " OR ").replace("(", " ( ").replace(")", " ) ")
    terms = [term.strip(" ()") for term in re.split(r"\bOR\b|\bAND\b", text)]
    parts = re.split(r"(\bOR\b|\bAND\b|\(|\))", text)
    rendered = []
    for part in parts:
        stripped = part.strip()
        if stripped in ("OR", "AND"):
            rendered.append(stripped.lower())
        elif stripped in ("(", ")"):
            rendered.append(stripped)
        elif stripped:
            rendered.append(str(stripped in allowed))
    assert terms
    return bool(eval(" ".join(rendered), {"__builtins__": {}}))  # only True, False, and, or, brackets


def breaches_of_licences(everything: list, deny: dict) -> list[str]:
    allowed = set(deny["licenses"]["allow"])
    found = []
    for package in everything:
        if package["source"] is None:
            continue
        licence = package["license"]
        if licence is None or not licence_allowed(licence, allowed):
            found.append(f"{package['name']} {package['version']} has licence {licence}, which deny.toml does not allow")
        if not package["source"].startswith("registry+"):
            found.append(f"{package['name']} comes from {package['source']}; only the registry may")
    return found


def main() -> int:
    output = subprocess.run(
        ["cargo", "metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout
    metadata = json.loads(output)
    members = set(metadata["workspace_members"])
    everything = metadata["packages"]
    packages = {p["name"]: p for p in everything if p["id"] in members}
    deny = tomllib.loads((ROOT / "deny.toml").read_text())
    found = (
        breaches_of_direction(packages)
        + breaches_of_purity(packages)
        + breaches_of_a_strangers_tool(packages, metadata["resolve"])
        + breaches_of_wrappers(packages, everything, deny)
        + breaches_of_licences(everything, deny)
    )
    for breach in found:
        print(breach, file=sys.stderr)
    if not found:
        print(f"dependencies: {len(packages)} of ours and {len(everything) - len(packages)} others keep the rules")
    return 1 if found else 0


sys.exit(main())
