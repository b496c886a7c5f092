"""What the checks of the containers look at: this tree, its programs (as `make build` leaves them) and the Compose file."""

import os
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
COMPOSE = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
# our services: the variables of each begin with its own prefix
OURS = {"gateway": "GATEWAY", "processor": "PROCESSOR", "query-api": "QUERY_API", "sealer": "SEALER"}
COMMAND_LINE = [name for name, service in SERVICES.items() if "exec sealtrail " in " ".join(service.get("entrypoint", []))]


def run(*command, env=None, check=True, **rest) -> subprocess.CompletedProcess:
    done = subprocess.run([str(part) for part in command], env=env, capture_output=True, text=True, **rest)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done


def environment(name: str) -> dict[str, str]:
    return {key: str(value) for key, value in (SERVICES[name].get("environment") or {}).items()}


def port_of(address: str) -> int:
    return int(address.rsplit(":", 1)[1])
