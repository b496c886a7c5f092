"""The images that are used as they are: their versions, and what Kafka's makes of its variables."""

import os
import re
import tempfile
import tomllib
from pathlib import Path

from tree import ROOT, SERVICES, environment, run


def images() -> list[str]:
    """Tags are pinned, and are the versions that the local stack runs and that the documents name."""
    faults = []
    used = {service["image"] for service in SERVICES.values() if "build" not in service}
    pins = dict(image.rsplit(":", 1) for image in used)
    if len(pins) != len(used):
        faults.append(f"one image under two tags: {sorted(used)}")
    faults += [f"{name}:{tag} is not pinned" for name, tag in pins.items() if not re.match(r"v?\d+\.\d+", tag)]
    fetch = (ROOT / "local-stack/src/fetch.rs").read_text()
    kafka = re.search(r'KAFKA_VERSION: &str = "([^"]+)"', fetch)[1]
    clickhouse = re.search(r'CLICKHOUSE_VERSION: &str = "([^"]+)"', fetch)[1]
    if pins["apache/kafka"] != kafka:
        faults.append(f"apache/kafka:{pins['apache/kafka']}, and the local stack runs {kafka}")
    if not clickhouse.startswith(pins["clickhouse/clickhouse-server"] + "."):
        faults.append(f"clickhouse-server:{pins['clickhouse/clickhouse-server']}, and the local stack runs {clickhouse}")
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]
    faults += [
        f"{name}: {service['image']} is not version {manifest['version']}"
        for name, service in SERVICES.items()
        if "build" in service and service["image"] != f"sealtrail:{manifest['version']}"
    ]
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for name, tag in pins.items():
            named = re.findall(re.escape(name) + r":([\w.-]*\w)", page.read_text())
            faults += [f"{page.name} names {name}:{other}, here it is {tag}" for other in named if other != tag]
    return faults


def kafka() -> list[str]:
    """The script of the Kafka image turns the variables into server.properties and formats the storage by them. It is
    part of the broker's jar, so it is run here; then each of its properties must be one that the broker knows."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sealtrail"
    tag = SERVICES["kafka"]["image"].rsplit(":", 1)[1]
    engines = sorted(cache.glob(f"kafka-{tag}-*"))
    if not engines:
        return [f"Kafka {tag} is not in {cache}; run `make fetch`"]
    java = ["java", "-cp", f"{engines[-1]}/*"]
    with tempfile.TemporaryDirectory() as scratch:
        dirs = [Path(scratch) / name for name in ("default", "mounted", "final")]
        for directory in dirs:
            directory.mkdir()
        (dirs[2] / "server.properties").touch()
        variables = environment("kafka") | {"KAFKA_LOG_DIRS": f"{scratch}/data", "CLUSTER_ID": "5L6g3nShT-eMCtK--X86sw"}
        places = [f"--{directory.name}-configs-dir={directory}" for directory in dirs]
        wrapper = [*java, "kafka.docker.KafkaDockerWrapper", "setup", *places]
        done = run(*wrapper, env=os.environ | variables, check=False)
        if done.returncode != 0 or not (Path(scratch) / "data/meta.properties").is_file():
            return [f"kafka: its image refuses the settings: {(done.stdout + done.stderr).strip()}"]
        made = (dirs[2] / "server.properties").read_text().split()
    known = set(re.findall(r'id="([a-z0-9._-]+)"', run(*java, "kafka.server.KafkaConfig").stdout))
    names = {line.split("=")[0] for line in made} - {"heap.opts"}
    if len(names) < 10:
        return [f"kafka: only {sorted(names)} reached server.properties"]
    return [f"kafka: the broker knows no property {name}" for name in sorted(names - known)]
