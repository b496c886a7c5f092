"""docker-compose.yml and what it mounts: settings, addresses, files, secrets, order."""

import json
import re
import sys
import tempfile
from pathlib import Path

from ruamel.yaml import YAML
from tree import COMMAND_LINE, COMPOSE, OURS, ROOT, SERVICES, TARGET, environment, port_of, run


def schema() -> list[str]:
    done = run(
        sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml",
        check=False,
    )
    return [] if done.returncode == 0 else [done.stdout + done.stderr]


def settings() -> list[str]:
    """Each of our services takes its environment: an unknown key, or a value that is out of bounds, is an error."""
    faults = []
    for name, prefix in OURS.items():
        program = SERVICES[name]["command"][0]
        for variable in environment(name):
            if not variable.startswith(f"SEALTRAIL_{prefix}__"):
                faults.append(f"{name}: {variable} is not a setting of {program}")
        done = run(TARGET / program, "--check", env=environment(name), check=False)
        if done.returncode != 0:
            faults.append(f"{name}: {done.stderr.strip()}")
    for name in COMMAND_LINE:
        command = SERVICES[name].get("command") or []
        words = [word for word in command if not word.startswith("-")]
        known = run(TARGET / "sealtrail", *words, "--help", env={}).stdout
        faults += [f"{name}: {flag} is not a flag" for flag in command if flag.startswith("-") and flag not in known]
        every = run(TARGET / "sealtrail", "init", "--help", env={}).stdout
        every += run(TARGET / "sealtrail", "keys", "create", "--help", env={}).stdout
        every += run(TARGET / "sealtrail", "doctor", "--help", env={}).stdout
        variables = [*environment(name), *re.findall(r"export (SEALTRAIL_\w+)", " ".join(SERVICES[name]["entrypoint"]))]
        faults += [f"{name}: sealtrail does not read {v}" for v in variables if f"[env: {v}" not in every]
    return faults


def listening() -> dict[str, set[int]]:
    """The ports on which each service listens, by its own settings."""
    metrics = (ROOT / "deploy/clickhouse/metrics.xml").read_text()
    ports = {
        "kafka": {port_of(place) for place in environment("kafka")["KAFKA_LISTENERS"].split(",")},
        "registry": {port_of(environment("registry")["SCHEMA_REGISTRY_LISTENERS"])},
        # the image's own defaults, and what metrics.xml opens
        "clickhouse": {8123, 9000, int(re.search(r"<port>(\d+)</port>", metrics)[1])},
        "prometheus": {9090},
        "grafana": {3000},
    }
    for name in OURS:
        addresses = {k: v for k, v in environment(name).items() if k.endswith("__LISTEN")}
        ports[name] = {port_of(address) for address in addresses.values()}
    return ports


def ports() -> list[str]:
    faults, known = [], listening()
    for name, prefix in OURS.items():
        faults += [
            f"{name}: {key} is {value}: nobody outside of the container reaches it"
            for key, value in environment(name).items()
            if key.endswith("__LISTEN") and not value.startswith("0.0.0.0:")
        ]
        admin = port_of(environment(name)[f"SEALTRAIL_{prefix}__ADMIN__LISTEN"])
        if SERVICES[name]["healthcheck"]["test"] != ["CMD", "http-ok", str(admin), "/readyz"]:
            faults.append(f"{name}: its health check does not ask /readyz on the admin port {admin}")
    for name, service in SERVICES.items():
        for published in service.get("ports", []):
            address, _, inside = published.rsplit(":", 2)
            if address != "127.0.0.1":
                faults.append(f"{name}: {published} is published beyond this machine")
            if int(inside) not in known[name]:
                faults.append(f"{name}: {published}: it listens on {known[name]}")
        text = json.dumps([service.get("environment"), service.get("entrypoint"), service.get("healthcheck")])
        for host, port in re.findall(r"(?:@|//|[\"=, ])([a-z][a-z-]+):(\d{2,5})\b", text):
            if host != "localhost" and int(port) not in known.get(host, set()):
                faults.append(f"{name}: {host}:{port}: no service listens there")
    return faults + scraped(known)


def scraped(known: dict[str, set[int]]) -> list[str]:
    faults = []
    config = YAML(typ="safe").load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    targets = [t for job in config["scrape_configs"] for s in job["static_configs"] for t in s["targets"]]
    for target in targets:
        host, port = target.split(":")
        if int(port) not in known.get(host, set()):
            faults.append(f"prometheus.yml: {target}: no service listens there")
    for name, prefix in OURS.items():
        admin = port_of(environment(name)[f"SEALTRAIL_{prefix}__ADMIN__LISTEN"])
        if f"{name}:{admin}" not in targets:
            faults.append(f"prometheus.yml does not scrape {name}:{admin}")
    for pattern in config["rule_files"]:
        if not list((ROOT / "deploy/prometheus").glob(pattern)):
            faults.append(f"prometheus.yml: {pattern} finds no file")
    return faults


def files() -> list[str]:
    """Mounts, secrets and volumes are there, and what a service reads of them was given to it."""
    faults = []
    with tempfile.TemporaryDirectory() as scratch:
        run(ROOT / "deploy/docker/make-secrets.sh", f"{scratch}/secrets")
        for name, secret in COMPOSE["secrets"].items():
            place = re.sub(r"\$\{SEALTRAIL_SECRETS_DIR:[^}]*\}", f"{scratch}/secrets", secret["file"])
            if not Path(place).is_file() or not Path(place).read_text().isalnum():
                faults.append(f"secret {name}: make-secrets.sh makes no {secret['file']}")
    for name, service in SERVICES.items():
        given = set(service.get("secrets", []))
        used = set(re.findall(r"/run/secrets/(\w+)", json.dumps(service)))
        for volume in service.get("volumes", []):
            source, place = volume.split(":")[:2]
            if source.startswith("./"):
                faults += [] if (ROOT / source).exists() else [f"{name}: {source} is not there"]
                if (ROOT / source).suffix == ".sh":
                    used |= set(re.findall(r"/run/secrets/(\w+)", (ROOT / source).read_text()))
            elif source not in COMPOSE["volumes"]:
                faults.append(f"{name}: there is no volume {source}")
        faults += [f"{name} reads the secret {secret} and does not have it" for secret in sorted(used - given)]
        faults += [f"{name}: there is no secret {secret}" for secret in sorted(given - set(COMPOSE["secrets"]))]
    return faults + provisioned()


def provisioned() -> list[str]:
    """What Grafana's provisioning names is mounted, and what it takes from the environment is set."""
    grafana, faults = SERVICES["grafana"], []
    mounted = {volume.split(":")[1] for volume in grafana["volumes"]}
    variables = json.dumps([grafana["environment"], grafana["entrypoint"]])
    for page in sorted((ROOT / "deploy/grafana/provisioning").glob("*/*.yml")):
        text = "\n".join(line for line in page.read_text().splitlines() if not line.lstrip().startswith("#"))
        faults += [f"grafana: {page.name} wants {v}" for v in re.findall(r"\$(\w+)", text) if v not in variables]
        faults += [f"grafana: {page.name} wants {p}" for p in re.findall(r"path: (\S+)", text) if p not in mounted]
    return faults


def order() -> list[str]:
    """What is waited for can come true."""
    faults = []
    for name, service in SERVICES.items():
        for other, wanted in service.get("depends_on", {}).items():
            condition = wanted["condition"]
            if other not in SERVICES:
                faults.append(f"{name} waits for {other}, which is not there")
            elif condition == "service_healthy" and "healthcheck" not in SERVICES[other]:
                faults.append(f"{name} waits for the health of {other}, which has no check")
            elif condition == "service_completed_successfully" and SERVICES[other].get("restart") != "no":
                faults.append(f"{name} waits for the end of {other}, which restarts")
        is_job = service.get("restart") == "no" or "profiles" in service
        if not is_job and not service.get("deploy", {}).get("resources", {}).get("limits", {}).get("memory"):
            faults.append(f"{name} has no limit of memory")
        if not is_job and service.get("restart") != "unless-stopped":
            faults.append(f"{name} does not come back after a crash")
        if not is_job and "healthcheck" not in service:
            faults.append(f"{name} has no health check")
    return faults
