"""The Dockerfile and its context: every file, program and version that it names."""

import json
import re
import shutil
import tempfile
import tomllib
from pathlib import Path

from tree import COMMAND_LINE, ROOT, SERVICES, TARGET, run

# the shared libraries that debian:bookworm-slim has
LIBRARIES = {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "libz.so.1", "linux-vdso.so.1"}


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a file out of the build; the last pattern that fits decides."""
    verdict = False
    for line in (ROOT / ".dockerignore").read_text().split():
        keep, pattern = line.startswith("!"), line.removeprefix("!")
        expression = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
        if re.fullmatch(f"{expression}(?:/.*)?", path):
            verdict = not keep
    return verdict


def context() -> list[str]:
    """The files that `COPY . .` brings: those of the repository, without those of .dockerignore."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout.splitlines()
    return [path for path in listed if not ignored(path) and (ROOT / path).is_file()]


def dockerfile() -> list[str]:
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    faults, programs = copied(text)
    return faults + stages(text) + started(programs)


def stages(text: str) -> list[str]:
    """The builder is new enough, and the image's user is not root."""
    faults = []
    wanted = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    builder = re.search(r"^FROM rust:([\d.]+)-bookworm AS builder$", text, re.MULTILINE)
    if not builder or numbers(builder[1]) < numbers(wanted):
        faults.append(f"the builder's Rust is older than {wanted}")
    if not re.search(r"^USER (?!0|root)\d+:\d+$", text, re.MULTILINE):
        faults.append("the image runs as root")
    return faults


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def copied(text: str) -> tuple[list[str], set[str]]:
    """What is built exists and finds its libraries in the image, and what is copied exists; also the programs there."""
    made = set(re.findall(r"target/release/([\w-]+)", text))
    faults, programs = [], set()
    for name in sorted(made):
        linked = set(re.findall(r"^\s+([\w.-]+\.so[.\d]*)", run("ldd", TARGET / name).stdout, re.MULTILINE))
        faults += [f"{name} needs {library}, which the image does not have" for library in linked - LIBRARIES]
    for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE):
        *sources, destination = line.split()
        from_builder = sources[0] == "--from=builder"
        for source in sources[from_builder:]:
            if source.startswith("/out/") and Path(source).name not in made:
                faults.append(f"{source} is copied and was not built")
            if not from_builder and source != "." and (ignored(source) or not (ROOT / source).is_file()):
                faults.append(f"{source} is copied, and is not there or in .dockerignore")
            if destination.startswith("/usr/local/bin/"):
                programs.add(Path(source).name)
    return faults, programs


def started(programs: set[str]) -> list[str]:
    """The image has what Compose starts in it, health checks included."""
    faults = []
    for name, service in SERVICES.items():
        if "build" not in service:
            continue
        wanted = {"sealtrail" if name in COMMAND_LINE else service["command"][0]}
        if "healthcheck" in service:
            wanted.add(service["healthcheck"]["test"][1])
        faults += [f"{name}: the image has no {program}" for program in sorted(wanted - programs)]
    return faults


def clean_copy() -> list[str]:
    """What the build stage sees is a whole workspace: manifests, lock file, sources, and each file that one includes."""
    faults = []
    with tempfile.TemporaryDirectory() as scratch:
        for path in context():
            (Path(scratch) / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, Path(scratch) / path)
        # the dependencies of Linux only: that is what was fetched
        metadata = run(
            "cargo", "metadata", "--format-version=1", "--locked", "--offline",
            "--filter-platform=x86_64-unknown-linux-gnu", cwd=scratch, check=False,
        )
        if metadata.returncode != 0:
            return [f"the workspace is not whole: {metadata.stderr.strip()}"]
        packages = [p for p in json.loads(metadata.stdout)["packages"] if p["source"] is None]
        for target in (target for package in packages for target in package["targets"]):
            faults += [] if Path(target["src_path"]).is_file() else [f"{target['src_path']} is missing"]
        for source in Path(scratch).rglob("*.rs"):
            for name in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', source.read_text()):
                if not (source.parent / name).resolve().is_file():
                    faults.append(f"{source.relative_to(scratch)} includes {name}, which the build does not get")
        for pattern in ("schemas/migrations/*.sql", "schemas/examples/*.json"):
            here = {p.name for p in ROOT.glob(pattern)}
            faults += [f"{pattern}: {name} is missing" for name in here - {p.name for p in Path(scratch).glob(pattern)}]
    return faults
